"""The figure of a claim: the trials beside the published numbers, and each check's interval on what is equivalent."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec

from grokstudy.claims.account import Account
from grokstudy.claims.judge import Judged
from grokstudy.claims.planes import draw_planes
from grokstudy.claims.series import by_series
from grokstudy.claims.words import duration, interval, number
from grokstudy.phase.figures_matplotlib import STYLE, empty_figure, title_and_note, write_figure
from grokstudy.phase.palette import INK, OUTCOME_COLOURS, QUIET
from grokstudy.spec.claim import ClaimFigure

SERIES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#222222")
"""Okabe & Ito 2008."""
PUBLISHED = "#D55E00"
VERDICTS = {
    "reproduced": OUTCOME_COLOURS["grokking"],
    "not reproduced": PUBLISHED,
    "undecided": QUIET,
    "not run": QUIET,
}
_WIDTH, _ROW = 11.5, 0.62
_NAME_LETTERS, _TITLE_LETTERS = 44, 110
_FEW = 8
_MOST_JOINED = 16
"""Values of x whose medians are joined: those of an axis, which seeds share, not numbers that were measured."""
_MOST_INSIDE = 5
"""Entries of a legend inside the axes; one with more stands above them."""
_MOST_ACROSS, _LEGEND_LETTERS = 3, 72
"""Columns of that one, and how many letters its columns have together."""
_DIGITS = 17
"""Tell any two doubles apart."""


def claim_figure(account: Account) -> Figure:
    """Left the trials (where the claim has a figure), right a row per check."""
    record = account.claim.record
    height = max(3.4, 1.0 + _ROW * len(account.judged))
    with mpl.rc_context(STYLE):
        wide = record.figure is not None
        figure = empty_figure(_WIDTH if wide else _WIDTH / 1.7, height)
        grid = figure.add_gridspec(1, 2 if wide else 1, width_ratios=[1.15, 1] if wide else [1])
        if record.figure is not None and account.rows is not None:
            if "value" in account.rows:
                draw_planes(figure, grid[0, 0], record.figure, account.rows)
            else:
                _draw_rows(figure.add_subplot(grid[0, 0]), record.figure, account.rows)
        _draw_checks(figure, grid[0, -1], account.judged)
        title = textwrap.fill(f"{record.number}. {record.statement}", _TITLE_LETTERS if wide else _TITLE_LETTERS // 2)
        title_and_note(figure, title, _note(account))
    return figure


def save_claim_figure(account: Account, target: Path) -> None:
    """Writes it in the format of the suffix."""
    write_figure(claim_figure(account), target)


def _note(account: Account) -> str:
    read = f"tau {account.thresholds.tau:g}, R {account.thresholds.ratio:g}"
    lines = _lines(account.claim.record.figure, account.rows)
    return (
        f"{account.claim.record.source}   ·   {account.trials} trials, {duration(account.seconds)} of one core   ·   "
        f"{read}   ·   {lines + '   ·   ' if lines else ''}band: equivalent   ·   open diamond: published   ·   "
        "dot: ours with its 95 % interval over seeds"
    )


def _lines(asked: ClaimFigure | None, rows: pd.DataFrame | None) -> str:
    """What the lines among the trials are; empty if there are none."""
    if asked is None or rows is None or "value" in rows:
        return ""
    if asked.lines:
        return "curves: single seeds"
    return "line: median of the dots" if any(len(_medians(asked, own)) for own in by_series(rows).values()) else ""


def _draw_rows(axes: Axes, asked: ClaimFigure, rows: pd.DataFrame) -> None:
    """A dot per row, joined (curves) or with the median of each x; published points as open diamonds."""
    series = by_series(rows.sort_values(["x", "y"]))
    for place, (name, own) in enumerate(series.items()):
        colour = SERIES[place % len(SERIES)]
        x, y = (own[column].to_numpy(dtype=float) for column in ("x", "y"))
        if asked.lines:
            axes.plot(x, y, color=colour, linewidth=1.5, label=name or None)
            continue
        axes.plot(x, y, "o", color=colour, markersize=4, alpha=0.75, markeredgewidth=0, label=name or None)
        middle = _medians(asked, own)
        axes.plot(middle.index, middle.to_numpy(), color=colour, linewidth=1.2, alpha=0.8)
    labels = dict.fromkeys(point.label for point in asked.points)
    for label in labels:
        own_points = [(p.x, p.y) for p in asked.points if p.label == label]
        axes.plot(*zip(*own_points, strict=True), "D", mfc="none", mec=INK, mew=1.3, markersize=6, label=label)
    if asked.log_x:
        axes.set_xscale("symlog" if (rows["x"].astype(float) <= 0).any() else "log")
    values = sorted(set(rows["x"].astype(float)))
    of_axis = asked.x == "seed" or any(own["x"].duplicated().any() for own in series.values())
    if of_axis and not asked.lines and len(values) <= _FEW:  # its values say more than powers of ten
        axes.set_xticks(values, [number(value) for value in values])
        axes.set_xticks([], minor=True)
    if asked.log_y:
        axes.set_yscale("log")
    axes.set_xlabel(asked.x)
    axes.set_ylabel(asked.y)
    axes.spines[["top", "right"]].set_visible(False)
    if len(series) > 1 or labels:
        _legend(axes)


def _medians(asked: ClaimFigure, rows: pd.DataFrame) -> pd.Series:
    """The median y of each x, if x is an axis that several rows share; else nothing. Seeds have no order to join."""
    if asked.x == "seed":
        return pd.Series(dtype=float)
    x, y = (rows[column].to_numpy(dtype=float) for column in ("x", "y"))
    middle = pd.Series(y).groupby(x).median().dropna()
    return middle if 1 < len(middle) <= min(_MOST_JOINED, len(rows) - 1) else middle.iloc[:0]


def _legend(axes: Axes) -> None:
    """Where it hides least; a long one above the axes, where it hides nothing."""
    names = axes.get_legend_handles_labels()[1]
    if len(names) <= _MOST_INSIDE:
        axes.legend(fontsize=8, frameon=False)
        return
    across = max(1, min(_MOST_ACROSS, _LEGEND_LETTERS // max(map(len, names))))
    axes.legend(fontsize=8, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0.2, ncols=across)


def _draw_checks(figure: Figure, place: SubplotSpec, judged: Sequence[Judged]) -> None:
    grid = place.subgridspec(len(judged), 1)
    for row, one in enumerate(judged):
        axes = figure.add_subplot(grid[row, 0])
        _draw_check(axes, one)
        name = one.check.name + (" (control)" if one.check.control else "")
        axes.set_title(
            f"{textwrap.shorten(name, _NAME_LETTERS)}: {one.verdict}",
            fontsize=8.5,
            color=VERDICTS[one.verdict],
            pad=2,
        )


def _draw_check(axes: Axes, one: Judged) -> None:
    """The band is equivalent, the diamond was published, the dot and its bar are ours; an open end is an arrow."""
    low, high = one.check.equivalence
    found = one.found
    known = [v for v in (low, high, one.check.value, found.effect, found.low, found.high) if v is not None]
    left, right = min(known), max(known)
    room = 0.12 * (right - left) or abs(right) * 0.1 or 0.1
    left, right = left - room, right + room
    axes.axvspan(
        left if low is None else low, right if high is None else high, color="#0072B2", alpha=0.13, linewidth=0
    )
    if found.effect is not None:
        ends = (left if found.low is None else found.low, right if found.high is None else found.high)
        axes.plot(ends, (0, 0), color=INK, linewidth=1.6)
        for end, open_end, mark in ((ends[0], found.low is None, "<"), (ends[1], found.high is None, ">")):
            axes.plot(end, 0, mark if open_end else "|", color=INK, markersize=6)
        axes.plot(found.effect, 0, "o", color=INK, markersize=6)
    else:
        axes.text(0.5, 0, interval(found), fontsize=8, ha="center", va="center", transform=axes.get_yaxis_transform())
    if one.check.value is not None:
        axes.plot(one.check.value, 0, "D", mfc="none", mec=PUBLISHED, mew=1.5, markersize=8)
    axes.set_xlim(left, right)
    axes.set_ylim(-1, 1)
    axes.set_yticks([])
    ticks = [float(v) for v in mpl.ticker.MaxNLocator(5).tick_values(left, right) if left <= v <= right]
    axes.set_xticks(ticks, _told_apart(ticks))
    axes.tick_params(labelsize=7.5, length=2)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _told_apart(values: Sequence[float]) -> list[str]:
    """Three significant digits each, and more where these leave two of them equal."""
    names = [number(value) for value in values]
    for digits in range(4, _DIGITS + 1):
        if len(set(names)) == len(values):
            break
        names = [f"{value:.{digits}g}" for value in values]
    return names
