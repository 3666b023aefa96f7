"""Numbers and standing remarks as text."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from grokstudy.phase.columns import label as value_label
from grokstudy.phase.inference.estimate import FEWEST_CLUSTERS, Estimate
from grokstudy.phase.inference.query import FitQuery
from grokstudy.phase.units import with_unit

if TYPE_CHECKING:
    from grokstudy.phase.inference.trials import TrialTimes


def number(value: float) -> str:
    """Three significant digits, thousands apart; words for what is not finite."""
    if math.isnan(value):
        return "unknown"
    if math.isinf(value):
        return "unbounded"
    digits = f"{value:.3g}"
    return f"{float(digits):,.0f}" if 1000 <= abs(value) < 1e7 else digits


def interval(at: float, low: float, high: float) -> str:
    """`0.31 [0.22, 0.44]`."""
    return f"{number(at)} [{number(low)}, {number(high)}]"


def count(n: int, what: str) -> str:
    """`1 trial`, `1,200 trials`."""
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def fixed_words(query: FitQuery) -> str:
    """` (fixed: optimizer.lr = 0.01)`; empty if nothing was."""
    pairs = ", ".join(f"{path} = {value_label(value)}" for path, value in query.fix)
    return f" (fixed: {pairs})" if pairs else ""


def few_clusters(n: int, column: str, confidence: float) -> tuple[str, ...]:
    """A warning if a bootstrap has too few clusters for its confidence; else nothing.

    The resampled mean of n numbers stays within their range, which misses the centre of a symmetric distribution with
    probability 2^(1 - n).
    """
    most = 1 - 2.0 ** (1 - n)
    if most >= confidence:
        return ()
    return (
        f"WARNING: {count(n, 'value')} of {column} to resample. {confidence:.0%} intervals of so few hold less often "
        f"than they say (the interval of a mean with {most:.0%} at most).",
    )


def errors(estimate: Estimate, trials: TrialTimes) -> str:
    """How the intervals were made."""
    column = trials.query.cluster
    confidence = f"{trials.query.confidence:.0%} intervals"
    if estimate.clusters:
        return (
            f"{confidence} allow trials of one {column} to resemble each other ({estimate.clusters} groups; sandwich)."
        )
    return f"{confidence} take all trials as independent. {unclustered(trials)}"


def unclustered(trials: TrialTimes) -> str:
    """Why errors are not clustered, and what that means."""
    column, n = trials.query.cluster, trials.clusters
    groups = f"{n} value{'s' if n != 1 else ''} of {column}"
    told = f"With {groups} (fewer than {FEWEST_CLUSTERS}) it cannot be told how much their trials resemble each other"
    nested = ", and train sets of one data seed are nested" if column == "seed_data" else ""
    return f"{told}{nested}: intervals may be too narrow."


def note(trials: TrialTimes, what: str) -> str:
    """The line below a figure: method, trials, T."""
    seen = int(trials.seen.happened.sum())
    return (
        f"{what}; {len(trials):,} trials, {trials.query.event} seen in {seen:,}, others censored; "
        f"T = {trials.budget.steps:,} steps, tau = {trials.query.tau:g}"
    )


def label(path: str) -> str:
    """A setting at an axis."""
    return with_unit(path)
