"""Pictures of networks by matplotlib, without a display: PNG, SVG and PDF for papers."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from grokstudy.phase.circuit_figures_data import Bars, Dots, Heat, Line, Mark, Panel, Picture, Scale
from grokstudy.phase.figures_matplotlib import STYLE, empty_figure, title_and_note
from grokstudy.phase.log_ticks import log_ticks
from grokstudy.phase.palette import PAPER, QUIET, SHARE_SCALE

COLOURS = {"sequential": SHARE_SCALE, "diverging": "RdBu", "cyclic": "twilight"}
_DASHES = (0, (3, 3))
_MARGIN = 0.9
"""Inches for the title and the note."""
_LEGEND_COLUMNS = 4


def drawn(picture: Picture) -> Figure:
    """The picture as a figure; write it with `figures_matplotlib.write_figure`."""
    with mpl.rc_context(STYLE):
        figure = empty_figure(picture.across * picture.width, picture.down * picture.height + _MARGIN)
        flat = list(figure.subplots(picture.down, picture.across, squeeze=False).flat)
        for panel, axes in zip(picture.panels, flat, strict=False):
            draw_panel(axes, panel)
        for axes in flat[len(picture.panels) :]:
            axes.set_axis_off()
        _colour_bars(figure, picture, flat)
        title_and_note(figure, picture.title, picture.note)
    return figure


def draw_panel(axes: Axes, panel: Panel) -> None:
    """One panel with its phases, rules and legend."""
    for band in panel.bands:
        axes.axvspan(band.start, band.end, color=band.colour, linewidth=0, zorder=0)
        middle = float(np.sqrt(band.start * band.end)) if panel.x.log else (band.start + band.end) / 2
        at: Any = {"xycoords": ("data", "axes fraction"), "ha": "center", "va": "top"}
        axes.annotate(band.name, (middle, 0.985), color=QUIET, size=8, **at)
    for rule in panel.rules:
        (axes.axhline if rule.across else axes.axvline)(rule.at, color=rule.colour, linewidth=0.8, linestyle=_DASHES)
    for mark in panel.marks:
        _mark(axes, mark)
    _dress(axes, panel)


def _mark(axes: Axes, mark: Mark) -> None:
    match mark:
        case Line():
            marker = "o" if mark.markers else ""
            name = mark.name or None
            axes.plot(mark.x, mark.y, color=mark.colour, label=name, linewidth=1.5, marker=marker, markersize=3)
        case Bars():
            bottom = 0 if mark.base is None else mark.base
            axes.bar(mark.x, mark.height, mark.width, bottom, color=mark.colour, label=mark.name or None, linewidth=0)
        case Heat():
            values = np.ma.masked_invalid(mark.values)
            axes.pcolormesh(mark.x, mark.y, values, cmap=_colours(mark.scale), norm=_norm(mark.scale), rasterized=True)
        case Dots():
            colours: Any = {"c": mark.values, "cmap": _colours(mark.scale), "norm": _norm(mark.scale)}
            axes.scatter(mark.x, mark.y, s=22, edgecolors=QUIET, linewidths=0.4, zorder=3, **colours)
            for x, y, word in zip(mark.x, mark.y, mark.words, strict=True) if mark.written else ():
                axes.annotate(word, (x, y), xytext=(3, 3), textcoords="offset points", size=6.5, color=QUIET)


def _dress(axes: Axes, panel: Panel) -> None:
    axes.set_title(panel.title)
    for axis, given, scale, limits in (
        (axes.xaxis, panel.x, axes.set_xscale, axes.set_xlim),
        (axes.yaxis, panel.y, axes.set_yscale, axes.set_ylim),
    ):
        if given.log:
            scale("log")
        limits(given.low, given.high)
        axis.set_label_text(given.label)
        if given.ticks:
            axis.set_ticks([at for at, _ in given.ticks], [text for _, text in given.ticks], minor=False)
            axis.set_ticks([], minor=True)
        elif given.log:
            _log_ticks(axis)
    if panel.square:
        axes.set_aspect("equal")
    if not any(isinstance(mark, Heat) for mark in panel.marks):
        axes.grid(color="#EDEDED", linewidth=0.6)
        axes.set_axisbelow(True)
    axes.tick_params(length=2.5)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    handles, _ = axes.get_legend_handles_labels()
    if handles:
        columns = min(len(handles), _LEGEND_COLUMNS)
        place: Any = {"loc": "lower right", "bbox_to_anchor": (1.0, 0.995), "borderaxespad": 0.2}
        axes.legend(frameon=False, fontsize=8, ncols=columns, handlelength=1.4, columnspacing=1.2, **place)


def _log_ticks(axis: Axis) -> None:
    """Numbers that can be read at the ticks of a log axis as it stands."""
    ticks = log_ticks(*sorted(axis.get_view_interval()))
    axis.set_ticks([at for at, _ in ticks], [text for _, text in ticks])
    axis.set_minor_formatter(NullFormatter())


def _colour_bars(figure: Figure, picture: Picture, axes: list[Axes]) -> None:
    """One bar per scale, beside the panels that use it."""
    beside: dict[Scale, list[Axes]] = {}
    for panel, own in zip(picture.panels, axes, strict=False):
        for scale in {mark.scale for mark in panel.marks if isinstance(mark, (Heat, Dots))}:
            beside.setdefault(scale, []).append(own)
    for scale, users in beside.items():
        bar = figure.colorbar(ScalarMappable(_norm(scale), _colours(scale)), ax=users, pad=0.015, fraction=0.05)
        bar.outline.set_visible(False)
        bar.ax.tick_params(length=2.5)
        bar.set_label(scale.label)


def _colours(scale: Scale) -> mpl.colors.Colormap:
    return mpl.colormaps[COLOURS[scale.colours]].with_extremes(bad=PAPER)


def _norm(scale: Scale) -> Normalize:
    return Normalize(scale.low, scale.high)
