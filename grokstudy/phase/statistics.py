"""Statistics of cells: proportions with intervals, and medians of times that were not always seen."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

Counts: TypeAlias = Int[np.ndarray, " cells"]
PerCell: TypeAlias = Float[np.ndarray, " cells"]
_ROUNDING = 1e-12
"""Survival is a product of up to a few thousand factors, each right to 2e-16: closer than this is equal."""


def wilson(k: float, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson score interval of the proportion k / n; (NaN, NaN) when n is 0.

    Source: Wilson 1927, JASA 22:209. Never leaves [0, 1] and stays useful for k = 0 and k = n, where the usual
    normal interval has no width.
    """
    low, high = wilson_intervals(np.array([k]), np.array([n]), confidence)
    return float(low[0]), float(high[0])


def wilson_with_undetermined(k: int, n: int, undetermined: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson interval that holds whatever the undetermined trials turn out to be: all failures, or all successes."""
    low, high = widened_intervals(np.array([k]), np.array([n]), np.array([undetermined]), confidence)
    return float(low[0]), float(high[0])


def wilson_intervals(k: Counts | PerCell, n: Counts, confidence: float) -> tuple[PerCell, PerCell]:
    """`wilson` of every cell."""
    z2 = NormalDist().inv_cdf(0.5 + confidence / 2) ** 2
    with np.errstate(invalid="ignore", divide="ignore"):  # n = 0: NaN
        half = np.sqrt(z2 * (k * (n - k) / n + z2 / 4)) / (n + z2)
    centre = (k + z2 / 2) / (n + z2)
    low, high = np.where(k == 0, 0.0, centre - half), np.where(k == n, 1.0, centre + half)
    return np.where(n == 0, np.nan, low), np.where(n == 0, np.nan, high)


def widened_intervals(k: Counts, n: Counts, undetermined: Counts, confidence: float) -> tuple[PerCell, PerCell]:
    """`wilson_with_undetermined` of every cell."""
    every = n + undetermined
    return wilson_intervals(k, every, confidence)[0], wilson_intervals(k + undetermined, every, confidence)[1]


def censored_quantile(
    times: Float[np.ndarray, " trials"], censored_at: Float[np.ndarray, " trials"], q: float = 0.5
) -> float | None:
    """Kaplan-Meier quantile: the first time at which the share of trials still waiting is at most 1 - q.

    Source: Kaplan & Meier 1958, JASA 53:457. A trial censored at the time of another's event still waited then.

    Args:
        times: steps of the event, NaN where it was not seen.
        censored_at: steps until which the trial was watched; read only where `times` is NaN.

    Returns:
        Steps, or None if the share never falls so far (for the median: more than half are censored).
    """
    found = float(censored_quantiles(times, censored_at, np.zeros(len(times), dtype=np.int64), 1, q)[0])
    return None if np.isnan(found) else found


def censored_quantiles(
    times: Float[np.ndarray, " trials"],
    censored_at: Float[np.ndarray, " trials"],
    cell: Int[np.ndarray, " trials"],
    cells: int,
    q: float = 0.5,
) -> PerCell:
    """`censored_quantile` of the trials of every cell; NaN where the share never falls so far."""
    seen = ~np.isnan(times)
    rank, moments = pd.factorize(np.where(seen, times, censored_at), sort=True)
    keys = np.sort((cell * len(moments) + rank) * 2 + seen)  # by cell, then time; one array of integers sorts fast
    moment, happened = keys >> 1, keys & 1
    first = np.flatnonzero(np.r_[True, moment[1:] != moment[:-1]]) if len(keys) else np.zeros(0, dtype=np.int64)
    events = np.add.reduceat(happened, first) if len(first) else first
    first, events = first[events > 0], events[events > 0]
    owner, time = np.divmod(moment[first], max(len(moments), 1))
    at_risk = np.cumsum(np.bincount(cell, minlength=cells))[owner] - first
    factor = 1.0 - events / at_risk
    begins = np.searchsorted(owner, np.arange(cells))
    return _first_fall(
        factor, moments[time], begins, np.searchsorted(owner, np.arange(cells), side="right"), 1.0 - q + _ROUNDING
    )


def medians(values: Float[np.ndarray, " trials"], cell: Int[np.ndarray, " trials"], cells: int) -> PerCell:
    """Median of the values of every cell, NaN ones left out; NaN without any."""
    known = ~np.isnan(values)
    rank, amounts = pd.factorize(values[known], sort=True)
    cell = cell[known]
    count = np.bincount(cell, minlength=cells)
    ranked = amounts[np.sort(cell * len(amounts) + rank) % max(len(amounts), 1)]
    some = np.flatnonzero(count)
    begins = (np.cumsum(count) - count)[some]
    low, high = ranked[begins + (count[some] - 1) // 2], ranked[begins + count[some] // 2]
    result = np.full(cells, np.nan)
    result[some] = (low + high) / 2
    return result


def counts(where: Bool[np.ndarray, " trials"], cell: Int[np.ndarray, " trials"], cells: int) -> Counts:
    """How many trials of every cell the condition holds for."""
    return np.bincount(cell[where], minlength=cells)


def shares(k: Counts, n: Counts) -> PerCell:
    """k / n; NaN where n is 0."""
    with np.errstate(invalid="ignore", divide="ignore"):
        result: Any = k / n
    return np.where(n == 0, np.nan, result)


def _first_fall(
    factor: Float[np.ndarray, " events"],
    time: Float[np.ndarray, " events"],
    begins: Counts,
    ends: Counts,
    bound: float,
) -> PerCell:
    """The time at which the running product of a cell's factors first is at most `bound`."""
    waiting, found = np.ones(len(begins)), np.full(len(begins), np.nan)
    open_cells = np.flatnonzero(begins < ends)
    place = begins[open_cells]
    while len(open_cells):  # one more event of every cell that is still above
        waiting[open_cells] *= factor[place]
        fallen = waiting[open_cells] <= bound
        found[open_cells[fallen]] = time[place[fallen]]
        place = place + 1
        left = ~fallen & (place < ends[open_cells])
        open_cells, place = open_cells[left], place[left]
    return found
