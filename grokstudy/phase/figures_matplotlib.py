"""Phase diagrams by matplotlib, without a display: PNG, SVG and PDF."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colorbar import Colorbar
from matplotlib.colors import BoundaryNorm, Colormap, ListedColormap, LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, PathPatch, Rectangle
from matplotlib.path import Path as Outline
from matplotlib.patheffects import AbstractPathEffect, Normal, Stroke
from matplotlib.ticker import NullLocator

from grokstudy.phase.boundary import Boundary
from grokstudy.phase.dots import DOT_ROOM
from grokstudy.phase.figure_data import FigureData, Frame, Panel, Scale
from grokstudy.phase.log_ticks import log_ticks
from grokstudy.phase.overlay import OverlayMark
from grokstudy.phase.palette import EMPTY, INK, OUTCOME_COLOURS, PAPER, QUIET, ink_on
from grokstudy.phase.room import count_text
from grokstudy.phase.tiles import NO_TRIAL, OUTCOMES

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
_TITLE_LETTERS = 46  # over one panel at 10.5 points
_LABEL_LETTERS = 48  # along one panel at 9.5 points
_FEW_RINGS = 16
_FINE = 1000
"""Marks above which they become pixels in SVG and PDF too: files stay small and quick to open."""
_PANEL_POINTS = (295.0, 265.0)
"""Width and height of what is drawn of a panel."""
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
            draw_overlay(axes, panel.overlay)
            axes.set_title(textwrap.fill(panel.title, _TITLE_LETTERS))
        for line, axes in zip(data.lines, flat, strict=False):
            if isinstance(line, Boundary):
                _draw_line_over(axes, line)
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
    kept = note.replace("   ·", "\u00a0\u00a0\u00a0·")  # a line ends behind a dot, none begins with one
    lines = textwrap.wrap(kept, int(figure.get_figwidth() * _NOTE_LETTERS))
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
        linewidth=_gap(panel.counts.shape),
    )
    hatch(axes, data.x, data.y, panel)
    for j, i in np.ndindex(panel.counts.shape) if data.counts_written else ():
        colour = QUIET if panel.hatched[j, i] else ink_on(*colours(norm(panel.value[j, i]))[:3])
        text = count_text(int(panel.counts[j, i]), int(panel.undetermined[j, i]))
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
    size = _dot_size(panel, flat=True)
    for name in OUTCOME_COLOURS:
        own = [dot for dot in panel.dots if dot.outcome == name]
        style = {**_dot_style(name), "zorder": 4, "clip_on": False, "rasterized": len(own) > _FINE}
        axes.scatter([d.x for d in own], [d.value for d in own], s=size, **style)
    lost = [dot for dot in panel.dots if dot.lost]
    axes.scatter([d.x for d in lost], [d.value for d in lost], s=size, c=INK, marker="x", linewidths=1, zorder=5)
    if data.categories:  # nothing lies between two kinds
        axes.scatter(data.x.centres, values, s=620, marker="_", color=INK, linewidth=1.4, zorder=1)
    else:  # rings, so that the trial in the middle is seen inside; no line joins names, which have no order
        line = "" if data.x.categorical else "-"
        ring: Any = {
            "marker": "o",
            "markersize": 9 if len(values) <= _FEW_RINGS else 5,
            "markerfacecolor": PAPER,
            "markeredgewidth": 1.3,
        }
        axes.plot(data.x.centres, values, color=INK, linestyle=line, linewidth=1.2, zorder=3, **ring)
    if data.value_log:
        _log_values(axes, data, panel)
    if data.categories:
        axes.set_yticks(range(len(data.categories)), data.categories)
    for i, count in enumerate(panel.counts[0]):
        if panel.hatched[0, i]:
            axes.axvspan(data.x.edges[i], data.x.edges[i + 1], facecolor=EMPTY, edgecolor=HATCH_INK, hatch=HATCH, lw=0)
        if data.counts_written:
            text = f"n={count_text(count, panel.undetermined[0, i])}"
            at: Any = {"xycoords": ("data", "axes fraction"), "xytext": (0, 3), "textcoords": "offset points"}
            words: Any = {"ha": "center", "va": "bottom", "fontsize": 6.5, "color": QUIET}
            axes.annotate(text, (data.x.centres[i], 1.0), **at, **words)
    axes.set_ylabel(textwrap.fill(data.value_label, _LABEL_LETTERS))
    axes.grid(axis="y", color="#E6E6E6", linewidth=0.6)
    axes.set_axisbelow(True)


def _log_values(axes: Axes, data: FigureData, panel: Panel) -> None:
    """A log axis of values that leaves room above and below, with ticks in plain numbers."""
    seen = np.array([dot.value for dot in panel.dots if dot.value > 0] + [data.low, data.high])
    low, high = float(seen.min()), float(seen.max())
    room = max(high / low, 1.5) ** 0.06
    axes.set_yscale("log")
    axes.set_ylim(low / room, high * room)
    ticks = log_ticks(low / room, high * room)
    axes.set_yticks([at for at, _ in ticks], [text for _, text in ticks])
    axes.yaxis.set_minor_locator(NullLocator())


def draw_mosaic(axes: Axes, x: Scale, y: Scale | None, panel: Panel) -> None:
    """Every cell split into one tile per trial, coloured by outcome: nothing is averaged."""
    dress(axes, x, y)
    hatch(axes, x, y, panel)
    tiles = panel.tiles
    colours = ListedColormap(list(OUTCOME_COLOURS.values()))
    shown = np.ma.masked_equal(tiles.outcome, NO_TRIAL)
    norm = BoundaryNorm(np.arange(len(OUTCOMES) + 1) - 0.5, len(OUTCOMES))
    fine: Any = {"linewidth": 0.35, "edgecolors": PAPER} if tiles.outcome.size <= _FINE * 4 else {"rasterized": True}
    axes.pcolormesh(tiles.x, tiles.y, shown, cmap=colours, norm=norm, **fine)
    for row, column in np.argwhere(tiles.outcome == OUTCOMES.index("undetermined")):
        tile = _rectangle(tiles.x[column], tiles.y[row], tiles.x[column + 1], tiles.y[row + 1])
        tile.set(facecolor=PAPER, edgecolor=HATCH_INK, hatch="....", linewidth=0)
        axes.add_patch(tile)
    rows, columns = np.nonzero(tiles.lost)
    places = (_middles(tiles.x, x)[columns], _middles(tiles.y, y)[rows])
    axes.scatter(places[0], places[1], s=26, c=PAPER, marker="x", linewidths=1, zorder=5)
    if y is None:
        axes.set_yticks([])
    gap = 2 * _gap(panel.counts.shape)
    for edge in x.edges:
        axes.axvline(edge, color=PAPER, linewidth=gap)
    for edge in y.edges if y else ():
        axes.axhline(edge, color=PAPER, linewidth=gap)


def _middles(edges: Float[np.ndarray, " n"], scale: Scale | None) -> Float[np.ndarray, " m"]:
    """Middles between edges, as the axis shows them."""
    low, high = edges[:-1], edges[1:]
    middles: np.ndarray = np.sqrt(low * high) if scale is not None and scale.log else (low + high) / 2
    return middles


def _gap(cells: tuple[int, ...]) -> float:
    """Points between cells: less between many."""
    return 0.9 if max(cells) <= 24 else 0.4


def _dot_size(panel: Panel, *, flat: bool = False) -> float:
    """Area of a dot in square points: as large as the room between dots allows, neither a speck nor a blot."""
    rows, columns = panel.tiles.outcome.shape
    width, height = _PANEL_POINTS
    apart = width / columns if flat else min(width / columns, DOT_ROOM * height / rows)
    return float(np.clip((0.6 * apart) ** 2, 6.0, 24.0))


def draw_dots(axes: Axes, panel: Panel) -> None:
    """One dot per trial, coloured by outcome."""
    size = _dot_size(panel)
    for name in OUTCOME_COLOURS:
        own = [dot for dot in panel.dots if dot.outcome == name]
        style = {**_dot_style(name), "zorder": 4, "rasterized": len(own) > _FINE}
        axes.scatter([d.x for d in own], [d.y for d in own], s=size, **style)
    lost = [dot for dot in panel.dots if dot.lost]  # forgetting must not look like grokking
    axes.scatter([d.x for d in lost], [d.y for d in lost], s=size, c=INK, marker="x", linewidths=1, zorder=5)


def _draw_line_over(axes: Axes, boundary: Boundary) -> None:
    """A line over cells, and the band in which it may lie."""
    if boundary.band:
        axes.add_patch(PathPatch(rings(boundary.band), zorder=2, fc=(1, 1, 1, 0.3), ec=INK, lw=0.7, ls=":"))
    for line in boundary.lines:
        axes.plot(line[:, 0], line[:, 1], color=INK, linewidth=1.8, zorder=3, path_effects=casing())


def rings(pieces: Sequence[Float[np.ndarray, "points 2"]]) -> Outline:
    """All rings as one path, so that a hole stays one."""
    codes = [[Outline.MOVETO, *[Outline.LINETO] * (len(ring) - 2), Outline.CLOSEPOLY] for ring in pieces]
    return Outline(np.concatenate(pieces), np.concatenate(codes))


def casing() -> list[AbstractPathEffect]:
    """A light edge along a line, so that it is seen on every colour."""
    return [Stroke(linewidth=3.6, foreground=PAPER), Normal()]


def draw_overlay(axes: Axes, overlay: Sequence[OverlayMark]) -> None:
    """Points from elsewhere: crosses with a white edge and labels on white, readable on every colour."""
    x, y = [mark.x for mark in overlay], [mark.y for mark in overlay]
    axes.scatter(x, y, s=52, marker="P", c=INK, edgecolors=PAPER, linewidths=0.9, zorder=6)
    box = {"facecolor": PAPER, "alpha": 0.85, "linewidth": 0, "pad": 1.2}
    for mark in overlay:
        if mark.label:
            text = axes.annotate(mark.label, (mark.x, mark.y), xytext=(7, 3), textcoords="offset points", fontsize=7.5)
            text.set(color=INK, zorder=6, annotation_clip=True, bbox=box)


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
        axis.set_ticks([at for at, _ in scale.tick_marks], [text for _, text in scale.tick_marks])
        axis.set_ticks([], minor=True)
        axis.set_label_text(textwrap.fill(scale.title, _LABEL_LETTERS))
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


def colour_map(data: Frame) -> tuple[Colormap, Normalize]:
    """Colours and their scale."""
    if data.categories:
        count = len(data.categories)
        return ListedColormap(data.category_colours), BoundaryNorm(np.arange(count + 1) - 0.5, count)
    norm = LogNorm(data.low, data.high, clip=True) if data.value_log else Normalize(data.low, data.high)
    return mpl.colormaps[data.colours], norm


def colour_bar(figure: Figure, data: Frame, beside: list[Axes]) -> Colorbar:
    """The colour scale with its label."""
    colours, norm = colour_map(data)
    bar = figure.colorbar(ScalarMappable(norm, colours), ax=beside, pad=0.015, fraction=0.045, aspect=28)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=2.5)
    bar.set_label(textwrap.fill(data.value_label, _LABEL_LETTERS))
    if data.value_log:
        ticks = log_ticks(data.low, data.high)
        bar.set_ticks([at for at, _ in ticks], labels=[text for _, text in ticks])
        bar.ax.yaxis.set_minor_locator(NullLocator())
    if data.categories:
        bar.set_ticks(list(range(len(data.categories))), labels=list(data.categories))
    return bar


def outcome_legend(figure: Figure, data: FigureData, *, tiles: bool = False, across_top: bool = False) -> None:
    """The outcomes that occur, and what hatching means."""
    shown = data.outcomes if tiles or any(panel.dots for panel in data.panels) else ()
    handles: list[Line2D | Patch] = [
        Patch(facecolor=colour, edgecolor=QUIET, linewidth=0.4, label=name)
        if tiles
        else Line2D([], [], linestyle="", marker="o", markersize=5, label=name, **_line_style(name))
        for name, colour in OUTCOME_COLOURS.items()
        if name in shown
    ]
    if any(panel.hatched.any() for panel in data.panels):
        handles.append(Patch(facecolor=EMPTY, edgecolor=HATCH_INK, hatch=HATCH, linewidth=0, label=data.hatch_label))
    if shown and any(panel.tiles.lost.any() for panel in data.panels):
        handles.append(Line2D([], [], linestyle="", marker="x", markersize=5, color=INK, label="lost again"))
    place: Any = {"loc": "outside upper right", "ncols": len(handles)} if across_top else {"loc": "outside right upper"}
    figure.legend(handles=handles, frameon=False, fontsize=8, **place)


def _rectangle(left: float, bottom: float, right: float, top: float) -> Rectangle:
    return Rectangle((left, bottom), right - left, top - bottom)


def _dot_style(name: str) -> dict[str, Any]:
    return {"c": OUTCOME_COLOURS[name], "edgecolors": PAPER if name != "undetermined" else QUIET, "linewidths": 0.5}


def _line_style(name: str) -> dict[str, Any]:
    return {"markerfacecolor": OUTCOME_COLOURS[name], "markeredgecolor": QUIET, "markeredgewidth": 0.4}
