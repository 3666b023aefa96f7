"""Laws of the statistics of a cell."""

from __future__ import annotations

import math

import numpy as np
import pytest

from grokstudy.phase.axis import is_log
from grokstudy.phase.statistics import censored_quantile, wilson, wilson_with_undetermined

NEVER = math.nan


def test_wilson_solves_its_own_equation() -> None:
    """Both ends p satisfy |k/n - p| = z sqrt(p (1 - p) / n): the definition of the score interval."""
    z = 1.959963984540054
    for k, n in [(1, 4), (3, 7), (50, 100), (9, 10)]:
        for p in wilson(k, n):
            # One rounding of a sum of a few terms below 1: 1e-12 leaves a factor of a thousand.
            assert abs(k / n - p) == pytest.approx(z * math.sqrt(p * (1 - p) / n), abs=1e-12)


def test_wilson_mirrors_and_stays_inside_zero_and_one() -> None:
    for n in (1, 3, 40):
        for k in range(n + 1):
            low, high = wilson(k, n)
            assert 0 <= low <= k / n <= high <= 1
            assert wilson(n - k, n) == pytest.approx((1 - high, 1 - low), abs=1e-12)
    assert all(map(math.isnan, wilson(0, 0)))


def test_wilson_covers_the_truth_about_as_often_as_it_says() -> None:
    """Exact coverage averaged over p: the score interval's mean coverage is within 1 % of nominal for n = 20."""
    n, grid = 20, np.linspace(0.005, 0.995, 199)
    intervals = [wilson(k, n) for k in range(n + 1)]
    weights = np.array([[math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(n + 1)] for p in grid])
    covered = np.array([[low <= p <= high for low, high in intervals] for p in grid])
    assert (weights * covered).sum(axis=1).mean() == pytest.approx(0.95, abs=0.01)


def test_undetermined_trials_can_only_widen_the_interval() -> None:
    plain, wide = wilson(3, 8), wilson_with_undetermined(3, 8, 4)
    assert wide[0] < plain[0] < plain[1] < wide[1]
    assert wilson_with_undetermined(3, 8, 0) == plain
    for later in range(5):  # whatever they turn out to be, the final interval is inside
        low, high = wilson(3 + later, 12)
        assert wide[0] <= low <= high <= wide[1]


def test_without_censoring_the_median_is_the_first_time_at_which_half_are_there() -> None:
    times = np.array([40.0, 10.0, 30.0, 20.0])
    assert censored_quantile(times, times) == 20
    assert censored_quantile(times[:3], times[:3]) == 30
    assert censored_quantile(np.array([7.0]), np.array([7.0])) == 7


def test_the_censored_median_is_kaplan_meiers() -> None:
    """By hand: times 6 6 6 | 7, with others leaving at 6+ 9+ 10+ 11+; (Freireich's first ten, cut short).

    At 6: 3 of 8 at risk leave: S = 5/8. The one censored at 6 was still at risk then. At 7: 1 of 4: S = 15/32 <= 1/2.
    """
    times = np.array([6, 6, 6, 7, NEVER, NEVER, NEVER, NEVER])
    until = np.array([0, 0, 0, 0, 6, 9, 10, 11.0])
    assert censored_quantile(times, until) == 7
    assert censored_quantile(times, until, q=0.3) == 6  # S = .625 <= .7
    assert censored_quantile(times, until, q=0.54) is None  # S never falls below 15/32 = .469 > .46


def test_a_median_that_most_never_reached_is_unknown() -> None:
    until = np.full(5, 1000.0)
    assert censored_quantile(np.array([10, 20, NEVER, NEVER, NEVER]), until) is None
    assert censored_quantile(np.array([10, 20, 30, NEVER, NEVER]), until) == 30
    assert censored_quantile(np.zeros(0), np.zeros(0)) is None


def test_dropping_the_censored_would_bias_the_median_and_this_does_not() -> None:
    """3,001 lognormal times cut at their own median: the estimate is the true median, not that of the lower half."""
    times = np.exp(np.random.default_rng(0).normal(5, 1, 3001))
    cut = float(np.quantile(times, 0.6))
    seen = np.where(times <= cut, times, NEVER)
    assert censored_quantile(seen, np.full(3001, cut)) == pytest.approx(float(np.median(times)), rel=1e-12)
    assert float(np.nanmedian(seen)) < 0.8 * float(np.median(times))


def test_an_axis_is_log_when_it_spans_ten_times_and_is_not_evenly_spaced() -> None:
    assert is_log(np.array([0.0, 0.1, 1.0]))
    assert is_log(np.array([1.0, 10.0]))
    assert not is_log(np.array([0.3, 0.5, 0.9]))
    assert not is_log(np.linspace(0.1, 1.0, 10))
    assert not is_log(np.array([-1.0, 0.1, 10.0]))
    assert not is_log(np.array([0.0]))
