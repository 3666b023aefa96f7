"""The numbers of a report: outcomes, and the censored statistics of every cell."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from grokstudy.phase.report_document import MOST_ROWS, Table, table
from grokstudy.phase.report_trials import ReportTrials, grouped
from grokstudy.phase.statistics import censored_quantile, wilson_with_undetermined
from grokstudy.phase.times import OUTCOMES, UNDETERMINED, delay_ratio
from grokstudy.spec.outcome import RATIO, TAU

CONFIDENCE = 0.95
NONE = "–"
MEANINGS = {
    "confusion": "neither memorised nor generalised",
    "memorization": "memorised, did not generalise",
    "inversion": "generalised without memorising (wrong labels unlearned)",
    "grokking": f"generalised at {RATIO:g} t_mem or later",
    "comprehension": f"generalised before {RATIO:g} t_mem",
    "diverged": "a loss was no longer finite; counts as not generalised",
    UNDETERMINED: "stopped before T without having generalised: not known",
}


def outcome_table(trials: ReportTrials, *, shares: bool = True) -> Table:
    """How many trials came to what by T; without shares where they would say nothing of other trials."""
    counts = trials.table["outcome"].value_counts()
    total = len(trials.table)
    rows = [
        (name, MEANINGS[name], f"{counts[name]:,}", f"{counts[name] / total:.1%}")
        for name in OUTCOMES
        if name in counts.index
    ]
    if lost := int((trials.table["retention"] == "lost").sum()):
        rows.append(("lost again", "generalised, then fell below the threshold", f"{lost:,}", f"{lost / total:.1%}"))
    header = ("outcome", "meaning", "trials", "share")
    if not shares:
        return table(header[:3], [row[:3] for row in rows], words=2)
    return table(header, rows, words=2)


def cell_table(trials: ReportTrials, paths: Sequence[str], rest: str) -> Table:
    """Trials, share that generalised with its Wilson interval, Kaplan-Meier medians and outcomes of every cell.

    Args:
        paths: settings that make the cells; none = one row over all trials.
        rest: where to find the rows that are too many.
    """
    cells = grouped(trials, paths)
    present = [name for name in OUTCOMES if (trials.table["outcome"] == name).any()]
    rows = [
        (*names, *_statistics(trials.table[cells.cell_of == number], present))
        for number, names in enumerate(cells.names[:MOST_ROWS])  # statistics of the others would not be seen
    ]
    header = (*leaves(paths), "trials", "p_gen", "95 % interval", "t_mem", "t_gen", "delay", *present, "lost again")
    if not (trials.table["retention"] == "lost").any():
        header, rows = header[:-1], [row[:-1] for row in rows]
    binned = (
        f" Values of {', '.join(cells.binned)} are gathered in bins, named by their middle." if cells.binned else ""
    )
    note = (
        "p_gen: share of the determined trials that generalised by T, diverged ones in the denominator, with Wilson's "
        "interval, which holds whatever the undetermined trials would have done. t_mem, t_gen: Kaplan-Meier medians in "
        "steps; a dash: fewer than half of the trials got there. delay: median t_gen / t_mem of the trials that have "
        f"both.{binned}"
    )
    return table(header, rows, words=len(paths), note=note, rest=rest, total=len(cells.names))


def leaves(paths: Sequence[str]) -> tuple[str, ...]:
    """The last word of each setting's path, or the whole path where several end alike."""
    ends = [path.rpartition(".")[2] for path in paths]
    return tuple(end if ends.count(end) == 1 else path for path, end in zip(paths, ends, strict=True))


def _generalised_share(trials: pd.DataFrame) -> tuple[float, float, float]:
    """Share of the determined trials that generalised by T with its interval; NaN without any."""
    known = trials[trials["determined"]]
    count = int(known["t_gen"].notna().sum())
    low, high = wilson_with_undetermined(count, len(known), len(trials) - len(known), CONFIDENCE)
    return (count / len(known) if len(known) else float("nan")), low, high


def _median_time(trials: pd.DataFrame, name: str) -> float | None:
    """Kaplan-Meier median of t_mem or t_gen, in steps; None where more than half of the trials did not get there."""
    times, ends = (trials[column].to_numpy(dtype=float) for column in (name, "censored_at"))
    return censored_quantile(times, ends)


def _statistics(trials: pd.DataFrame, outcomes: Sequence[str]) -> tuple[str, ...]:
    share, low, high = _generalised_share(trials)
    t_mem, t_gen = (trials[name].to_numpy(dtype=float) for name in ("t_mem", "t_gen"))
    ratios = delay_ratio(t_mem, t_gen)
    ratios = ratios[np.isfinite(ratios)]
    counts = trials["outcome"].value_counts()
    return (
        f"{len(trials):,}",
        number(share, ".2f"),
        f"{number(low, '.2f')} to {number(high, '.2f')}" if np.isfinite(low) else NONE,
        number(_median_time(trials, "t_mem"), ",.0f"),
        number(_median_time(trials, "t_gen"), ",.0f"),
        number(float(np.median(ratios)) if len(ratios) else None, ".3g"),
        *(f"{counts.get(name, 0):,}" for name in outcomes),
        f"{int((trials['retention'] == 'lost').sum()):,}",
    )


def number(value: float | None, form: str) -> str:
    """The number as text; a dash for what is not known."""
    return NONE if value is None or not np.isfinite(value) else format(value, form)


def thresholds(trials: ReportTrials) -> str:
    """The rule behind every number of the report, in one sentence."""
    return (
        f"Read at τ = {TAU:g} (accuracy from which a trial has memorised or generalised), grokking from "
        f"t_gen ≥ {RATIO:g} t_mem, T = {trials.budget.steps:,} steps ({trials.budget.source})."
    )
