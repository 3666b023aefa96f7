"""Statistics of pairs of trials when some times were not seen: bounds instead of guesses.

Every number is known to lie between two ends. A time that was seen has equal ends; one that was not seen by the end of
its trial has a lower end only. So has the difference (of logarithms: the ratio) of the two numbers of a pair, and order
statistics of the ends bound the order statistics of the differences themselves, whatever the unseen times are.
"""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import bdtr

LEAST_PAIRS = 6
"""Pairs below which no interval of the median reaches 95 %: 1 - 2 / 2**n."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Known:
    """What is known of one number per row: it lies in [low, high]. An end that is not known is infinite."""

    low: Float[np.ndarray, " n"]
    high: Float[np.ndarray, " n"]

    @property
    def exact(self) -> Bool[np.ndarray, " n"]:
        return np.asarray(self.low == self.high)

    @property
    def bounded(self) -> Bool[np.ndarray, " n"]:
        """Rows of which at least one end is known."""
        return np.asarray(np.isfinite(self.low) | np.isfinite(self.high))

    def at(self, rows: Int[np.ndarray, " m"] | Bool[np.ndarray, " n"]) -> Known:
        return Known(self.low[rows], self.high[rows])


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PairedEffect:
    """How the second number of a pair differs from the first, over many pairs."""

    pairs: int
    both: int
    """Pairs with both numbers seen."""
    only_a: int
    """The first was seen, the second was not."""
    only_b: int
    neither: int
    """Such pairs say nothing; the figures below are about the others."""
    less: int
    """Pairs whose second number is certainly smaller."""
    greater: int
    tied: int
    unordered: int
    """One was seen, but the other was not watched long enough to say which is smaller."""
    median_low: float
    """The sample median lies between these two; they are equal where censoring does not matter."""
    median_high: float
    low: float
    """Interval of the median; an infinite end is not bounded by what was seen."""
    high: float
    confidence: float
    """What the interval reaches: at least what was asked for, or less where there are too few pairs."""
    p_value: float
    """Exact two-sided sign test of `less` against `greater`; NaN without either."""


def seen_or_later(times: Float[np.ndarray, " n"], waited: Float[np.ndarray, " n"]) -> Known:
    """Logarithms of times, of which NaN ones are known only to be later than `waited` (NaN there: nothing is known).

    Times below one step count as one.
    """
    with np.errstate(invalid="ignore"):
        seen, until = np.log(np.maximum(times, 1.0)), np.log(np.maximum(waited, 1.0))
    unseen = np.isnan(times)
    low = np.where(unseen, np.where(np.isnan(until), -np.inf, until), seen)
    return Known(low, np.where(unseen, np.inf, seen))


def exactly(values: Float[np.ndarray, " n"]) -> Known:
    """Numbers as they are; of a NaN nothing is known."""
    missing = np.isnan(values)
    return Known(np.where(missing, -np.inf, values), np.where(missing, np.inf, values))


def difference(a: Known, b: Known) -> Known:
    """Bounds of b - a."""
    return Known(b.low - a.high, b.high - a.low)


def paired_effect(a: Known, b: Known, confidence: float = 0.95) -> PairedEffect:
    """Counts, median and interval of b - a over pairs; row i of both is pair i."""
    change = difference(a, b)
    informative = change.at(change.bounded)
    low, high, reached = median_interval(informative, confidence)
    less, greater = int((informative.high < 0).sum()), int((informative.low > 0).sum())
    tied = int((informative.exact & (informative.low == 0)).sum())
    return PairedEffect(
        pairs=len(a.low),
        both=int((a.exact & b.exact).sum()),
        only_a=int((a.exact & ~b.exact).sum()),
        only_b=int((~a.exact & b.exact).sum()),
        neither=int((~a.exact & ~b.exact).sum()),
        less=less,
        greater=greater,
        tied=tied,
        unordered=len(informative.low) - less - greater - tied,
        median_low=median(informative.low),
        median_high=median(informative.high),
        low=low,
        high=high,
        confidence=reached,
        p_value=sign_test(less, greater),
    )


def median_interval(change: Known, confidence: float) -> tuple[float, float, float]:
    """Interval of the median of independent differences, and the confidence that it reaches.

    With d_(1) <= ... <= d_(n), the interval [d_(k), d_(n+1-k)] misses the median with probability
    2 P(Bin(n, 1/2) < k) at the most, whatever the distribution is. The k-th smallest lower end is at most d_(k) and the
    k-th largest upper end at least d_(n+1-k): with these the interval holds whatever the unseen times are. k is the
    largest that reaches the confidence asked for, or 1: then the whole range, which reaches 1 - 2 / 2**n.

    Source: Thompson 1936, Ann. Math. Stat. 7:122 (order statistics of the median).
    """
    n = len(change.low)
    if n == 0:
        return -math.inf, math.inf, 0.0
    missed = 2 * bdtr(np.arange((n + 1) // 2, dtype=float), n, 0.5)  # for k = 1, 2, ...
    k = max(int((missed <= 1 - confidence).sum()), 1)
    return float(np.sort(change.low)[k - 1]), float(np.sort(change.high)[n - k]), max(1 - float(missed[k - 1]), 0.0)


def sign_test(less: int, greater: int) -> float:
    """Exact two-sided p-value of equal chances for `less` and `greater`; NaN if both are 0. Ties are left out.

    Under exchangeable pairs with one censoring time it is exact: a pair of which only one time was seen has an order.
    Source: Holt & Prentice 1974, Biometrika 61:17 (matched pairs with censored times).
    """
    n = less + greater
    return min(1.0, 2 * float(bdtr(float(min(less, greater)), n, 0.5))) if n else math.nan


def medians_by(change: Known, unit: Int[np.ndarray, " n"]) -> Known:
    """Bounds of the median difference of every unit (a seed with many cells) of which anything is known, by unit."""
    rows = [change.at((unit == one) & change.bounded) for one in np.unique(unit[change.bounded])]
    return Known(np.array([median(row.low) for row in rows]), np.array([median(row.high) for row in rows]))


def median(ends: Float[np.ndarray, " n"]) -> float:
    """The middle one, or the mean of the two middle ones; NaN of none. Lower ends are never +inf, upper never -inf."""
    if not len(ends):
        return math.nan
    ordered = np.sort(ends)
    return float((ordered[(len(ends) - 1) // 2] + ordered[len(ends) // 2]) / 2)
