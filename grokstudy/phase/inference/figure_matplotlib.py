"""A fit's figure by matplotlib, without a display: PNG, SVG and PDF."""

from __future__ import annotations

from pathlib import Path
from typing import IO, Any

import matplotlib as mpl
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import NullLocator

from grokstudy.phase.figures_matplotlib import STYLE, empty_figure, title_and_note, write_figure
from grokstudy.phase.inference.result import INK_SERIES, FitFigure, Panel, Points
from grokstudy.phase.log_ticks import log_ticks
from grokstudy.phase.palette import INK, PAPER, QUIET
from grokstudy.phase.theme import SERIES

_WIDTH, _HEIGHT = 5.2, 4.6
_DASHES = {
    "solid": "-",
    "dash": "--",
    "dot": ":",
    "dashdot": "-.",
    "longdash": (0, (7, 2)),
    "longdashdot": (0, (7, 2, 1, 2)),
}
_TINT = 0.18


def fit_figure(data: FitFigure) -> Figure:
    """Panels beside each other, the note below."""
    across = max(len(data.panels), 1)
    with mpl.rc_context(STYLE):
        figure = empty_figure(max(across * _WIDTH, 7.0), _HEIGHT)
        for axes, panel in zip(figure.subplots(1, across, squeeze=False).flat, data.panels, strict=False):
            _draw(axes, panel)
        title_and_note(figure, data.title, data.note)
    return figure


def save(data: FitFigure, target: Path | str | IO[bytes], format: str | None = None) -> None:
    """Writes PNG, SVG or PDF, chosen by the suffix or by `format` for an open file."""
    write_figure(fit_figure(data), target, format)


def _draw(axes: Axes, panel: Panel) -> None:
    for log, scale in ((panel.x_log, axes.set_xscale), (panel.y_log, axes.set_yscale)):
        if log:
            scale("log")
    handles: list[Any] = []
    for region in panel.regions:
        colour = _colour(region.series)[0]
        axes.contourf(region.x, region.y, region.height, [-np.inf, region.level], colors=[colour], alpha=_TINT)
        axes.contour(region.x, region.y, region.height, [region.level], colors=[colour], linewidths=1.4)
        handles += _named(Patch(facecolor=colour, alpha=_TINT, label=region.name))
    for band in panel.bands:
        colour = _colour(band.series)[0]
        axes.fill_between(band.x, band.low, band.high, color=colour, alpha=_TINT, linewidth=0, zorder=1)
        handles += _named(Patch(facecolor=colour, alpha=_TINT, label=band.name))
    for line in panel.lines:
        colour, dash = _colour(line.series)
        style: Any = {"color": colour, "linestyle": _DASHES[dash], "linewidth": 0.9 if line.thin else 1.6}
        axes.plot(line.x, line.y, drawstyle="steps-post" if line.steps else "default", zorder=2, **style)
        handles += _named(Line2D([], [], label=line.name, **style))
    for points in panel.points:
        handles += _named(_draw_points(axes, points))
    _dress(axes, panel)
    if handles:
        axes.legend(handles=handles, frameon=False, fontsize=7.5, loc="best")


def _draw_points(axes: Axes, points: Points) -> Line2D:
    colour = _colour(points.series)[0]
    beyond = np.zeros(len(points.x), dtype=bool) if points.beyond is None else points.beyond
    if points.low is not None and points.high is not None:
        reach = np.array([_reach(points.y - points.low), _reach(points.high - points.y)])[:, ~beyond]
        style: Any = {"fmt": "none", "ecolor": colour, "elinewidth": 1.1, "capsize": 2, "zorder": 3}
        axes.errorbar(points.x[~beyond], points.y[~beyond], yerr=reach, **style)
    axes.scatter(points.x[~beyond], points.y[~beyond], s=20, color=colour, edgecolors=PAPER, linewidths=0.4, zorder=4)
    axes.scatter(
        points.x[beyond],
        points.y[beyond],
        s=22,
        marker="^",
        facecolors="none",
        edgecolors=colour,
        linewidths=0.9,
        zorder=4,
    )
    return Line2D([], [], color=colour, marker="o", markersize=4.5, linestyle="none", label=points.name)


def _reach(distance: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
    """Length of an error bar; none where the end is not known or infinite."""
    return np.asarray(np.where(np.isfinite(distance), np.maximum(distance, 0.0), 0.0))


def _dress(axes: Axes, panel: Panel) -> None:
    axes.set_title(panel.title)
    axes.set_xlabel(panel.x_label)
    axes.set_ylabel(panel.y_label)
    axes.spines[["top", "right"]].set_visible(False)
    if panel.x_ticks:
        axes.set_xticks([at for at, _ in panel.x_ticks], [text for _, text in panel.x_ticks])
        axes.set_xlim(panel.x_ticks[0][0] - 0.5, panel.x_ticks[-1][0] + 0.5)
    for mark in panel.marks:  # limits that hold the marks too, before any of them is placed
        axes.update_datalim([(mark.at, mark.at)], updatex=mark.upright, updatey=not mark.upright)
    axes.autoscale_view()
    for mark in panel.marks:
        style: Any = {"color": QUIET, "linewidth": 0.8, "linestyle": ":", "zorder": 1}
        if mark.upright:
            axes.axvline(mark.at, **style)
            place, where = (mark.at, 1.0), ("data", "axes fraction")
        else:
            axes.axhline(mark.at, **style)
            place, where = (1.0, mark.at), ("axes fraction", "data")
        axes.annotate(mark.text, place, xycoords=where, fontsize=7.5, color=QUIET, ha="left", va="bottom")
    for log, axis, ends in (  # after the marks, which may widen the axes
        (panel.x_log, axes.xaxis, axes.get_xlim()),
        (panel.y_log, axes.yaxis, axes.get_ylim()),
    ):
        if log:
            ticks = log_ticks(*ends)
            axis.set_ticks([at for at, _ in ticks], labels=[text for _, text in ticks])
            axis.set_minor_locator(NullLocator())
    for points in panel.points:
        _open_ends(axes, points)


def _open_ends(axes: Axes, points: Points) -> None:
    """A bar that leaves the panel, with an arrow at its edge, where an end of an interval is infinite."""
    if points.low is None or points.high is None:
        return
    colour, edges = _colour(points.series)[0], axes.get_ylim()
    for ends, edge, marker in ((points.low, edges[0], "v"), (points.high, edges[1], "^")):
        open_ = np.isinf(ends) & np.isfinite(points.y)
        if not open_.any():
            continue
        axes.vlines(points.x[open_], points.y[open_], edge, color=colour, linewidth=1.1, zorder=3)
        axes.plot(points.x[open_], np.full(open_.sum(), edge), marker, color=colour, markersize=5, clip_on=False)
    axes.set_ylim(edges)


def _named(handle: Any) -> list[Any]:
    return [handle] if handle.get_label() else []


def _colour(series: int) -> tuple[str, str]:
    return (INK, "solid") if series == INK_SERIES else SERIES[series % len(SERIES)]
