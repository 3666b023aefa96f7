"""The phase diagram of a view: its figure, its levels, and how to make the same elsewhere."""

from __future__ import annotations

import dataclasses
import functools
import io
from typing import Literal

import numpy as np
import plotly.graph_objects as go
import xarray as xr

from grokstudy.explorer.overview import Level, level, version
from grokstudy.explorer.view import command, python_call
from grokstudy.phase.boundary import Boundary
from grokstudy.phase.boundary_plotly import add_boundary
from grokstudy.phase.boundary_posterior import line_over
from grokstudy.phase.export import cells_table, save_figure, to_json
from grokstudy.phase.figure_data import FigureData, Scale, figure_data
from grokstudy.phase.figures_plotly import keys, panel_figure
from grokstudy.phase.page import Key
from grokstudy.phase.planned import planned_levels, with_planned
from grokstudy.phase.posterior import is_posterior
from grokstudy.phase.posterior_figure import posterior_figure
from grokstudy.phase.posterior_plotly import posterior_keys, posterior_panel
from grokstudy.phase.query import PhaseQuery
from grokstudy.phase.theme import themed
from grokstudy.store.folder import StudyFolder
from grokstudy.study.api import Study


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Edges:
    """Where cells begin and end, in data units: cell i of an axis lies between edges[i] and edges[i + 1]."""

    x: tuple[float, ...]
    y: tuple[float, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DrawnPanel:
    """One facet, without title and legend: the page says them itself."""

    title: str
    figure: go.Figure
    boundary: str
    """How the p_gen = .5 line was fitted, or why there is none."""


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    """Where a trial lies, in data units."""

    trial: str
    facet: int
    x: float
    y: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DrawnDiagram:
    """What the page shows of a diagram."""

    panels: tuple[DrawnPanel, ...]
    """One per facet."""
    keys: tuple[Key, ...]
    """The legend."""
    note: str
    """Thresholds, T, numbers of trials."""
    query: PhaseQuery
    x: tuple[Level, ...]
    y: tuple[Level, ...]
    facet: tuple[Level, ...]
    edges: Edges
    points: tuple[Point, ...]
    """Every trial of a diagram without cells, for going from one to the next by keys."""
    python: str
    command: str


def read(folder: StudyFolder, query: PhaseQuery) -> xr.Dataset:
    """The diagram of the trials that there are, kept while no part is added. Errors as `phase_diagram`."""
    return _read(folder, version(folder), query)


@functools.lru_cache(maxsize=16)
def _read(folder: StudyFolder, version: str, query: PhaseQuery) -> xr.Dataset:
    return Study(folder=folder).diagram(query)


def drawn(folder: StudyFolder, query: PhaseQuery, *, dark: bool) -> DrawnDiagram:
    """The figure of a diagram with what its page needs besides; cells that are planned are there before their trials.

    Raises:
        BadInput: as `phase_diagram`.
    """
    diagram = read(folder, query)
    if is_posterior(diagram):
        return _drawn_posterior(folder, diagram, query, dark=dark)
    diagram = with_planned(diagram, planned_levels(Study(folder=folder).spec))
    data = figure_data(diagram)
    return DrawnDiagram(
        panels=tuple(_panel(diagram, data, facet, dark=dark) for facet in range(len(data.panels))),
        keys=tuple(keys(data, dots=any(panel.dots for panel in data.panels))),
        note=data.note,
        query=query,
        x=_levels(diagram, "x"),
        y=_levels(diagram, "y"),
        facet=_levels(diagram, "facet"),
        edges=Edges(x=_edges(data.x), y=_edges(data.y)),
        points=(),
        python=python_call(folder.name, query),
        command=command(folder.name, query),
    )


def _drawn_posterior(folder: StudyFolder, diagram: xr.Dataset, query: PhaseQuery, *, dark: bool) -> DrawnDiagram:
    """The same without cells: a posterior with every trial over it."""
    data = posterior_figure(diagram)
    panels = [
        DrawnPanel(title=panel.title, figure=themed(posterior_panel(data, facet), dark=dark), boundary="")
        for facet, panel in enumerate(data.panels)
    ]
    return DrawnDiagram(
        panels=tuple(panels),
        keys=tuple(posterior_keys(data)),
        note=data.note,
        query=query,
        x=(),
        y=(),
        facet=_levels(diagram, "facet"),
        edges=Edges(x=_edges(data.x), y=_edges(data.y)),
        points=tuple(
            Point(mark.trial_id, facet, mark.x, mark.y)
            for facet, panel in enumerate(data.panels)
            for mark in panel.marks
        ),
        python=python_call(folder.name, query),
        command=command(folder.name, query),
    )


def downloaded(folder: StudyFolder, query: PhaseQuery, kind: Literal["svg", "pdf", "png", "csv", "json"]) -> bytes:
    """The diagram as a file: a figure by matplotlib, or the table of its cells. Errors as `drawn`."""
    diagram = read(folder, query)
    if kind == "json":
        return to_json(diagram).encode()
    if kind == "csv":
        text: str = cells_table(diagram).to_pandas().to_csv(index=False)
        return text.encode()
    picture = io.BytesIO()
    save_figure(diagram, picture, kind)
    return picture.getvalue()


def _panel(diagram: xr.Dataset, data: FigureData, facet: int, *, dark: bool) -> DrawnPanel:
    figure = _clickable(panel_figure(data, facet))
    found = line_over(diagram, facet if diagram.attrs["facet_dim"] else None)
    if isinstance(found, Boundary):
        add_boundary(figure, found, legend=False)
    text = found.note if isinstance(found, Boundary) else f"no boundary drawn: {found.reason}"
    title = data.panels[facet].title
    return DrawnPanel(title=title, figure=themed(figure, dark=dark), boundary=text)


def _clickable(figure: go.Figure) -> go.Figure:
    """plotly leaves out a heat map without any number; then no cell of a study that has just begun could be opened."""
    for heat in figure.select_traces({"type": "heatmap", "name": "cells"}):
        if np.isnan(heat.z).all():
            heat.update(z=np.zeros_like(heat.z), opacity=0)
    return figure


def _edges(scale: Scale | None) -> tuple[float, ...]:
    return () if scale is None else tuple(scale.edges.tolist())


def _levels(diagram: xr.Dataset, key: str) -> tuple[Level, ...]:
    dim = diagram.attrs[f"{key}_dim"]
    return () if dim is None else tuple(level(value) for value in diagram[dim].to_numpy().tolist())
