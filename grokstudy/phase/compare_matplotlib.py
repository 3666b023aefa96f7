"""A comparison by matplotlib, without a display: PNG, SVG and PDF."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from grokstudy.phase.compare_figure import ORDERS, SIDES, CompareFigure, Mark, StripMarks, interval
from grokstudy.phase.figures_matplotlib import STYLE, empty_figure, title_and_note, write_figure
from grokstudy.phase.palette import EMPTY, INK, PAPER, QUIET

_STRIP_WIDTH, _HEIGHT = 1.15, 6.4


def compare_figure(data: CompareFigure) -> Figure:
    """Values above, effects below, one strip per cell."""
    with mpl.rc_context(STYLE):
        figure = empty_figure(max(len(data.strips) * _STRIP_WIDTH + 3.8, 7.6), _HEIGHT)
        values, effects = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
        _dress(values, data.value_label, data.log_value, data.value_range, data.strips)
        _dress(effects, data.effect_label, data.log_effect, data.effect_range, data.strips)
        if data.limit is not None:
            values.axhspan(data.limit, data.value_range[1], facecolor=EMPTY, edgecolor="none", zorder=0)
            values.axhline(data.limit, color=QUIET, linewidth=0.8, linestyle=(0, (3, 3)))
            place = {"xycoords": ("axes fraction", "data"), "fontsize": 7.5, "color": QUIET, "va": "center"}
            values.annotate("not seen by T", (1.005, data.band), **place)
        effects.axhline(1.0 if data.log_effect else 0.0, color=QUIET, linewidth=0.8)
        for strip in data.strips:
            _draw_strip(values, effects, strip, data)
        title_and_note(figure, data.title, data.note)
        figure.legend(handles=_legend(data), frameon=False, fontsize=8, loc="outside right center")
    return figure


def save(data: CompareFigure, target: Path | str | IO[bytes], format: str | None = None) -> None:
    """Writes PNG, SVG or PDF, chosen by the suffix or by `format` for an open file."""
    write_figure(compare_figure(data), target, format)


def _draw_strip(values: Axes, effects: Axes, strip: StripMarks, data: CompareFigure) -> None:
    for pair in strip.pairs:
        if "none" not in (pair.a.bound, pair.b.bound):
            colour = ORDERS[pair.order][0]
            values.plot([pair.a.x, pair.b.x], [pair.a.y, pair.b.y], color=colour, linewidth=1.0, alpha=0.75, zorder=2)
    for side, colour in (("a", QUIET), ("b", INK)):
        _draw_marks(values, [getattr(pair, side) for pair in strip.pairs], colour)
    _draw_marks(effects, [pair.effect for pair in strip.pairs], QUIET, small=True)
    if any(pair.effect.bound != "none" for pair in strip.pairs):
        effects.vlines(strip.left + 0.5, *interval(strip, data), color=INK, linewidth=6, alpha=0.22, zorder=1)
        exact = strip.median_low == strip.median_high
        line: Any = {"color": INK, "linewidth": 1.6, "linestyle": "solid" if exact else (0, (2, 1.2)), "zorder": 4}
        for end in (strip.median_low, strip.median_high):
            if end is not None:
                effects.hlines(end, strip.left + 0.28, strip.left + 0.72, **line)


def _draw_marks(axes: Axes, marks: Sequence[Mark], colour: str, *, small: bool = False) -> None:
    for bound, symbol in (("exact", "o"), ("above", "^"), ("below", "v")):
        own = [mark for mark in marks if mark.bound == bound]
        face = colour if bound == "exact" else PAPER
        axes.scatter(
            [mark.x for mark in own],
            [mark.y for mark in own],
            s=14 if small else 22,
            marker=symbol,
            c=face,
            edgecolors=PAPER if bound == "exact" else colour,
            linewidths=0.5 if bound == "exact" else 1.0,
            zorder=3,
        )


def _dress(axes: Axes, label: str, log: bool, ends: tuple[float, float], strips: Sequence[StripMarks]) -> None:
    if log:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(*ends)
    axes.set_xlim(0, len(strips))
    axes.set_ylabel(label)
    axes.grid(axis="y", color="#EDEDED", linewidth=0.6)
    axes.set_axisbelow(True)
    for strip in strips[1:]:
        axes.axvline(strip.left, color="#E0E0E0", linewidth=0.8)
    crowded = max(len(name) for strip in strips for name in strip.names) > 8
    axes.set_xticks(
        [strip.left + side for strip in strips for side in SIDES],
        [name for strip in strips for name in strip.names],
        fontsize=7.5,
        rotation=35 if crowded else 0,
        ha="right" if crowded else "center",
    )
    axes.set_xticks([strip.left + 0.5 for strip in strips], [], minor=True)
    axes.tick_params(axis="x", length=0, which="both")
    if axes.get_subplotspec().is_first_row():  # type: ignore[union-attr]
        for strip in strips:
            axes.annotate(
                strip.label,
                (strip.left + 0.5, 1.0),
                xycoords=("data", "axes fraction"),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                va="bottom",
                fontsize=8,
                color=INK,
            )
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _legend(data: CompareFigure) -> list[Line2D]:
    present = {pair.order for strip in data.strips for pair in strip.pairs}
    handles = [
        Line2D([], [], color=colour, linewidth=1.4, label=text)
        for order, (colour, text) in ORDERS.items()
        if order in present
    ]
    if any(mark.bound == "above" for strip in data.strips for pair in strip.pairs for mark in (pair.a, pair.b)):
        style = {"linestyle": "", "marker": "^", "markerfacecolor": PAPER, "markeredgecolor": INK, "markersize": 5}
        handles.append(Line2D([], [], label="not seen by T: a lower bound", **style))  # type: ignore[arg-type]
    return handles
