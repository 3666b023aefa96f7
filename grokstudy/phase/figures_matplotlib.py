"""Phase diagrams by matplotlib, without a display: PNG, SVG and PDF."""

from __future__ import annotations

import math
import textwrap
from pathlib import Path
from typing import IO, Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.collections import PatchCollection
from matplotlib.colorbar import Colorbar
from matplotlib.colors import BoundaryNorm, Colormap, ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from grokstudy.phase.figure_data import FigureData, Panel, Scale
from grokstudy.phase.palette import EMPTY, INK, OUTCOME_COLOURS, PAPER, QUIET, ink_on

STYLE: Any = {
    "font.family": "sans-serif",
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": INK,
    "axes.edgecolor": QUIET,
    "axes.linewidth": 0.8,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "xtick.color": QUIET,
    "ytick.color": QUIET,
    "hatch.linewidth": 0.6,
    "svg.fonttype": "none",  # text stays text: searchable, editable
    "svg.hashsalt": "grokstudy",  # equal figures are equal files
    "pdf.fonttype": 42,
}
HATCH, HATCH_INK = "/////", "#BDBDBD"
_DPI = 200
_PANEL_WIDTH, _PANEL_HEIGHT = 5.4, 4.4
_MOST_ACROSS = 3
_NOTE_LETTERS = 16  # per inch at 7.5 points
_DATES = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": None}


def save(data: FigureData, target: Path | str | IO[bytes], format: str | None = None) -> None:
    """Writes the figure as PNG, SVG or PDF, chosen by the suffix or by `format` for an open file."""
    write_figure(phase_figure(data), target, format)


def write_figure(figure: Figure, target: Path | str | IO[bytes], format: str | None = None) -> None:
    """Writes any figure of this room; equal figures become equal bytes."""
    kind = format or Path(str(target)).suffix.removeprefix(".")
    with mpl.rc_context(STYLE):
        figure.savefig(target, format=kind, dpi=_DPI, metadata=_DATES[kind], facecolor=PAPER)


def phase_figure(data: FigureData) -> Figure:
    """One panel per facet: a heat map with counts and dots, or values with intervals when there is no y."""
    across = 2 if len(data.panels) == 4 else min(len(data.panels), _MOST_ACROSS)
    down = math.ceil(len(data.panels) / across)
    with mpl.rc_context(STYLE):
        figure = empty_figure(across * _PANEL_WIDTH + 2.2, down * _PANEL_HEIGHT + 0.9)
        grid = figure.subplots(down, across, squeeze=False)
        flat = list(grid.flat)
        for panel, axes in zip(data.panels, flat, strict=False):
            (draw_heat if data.y else draw_line)(axes, data, panel)
            _draw_overlay(axes, panel)
            axes.set_title(panel.title)
        for axes in flat[len(data.panels) :]:
            axes.set_axis_off()
        if data.y:
            colour_bar(figure, data, flat[: len(data.panels)])
        title_and_note(figure, data.title, data.note)
        outcome_legend(figure, data)
    return figure


def title_and_note(figure: Figure, title: str, note: str) -> None:
    """The title above, the note below in as many lines as the width asks for."""
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold", color=INK)
    lines = textwrap.wrap(note, int(figure.get_figwidth() * _NOTE_LETTERS))
    figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=7.5, color=QUIET)


def empty_figure(width: float, height: float) -> Figure:
    """A figure that is drawn without a display; inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def draw_heat(axes: Axes, data: FigureData, panel: Panel, *, dots: bool = True) -> None:
    """Cells coloured by value, hatched where there is none, with the number of trials and a dot per trial."""
    assert data.y is not None
    colours, norm = colour_map(data)
    dress(axes, data.x, data.y)
    axes.pcolormesh(
        data.x.edges,
        data.y.edges,
        np.ma.masked_array(panel.value, panel.hatched),
        cmap=colours,
        norm=norm,
        edgecolors=PAPER,
        linewidth=0.8,
    )
    hatch(axes, data.x, data.y, panel)
    for j, i in np.ndindex(panel.counts.shape):
        colour = QUIET if panel.hatched[j, i] else ink_on(*colours(norm(panel.value[j, i]))[:3])
        text = f"{panel.counts[j, i]}" + (f"+{panel.undetermined[j, i]}?" if panel.undetermined[j, i] else "")
        at = (data.x.edges[i], data.y.edges[j + 1])
        axes.annotate(text, at, xytext=(3, -2), textcoords="offset points", va="top", fontsize=6.5, color=colour)
    if dots:
        draw_dots(axes, panel)


def draw_line(axes: Axes, data: FigureData, panel: Panel) -> None:
    """Value against x with Wilson intervals (shares) or with every trial as a dot (everything else)."""
    dress(axes, data.x, None)
    values, low, high = panel.value[0], panel.low[0], panel.high[0]
    if np.isfinite(low).any():
        axes.vlines(data.x.centres, low, high, color=INK, linewidth=1.2, alpha=0.45)
        axes.set_ylim(-0.05, 1.05)
    for name in OUTCOME_COLOURS:
        own = [dot for dot in panel.dots if dot.outcome == name]
        axes.scatter([d.x for d in own], [d.value for d in own], s=14, zorder=2, clip_on=False, **_dot_style(name))
    if data.categories:  # nothing lies between two kinds
        axes.scatter(data.x.centres, values, s=620, marker="_", color=INK, linewidth=1.4, zorder=1)
    else:
        axes.plot(data.x.centres, values, color=INK, marker="o", markersize=4.5, linewidth=1.4, zorder=3)
    if data.value_log:
        axes.set_yscale("log")
        if not any(dot.value > 0 for dot in panel.dots):  # a log axis without data has no limits of its own
            axes.set_ylim(data.low, data.high)
    if data.categories:
        axes.set_yticks(range(len(data.categories)), data.categories)
    for i, count in enumerate(panel.counts[0]):
        if panel.hatched[0, i]:
            axes.axvspan(data.x.edges[i], data.x.edges[i + 1], facecolor=EMPTY, edgecolor=HATCH_INK, hatch=HATCH, lw=0)
        at = (data.x.centres[i], 1.0)
        axes.annotate(
            f"n={count}",
            at,
            xycoords=("data", "axes fraction"),
            xytext=(0, 3),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize=6.5,
            color=QUIET,
        )
    axes.set_ylabel(data.value_label)
    axes.grid(axis="y", color="#E6E6E6", linewidth=0.6)
    axes.set_axisbelow(True)


def draw_mosaic(axes: Axes, x: Scale, y: Scale | None, panel: Panel) -> None:
    """Every cell split into one tile per trial, coloured by outcome: nothing is averaged."""
    dress(axes, x, y)
    hatch(axes, x, y, panel)
    for name, colour in OUTCOME_COLOURS.items():
        tiles = [_rectangle(*dot.tile) for dot in panel.dots if dot.outcome == name]
        collection = PatchCollection(tiles, facecolor=colour, edgecolor=PAPER, linewidth=0.35)
        if name == "undetermined":
            collection.set(edgecolor=HATCH_INK, hatch="....", linewidth=0)
        axes.add_collection(collection, autolim=False)
    _mark_lost(axes, panel, tiles=True)
    if y is None:
        axes.set_yticks([])
    for edge in x.edges:
        axes.axvline(edge, color=PAPER, linewidth=1.8)
    for edge in y.edges if y else ():
        axes.axhline(edge, color=PAPER, linewidth=1.8)


def draw_dots(axes: Axes, panel: Panel) -> None:
    """One dot per trial, coloured by outcome."""
    for name in OUTCOME_COLOURS:
        own = [dot for dot in panel.dots if dot.outcome == name]
        axes.scatter([d.x for d in own], [d.y for d in own], s=11, zorder=4, **_dot_style(name))
    _mark_lost(axes, panel)


def _draw_overlay(axes: Axes, panel: Panel) -> None:
    """Points from elsewhere: crosses with a white edge and labels on white, readable on every colour."""
    x, y = [mark.x for mark in panel.overlay], [mark.y for mark in panel.overlay]
    axes.scatter(x, y, s=52, marker="P", c=INK, edgecolors=PAPER, linewidths=0.9, zorder=6)
    box = {"facecolor": PAPER, "alpha": 0.85, "linewidth": 0, "pad": 1.2}
    for mark in panel.overlay:
        if mark.label:
            text = axes.annotate(mark.label, (mark.x, mark.y), xytext=(7, 3), textcoords="offset points", fontsize=7.5)
            text.set(color=INK, zorder=6, annotation_clip=True, bbox=box)


def _mark_lost(axes: Axes, panel: Panel, *, tiles: bool = False) -> None:
    """Crosses out trials that generalised and lost it: forgetting must not look like grokking."""
    places = [dot.middle if tiles else (dot.x, dot.y) for dot in panel.dots if dot.lost]
    x, y = [place[0] for place in places], [place[1] for place in places]
    axes.scatter(x, y, s=26 if tiles else 10, c=PAPER if tiles else INK, marker="x", linewidths=1, zorder=5)


def dress(axes: Axes, x: Scale, y: Scale | None) -> None:
    """Scales, limits, ticks and labels; the slot of 0 on a log axis is set apart by a white gap."""
    for scale, axis, limits, line in (
        (x, axes.xaxis, axes.set_xlim, axes.axvline),
        (y, axes.yaxis, axes.set_ylim, axes.axhline),
    ):
        if scale is None:
            continue
        (axes.set_xscale if axis is axes.xaxis else axes.set_yscale)("log" if scale.log else "linear")
        limits(scale.edges[0], scale.edges[-1])
        axis.set_ticks(scale.centres[list(scale.ticks)], [scale.names[i] for i in scale.ticks])
        axis.set_ticks([], minor=True)
        axis.set_label_text(scale.label)
        if scale.zero_slot:
            line(scale.edges[1], color=PAPER, linewidth=5, zorder=3 if y else 0.5)
    axes.tick_params(length=2.5)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def hatch(axes: Axes, x: Scale, y: Scale | None, panel: Panel) -> None:
    """Hatches the cells that have no value."""
    heights = y.edges if y else np.array([0.0, 1.0])
    for j, i in np.argwhere(panel.hatched):
        cell = _rectangle(x.edges[i], heights[j], x.edges[i + 1], heights[j + 1])
        cell.set(facecolor=EMPTY, edgecolor=HATCH_INK, hatch=HATCH, linewidth=0)
        axes.add_patch(cell)


def colour_map(data: FigureData) -> tuple[Colormap, Normalize]:
    """Colours and their scale."""
    if data.categories:
        count = len(data.categories)
        return ListedColormap(data.category_colours), BoundaryNorm(np.arange(count + 1) - 0.5, count)
    norm = LogNorm(data.low, data.high) if data.value_log else Normalize(data.low, data.high)
    return mpl.colormaps[data.colours], norm


def colour_bar(figure: Figure, data: FigureData, beside: list[Axes]) -> Colorbar:
    """The colour scale with its label."""
    colours, norm = colour_map(data)
    bar = figure.colorbar(ScalarMappable(norm, colours), ax=beside, pad=0.015, fraction=0.045, aspect=28)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=2.5)
    bar.set_label(data.value_label)
    if data.categories:
        bar.set_ticks(list(range(len(data.categories))), labels=list(data.categories))
    return bar


def outcome_legend(figure: Figure, data: FigureData, *, tiles: bool = False, across_top: bool = False) -> None:
    """The outcomes that occur, and what hatching means."""
    present = {dot.outcome for panel in data.panels for dot in panel.dots}
    handles: list[Line2D | Patch] = [
        Patch(facecolor=colour, edgecolor=QUIET, linewidth=0.4, label=name)
        if tiles
        else Line2D([], [], linestyle="", marker="o", markersize=5, label=name, **_line_style(name))
        for name, colour in OUTCOME_COLOURS.items()
        if name in present
    ]
    if any(panel.hatched.any() for panel in data.panels):
        handles.append(Patch(facecolor=EMPTY, edgecolor=HATCH_INK, hatch=HATCH, linewidth=0, label=data.hatch_label))
    if any(dot.lost for panel in data.panels for dot in panel.dots):
        handles.append(Line2D([], [], linestyle="", marker="x", markersize=5, color=INK, label="lost again"))
    place: Any = {"loc": "outside upper right", "ncols": len(handles)} if across_top else {"loc": "outside right upper"}
    figure.legend(handles=handles, frameon=False, fontsize=8, **place)


def _rectangle(left: float, bottom: float, right: float, top: float) -> Rectangle:
    return Rectangle((left, bottom), right - left, top - bottom)


def _dot_style(name: str) -> dict[str, Any]:
    return {"c": OUTCOME_COLOURS[name], "edgecolors": PAPER if name != "undetermined" else QUIET, "linewidths": 0.5}


def _line_style(name: str) -> dict[str, Any]:
    return {"markerfacecolor": OUTCOME_COLOURS[name], "markeredgecolor": QUIET, "markeredgewidth": 0.4}
