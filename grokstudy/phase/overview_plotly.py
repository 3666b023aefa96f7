"""The page of a study: the outcome of every trial beside the delay of generalisation, a pair for every facet."""

from __future__ import annotations

import dataclasses

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from jaxtyping import Float
from plotly.subplots import make_subplots

from grokstudy.phase.figure_data import FigureData, figure_data, note
from grokstudy.phase.figures_plotly import axis, dressed, hatching, in_steps, keys, panel_figure
from grokstudy.phase.overview import of_delays, of_outcomes
from grokstudy.phase.page import Figure, Key, page
from grokstudy.phase.palette import OUTCOME_COLOURS, PAPER
from grokstudy.phase.posterior import is_posterior
from grokstudy.phase.posterior_plotly import posterior_overview_html
from grokstudy.phase.room import MOST_DOTS
from grokstudy.phase.tiles import NO_TRIAL, OUTCOMES, Tiles


def overview_html(diagram: xr.Dataset) -> str:
    """A whole HTML page with plotly.js inside; hovering over a tile names its trial, over a cell its numbers."""
    if is_posterior(diagram):
        return posterior_overview_html(diagram)
    outcomes, delays = figure_data(of_outcomes(diagram)), _delays(diagram)
    figures = []
    for facet, panel in enumerate(delays.panels):
        words = f"  ({panel.title})" if panel.title else ""
        figures.append(Figure(outcome_figure(outcomes, diagram, facet), f"Outcome of every trial{words}"))
        figures.append(Figure(panel_figure(delays, facet), f"Delay of generalisation{words}"))
    return page(diagram.attrs["study"], note(diagram), figures, _keys(delays))


def outcome_figure(data: FigureData, diagram: xr.Dataset, facet: int) -> go.Figure:
    """One panel of tiles, a trial each, coloured by outcome; `customdata` is the trial's id."""
    tiles = data.panels[facet].tiles
    ids = diagram["trial_id"].to_numpy()
    known = tiles.trial != NO_TRIAL
    figure = make_subplots(1, 1)
    if data.y is not None:
        figure.add_trace(hatching(data.x, data.y, data.panels[facet]))
    gap = 1 if tiles.outcome.size <= MOST_DOTS else 0
    heat = go.Heatmap(
        x=tiles.x,
        y=tiles.y,
        z=[[code if code != NO_TRIAL else None for code in row] for row in tiles.outcome.tolist()],
        customdata=[[ids[at] if at != NO_TRIAL else "" for at in row] for row in tiles.trial.tolist()],
        text=[[OUTCOMES[code] if code != NO_TRIAL else "" for code in row] for row in tiles.outcome.tolist()],
        hovertemplate="%{text}<br>%{customdata}<extra></extra>",
        coloraxis="coloraxis",
        hoverongaps=False,
        xgap=gap,
        ygap=gap,
        name="trials",
    )
    if known.any():
        figure.add_trace(heat)
    if tiles.lost.any():
        figure.add_trace(_lost(data, tiles))
    figure.update_xaxes(**axis(data.x))
    figure.update_yaxes(**(axis(data.y) if data.y else {"visible": False}))
    figure.update_layout(shapes=_borders(data))
    shown = {"colorscale": in_steps(OUTCOME_COLOURS.values()), "cmin": -0.5, "cmax": len(OUTCOMES) - 0.5}
    return dressed(figure, {**shown, "showscale": False})


def _lost(data: FigureData, tiles: Tiles) -> go.Scatter:
    """A cross over every trial that generalised and lost it again."""
    rows, columns = np.nonzero(tiles.lost)
    x, y = _middles(tiles.x, data.x.log), _middles(tiles.y, data.y is not None and data.y.log)
    return go.Scatter(
        x=x[columns],
        y=y[rows],
        mode="markers",
        marker={"symbol": "x-thin", "size": 7, "line": {"color": PAPER, "width": 2}},
        hovertemplate="generalised, then lost it<extra></extra>",
        name="lost again",
    )


def _middles(edges: Float[np.ndarray, " edges"], log: bool) -> Float[np.ndarray, " tiles"]:
    middles: np.ndarray = np.sqrt(edges[1:] * edges[:-1]) if log else (edges[1:] + edges[:-1]) / 2
    return middles


def _borders(data: FigureData) -> list[dict[str, object]]:
    """Lines between cells. One by one, plotly takes seconds for them."""
    lines: list[dict[str, object]] = []
    width = 2 if max(data.panels[0].counts.shape) < 24 else 1
    for scale, along, across in ((data.x, "x", "y"), (data.y, "y", "x")):
        for edge in () if scale is None else scale.edges[1:-1].tolist():
            line = {"color": PAPER, "width": width}
            ends = {f"{along}0": edge, f"{along}1": edge, f"{across}0": 0, f"{across}1": 1}
            place = {f"{along}ref": along, f"{across}ref": f"{across} domain"}
            lines.append({"type": "line", "line": line, **place, **ends})
    return lines


def _delays(diagram: xr.Dataset) -> FigureData:
    """On a plane without dots, which the tiles show already."""
    data = figure_data(of_delays(diagram))
    if data.y is None:
        return data
    return dataclasses.replace(data, panels=tuple(dataclasses.replace(panel, dots=()) for panel in data.panels))


def _keys(data: FigureData) -> list[Key]:
    tiles = [Key(name, OUTCOME_COLOURS[name], "square") for name in data.outcomes]
    return [*tiles, *(key for key in keys(data, dots=True) if key.shape in ("hatch", "cross"))]
