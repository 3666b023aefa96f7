"""Diagrams of continuous axes by matplotlib: PNG, SVG and PDF."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, PathPatch, Rectangle
from matplotlib.ticker import NullLocator

from grokstudy.phase.figures_matplotlib import (
    HATCH,
    HATCH_INK,
    STYLE,
    casing,
    colour_bar,
    colour_map,
    draw_overlay,
    dress,
    empty_figure,
    rings,
    title_and_note,
    write_figure,
)
from grokstudy.phase.palette import DIVIDED, EMPTY, INK, OUTCOME_COLOURS, PAPER, QUIET
from grokstudy.phase.posterior_figure import (
    REPORT_TITLES,
    EdgeLine,
    Mark,
    PosteriorFigure,
    PosteriorPanel,
    interval_rows,
    report_figures,
    value_ends,
    value_ticks,
)
from grokstudy.phase.posterior_words import EDGE_NAMES

MARKERS = {
    "confusion": "s",
    "memorization": "v",
    "inversion": "D",
    "grokking": "o",
    "comprehension": "^",
    "diverged": "X",
    "undetermined": "o",
}
"""matplotlib's names of `palette.OUTCOME_SHAPES`."""
DASHES: dict[str, Any] = {"dash": (0, (6, 2.5)), "solid": "-", "dot": (0, (1.2, 1.8))}
_PANEL_WIDTH, _PANEL_HEIGHT, _LEGEND = 5.4, 4.4, 2.4
_MOST_ACROSS = 3
_TITLE_LETTERS, _LABEL_LETTERS = 46, 48
_FINE = 1000
"""Marks above which they become pixels in SVG and PDF too."""


def save_posterior(data: PosteriorFigure, target: Path | str | IO[bytes], format: str | None = None) -> None:
    """Writes the figure as PNG, SVG or PDF, chosen by the suffix or by `format` for an open file."""
    write_figure(drawn_posterior(data), target, format)


def drawn_posterior(data: PosteriorFigure) -> Figure:
    """One panel per facet, the colours and what the marks mean beside them."""
    across = 2 if len(data.panels) == 4 else min(len(data.panels), _MOST_ACROSS)
    down = math.ceil(len(data.panels) / across)
    with mpl.rc_context(STYLE):
        figure = empty_figure(across * _PANEL_WIDTH + _LEGEND, down * _PANEL_HEIGHT + 0.9)
        flat = list(figure.subplots(down, across, squeeze=False).flat)
        for panel, axes in zip(data.panels, flat, strict=False):
            draw_panel(axes, data, panel)
            axes.set_title(textwrap.fill(panel.title, _TITLE_LETTERS))
        for axes in flat[len(data.panels) :]:
            axes.set_axis_off()
        if data.y is not None:
            colour_bar(figure, data, flat[: len(data.panels)])
        title_and_note(figure, data.title, data.note)
        draw_legend(figure, data, loc="outside right upper")
    return figure


def report_posterior(diagram: xr.Dataset) -> Figure:
    """The figure of a study's report: the most probable outcome beside the expected delay, a row per facet."""
    parts = report_figures(diagram)
    with mpl.rc_context(STYLE):
        rows = len(parts[0].panels)
        figure = empty_figure(13.2, 5.0 * rows + 0.3)
        grid = figure.subplots(rows, 2, squeeze=False)
        for column, (data, words) in enumerate(zip(parts, REPORT_TITLES, strict=True)):
            for axes, panel in zip(grid[:, column], data.panels, strict=True):
                draw_panel(axes, data, panel)
                axes.set_title(f"{words}  ({panel.title})" if panel.title else words)
        if parts[1].y is not None:
            colour_bar(figure, parts[1], list(grid[:, 1]))
        title_and_note(figure, diagram.attrs["study"], parts[1].note)
        draw_legend(figure, parts[1], loc="outside upper right", across_top=True)
    return figure


def draw_panel(axes: Axes, data: PosteriorFigure, panel: PosteriorPanel) -> None:
    """One facet: a plane with its shading, or the value along a single axis."""
    if data.y is None:
        _draw_line(axes, data, panel)
    else:
        _draw_plane(axes, data, panel)
    draw_overlay(axes, panel.overlay)


def _draw_plane(axes: Axes, data: PosteriorFigure, panel: PosteriorPanel) -> None:
    assert data.y is not None
    colours, norm = colour_map(data)
    dress(axes, data.x, data.y)
    if panel.hatched.any():
        corner, width, height = (0, 0), 1, 1
        empty = Rectangle(corner, width, height, transform=axes.transAxes, facecolor=EMPTY, edgecolor=HATCH_INK)
        empty.set(hatch=HATCH, linewidth=0, zorder=0)
        axes.add_patch(empty)
    if data.shaded:
        shown = np.ma.masked_invalid(panel.value)
        axes.pcolormesh(data.x.edges, data.y.edges, shown, cmap=colours, norm=norm, rasterized=True)
    for edge in panel.edges:
        _draw_band(axes, edge, filled=data.shaded)
    for edge in panel.edges:
        for line in edge.lines:
            axes.plot(line[:, 0], line[:, 1], **_line_style(edge.margin), zorder=3, path_effects=casing())
    _draw_marks(axes, data, panel.marks)


def _draw_band(axes: Axes, edge: EdgeLine, *, filled: bool) -> None:
    """All rings of a margin as one path, so that a hole stays one; paler where less is known."""
    if not edge.bands:
        return
    style: Any = {"linewidth": 0.7, "linestyle": ":", "edgecolor": INK, "facecolor": (1, 1, 1, 0.24 if filled else 0)}
    axes.add_patch(PathPatch(rings(edge.bands), zorder=2, **style))


def _draw_line(axes: Axes, data: PosteriorFigure, panel: PosteriorPanel) -> None:
    """The value along x with what is not known of it; each crossing is a line with its interval."""
    dress(axes, data.x, None)
    value = panel.value[0]
    if data.shaded and data.categories:
        axes.scatter(data.x.centres, value, marker="s", s=9, c=INK, linewidths=0, zorder=2)
    elif data.shaded:
        axes.fill_between(data.x.centres, panel.low[0], panel.high[0], color=INK, alpha=0.16, linewidth=0, zorder=1)
        axes.plot(data.x.centres, value, color=INK, linewidth=1.6, zorder=2)
    for edge in panel.edges:
        for line in edge.lines:
            axes.axvline(line[0, 0], **_line_style(edge.margin), zorder=1)
        for band in edge.bands:
            axes.plot(band[:, 0], [interval_rows(data)[edge.margin]] * 2, **_bar_style(edge.margin))
    _draw_marks(axes, data, panel.marks, flat=True)
    axes.set_ylabel(textwrap.fill(data.value_label, _LABEL_LETTERS))
    axes.grid(axis="y", color="#E6E6E6", linewidth=0.6)
    axes.set_axisbelow(True)
    if data.value_log:
        axes.set_yscale("log")
        axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylim(*value_ends(data)[:2])
    ticks = value_ticks(data)
    axes.set_yticks([at for at, _ in ticks], [text for _, text in ticks])


def _draw_marks(axes: Axes, data: PosteriorFigure, marks: Sequence[Mark], *, flat: bool = False) -> None:
    """Every trial in the shape of its outcome, in its colour or in that of its own value."""
    size = float(np.clip(9000 / max(len(marks), 1), 8, 30))
    by_value = (data.own_colours or not data.shaded) and not flat
    colours, norm = colour_map(data)
    for name, shape in MARKERS.items():
        own = [mark for mark in marks if mark.outcome == name and not np.isnan(mark.y)]
        if not own:
            continue
        paint: Any = {"c": OUTCOME_COLOURS[name], "edgecolors": QUIET if name == "undetermined" else PAPER}
        if by_value:
            values = np.array([mark.value for mark in own])
            unseen, paper, quiet = np.isnan(values)[:, None], mpl.colors.to_rgba(PAPER), mpl.colors.to_rgba(QUIET)
            around = np.where(unseen, quiet, paper) if data.shaded else QUIET  # shading may have the point's colour
            paint = {"c": np.where(unseen, paper, colours(norm(values))), "edgecolors": around}
        axes.scatter(
            *_places(own), s=size, marker=shape, linewidths=0.6, zorder=4, clip_on=False,
            rasterized=len(own) > _FINE, **paint,
        )  # fmt: skip
    lost = [mark for mark in marks if mark.lost and not np.isnan(mark.y)]
    axes.scatter(*_places(lost), s=size, c=INK, marker="x", linewidths=1, zorder=5)
    kept = [mark for mark in marks if mark.held_out and not np.isnan(mark.y)]
    for width, colour in ((2.4, PAPER), (1.1, INK)):
        axes.scatter(*_places(kept), s=4.2 * size, facecolors="none", edgecolors=colour, linewidths=width, zorder=4)


def _places(marks: Sequence[Mark]) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    return np.array([mark.x for mark in marks]), np.array([mark.y for mark in marks])


def _line_style(margin: str) -> dict[str, Any]:
    return {"color": INK, "linewidth": 1.6, "linestyle": DASHES[DIVIDED[margin]]}


def _bar_style(margin: str) -> dict[str, Any]:
    return {**_line_style(margin), "marker": "|", "markersize": 6, "zorder": 3}


def draw_legend(figure: Figure, data: PosteriorFigure, *, loc: str, across_top: bool = False) -> None:
    """Outcomes by shape and colour, lines, and what rings, crosses and hatching mean."""
    handles: list[Line2D | Patch] = [
        Line2D([], [], linestyle="", marker=MARKERS[name], markersize=6, label=name, **_key_colours(name, data))
        for name in data.outcomes
    ]
    lines = [Line2D([], [], label=EDGE_NAMES[name], **_line_style(name)) for name in data.margins]
    if lines:
        band = Patch(facecolor=EMPTY, edgecolor=INK, linestyle=":", linewidth=0.7, label="band of a line")
        bar = Line2D([], [], color=INK, marker="|", markersize=6, label="interval of a line")
        handles += [*lines, band if data.y else bar]
    if any(mark.held_out for mark in data.every_mark):
        ring: Any = {"markerfacecolor": "none", "markeredgecolor": INK, "markersize": 9}
        handles.append(Line2D([], [], linestyle="", marker="o", label="held out", **ring))
    if any(mark.lost for mark in data.every_mark):
        handles.append(Line2D([], [], linestyle="", marker="x", markersize=5, color=INK, label="lost again"))
    if data.y is not None and any(panel.hatched.any() for panel in data.panels):
        words = textwrap.fill(data.hatch_label, 60 if across_top else 22)
        handles.append(Patch(facecolor=EMPTY, edgecolor=HATCH_INK, hatch=HATCH, linewidth=0, label=words))
    place: Any = {"loc": loc, "ncols": math.ceil(len(handles) / 2) if across_top else 1}
    figure.legend(handles=handles, frameon=False, fontsize=8, **place)


def _key_colours(name: str, data: PosteriorFigure) -> dict[str, Any]:
    """Where points have the colours of values, their shapes are shown without a colour."""
    by_value = (data.own_colours or not data.shaded) and data.y is not None
    return {
        "markerfacecolor": PAPER if by_value else OUTCOME_COLOURS[name],
        "markeredgecolor": INK if by_value else QUIET,
        "markeredgewidth": 0.6,
    }
