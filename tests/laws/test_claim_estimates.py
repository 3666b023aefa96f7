"""Effects of claims: known answers, and intervals that hold the truth as often as they say."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from grokstudy.claims.estimates import estimated
from grokstudy.claims.judge import Judged, overall
from grokstudy.spec.claim import ClaimCheck, Estimate
from grokstudy.spec.errors import BadInput


def rows(**columns: object) -> pd.DataFrame:
    return pd.DataFrame(columns)


def check(low: float | None, high: float | None, estimate: Estimate = "mean") -> ClaimCheck:
    return ClaimCheck(name="c", sql="SELECT 1 AS value", estimate=estimate, equivalence=(low, high), published="1")


@pytest.mark.parametrize(("estimate", "centre"), [("mean", 2.0), ("geometric_mean", np.exp(2.0)), ("median", 2.0)])
def test_intervals_over_seeds_hold_the_truth_in_nineteen_of_twenty_samples(estimate: Estimate, centre: float) -> None:
    """2,000 samples of 9 seeds: the share has a standard error of .5 %, so .95 - 4 errors = .93 is far from chance.

    Order statistics cover at least what they say (9 seeds: 96.1 %), Student's interval exactly 95 % of normal samples.
    """
    draws = np.random.default_rng(0).normal(2.0, 0.5, size=(2000, 9))
    values = np.exp(draws) if estimate == "geometric_mean" else draws
    held = 0
    for sample in values:
        found = estimated(rows(value=sample), estimate)
        assert found.low is not None
        assert found.high is not None
        held += found.low <= centre <= found.high
    assert 0.93 <= held / 2000 <= 0.98


def test_a_slope_is_read_within_each_seed_and_its_interval_is_over_seeds() -> None:
    """value = c_seed x^b_seed: seeds differ in c by a thousand, which says nothing about the slope."""
    slopes = {0: -1.1, 1: -1.0, 2: -0.9}
    x = np.array([1.0, 3.0, 10.0, 30.0])
    frames = [rows(seed=seed, x=x, value=10.0**seed * x**slope) for seed, slope in slopes.items()]
    found = estimated(pd.concat(frames), "slope")
    assert found.effect == pytest.approx(-1.0, abs=1e-12)
    half = 4.302652729911275 * 0.1 / np.sqrt(3)  # Student's t at 2 degrees of freedom, sd of the three slopes .1
    assert (found.low, found.high) == pytest.approx((-1.0 - half, -1.0 + half), abs=1e-9)


def test_an_interval_ends_where_its_effect_must_and_an_open_end_stays_open() -> None:
    found = estimated(rows(value=[0.9, 1.0]), "mean")  # Student's half-width with two units: 12.7 times .05
    assert found.low == pytest.approx(0.95 - 0.05 * 12.706204736432095)
    assert found.high > 1
    assert (found.within(0, 1).low, found.within(0, 1).high) == (found.low, 1)
    assert found.within(None, None) == found
    lone = estimated(rows(value=[0.9]), "mean")
    assert lone.within(0, 1) == lone  # one unit bounds nothing


def test_an_interval_of_rank_correlations_ends_where_they_do() -> None:
    """Seeds with -1, -1 and -0.5: Student's interval would reach below -1."""
    x = np.array([1.0, 2.0, 3.0])
    orders = {0: [3, 2, 1], 1: [3, 2, 1], 2: [3, 1, 2]}
    found = estimated(pd.concat([rows(seed=seed, x=x, value=value) for seed, value in orders.items()]), "spearman")
    assert found.effect == pytest.approx(-2.5 / 3)
    assert found.low == -1
    assert found.high == pytest.approx(-2.5 / 3 + 4.302652729911275 * np.std([-1, -1, -0.5], ddof=1) / np.sqrt(3))


def test_a_trial_that_never_generalised_has_the_last_rank() -> None:
    """Without that trial the other three would correlate by 1."""
    x, seeds = [1.0, 2.0, 3.0, 4.0], [0, 1]
    late_where_few = pd.concat([rows(seed=seed, x=x, value=[None, 10.0, 20.0, 30.0]) for seed in seeds])
    found = estimated(late_where_few, "spearman")
    assert found.effect == pytest.approx(1 - 6 * (9 + 1 + 1 + 1) / (4 * 15))  # 1 - 6 sum d^2 / (n (n^2 - 1))
    assert (found.units, found.unseen) == (2, 2)
    both_last = estimated(rows(seed=0, x=x, value=[None, None, 20.0, 10.0]), "spearman").effect
    assert both_last == pytest.approx(-4.5 / np.sqrt(5 * 4.5))  # ranks 3.5 3.5 2 1: Pearson's formula of the ranks
    nothing_seen = estimated(rows(seed=0, x=x, value=[None] * 4), "spearman")
    assert (nothing_seen.effect, nothing_seen.units) == (None, 1)
    too_few = estimated(rows(seed=0, x=[1.0, 2.0], value=[1.0, 2.0]), "spearman")
    assert (too_few.effect, too_few.units) == (None, 1)


def test_a_crossing_lies_where_half_of_the_units_hold() -> None:
    x = np.repeat(np.linspace(0, 1, 21), 40)
    p = 1 / (1 + np.exp(-12 * (x - 0.58)))
    holds = np.random.default_rng(1).uniform(size=len(x)) < p
    found = estimated(rows(x=x, value=holds), "crossing")
    assert found.effect == pytest.approx(0.58, abs=0.04)  # slope 12, 840 units: a standard error of about .01
    assert found.low is not None
    assert found.high is not None
    assert found.low < 0.58 < found.high


def test_units_that_part_without_overlap_bound_the_crossing_by_their_gap() -> None:
    x, value = [0.1, 0.2, 0.5, 0.9], [False, False, True, True]
    found = estimated(rows(x=np.repeat(x, 3), value=np.repeat(value, 3)), "crossing")
    assert (found.low, found.effect, found.high) == pytest.approx((0.2, 0.35, 0.5))
    once = estimated(rows(x=x, value=value), "crossing")
    assert (once.low, once.effect, once.high) == (None, pytest.approx(0.35), None)  # one unit at either end


def test_units_that_are_mixed_at_one_place_only_cross_between_its_neighbours() -> None:
    """No logistic curve has a width there: half, a third and two thirds all give the same bracket."""
    x = np.repeat([0.2, 0.4, 0.6], 6)
    for of_six in (2, 3, 4):
        found = estimated(
            rows(x=x, value=[False] * 6 + [True] * of_six + [False] * (6 - of_six) + [True] * 6), "crossing"
        )
        assert (found.low, found.effect, found.high) == pytest.approx((0.2, 0.4, 0.6))


def test_a_crossing_in_the_other_direction_is_none() -> None:
    """Apart, and mixed everywhere."""
    apart = rows(x=np.repeat([0.2, 0.4], 3), value=np.repeat([True, False], 3))
    mixed = rows(x=np.repeat([0.0, 0.5, 1.0], 8), value=[True] * 7 + [False] + [True, False] * 4 + [False] * 7 + [True])
    for falling, at in ((apart, 0.3), (mixed, 0.5)):
        assert estimated(falling, "crossing", rising=True).effect is None
        assert estimated(falling, "crossing", rising=False).effect == pytest.approx(at)


def test_a_time_that_was_not_seen_is_later_than_all_others_for_a_median_and_makes_a_mean_unknown() -> None:
    seen = rows(value=[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, np.nan])
    assert estimated(seen, "median").effect == 4.0
    assert estimated(seen, "median").high is None
    assert estimated(seen, "geometric_mean").effect is None
    assert estimated(rows(value=[1.0, np.nan, np.nan]), "median").effect is None


def test_one_seed_has_no_interval() -> None:
    found = estimated(rows(value=[3.0]), "mean")
    assert (found.effect, found.low, found.high) == (3.0, None, None)
    assert Judged(check=check(2, 4), found=found).verdict == "undecided"


@pytest.mark.parametrize(
    ("values", "verdict"),
    [
        ([2.9, 3.0, 3.1], "reproduced"),
        ([3.0, 3.9, 4.8], "undecided"),
        ([8.9, 9.0, 9.1], "not reproduced"),
        ([np.nan, 3.0, 3.0], "undecided"),
    ],
)
def test_a_verdict_needs_the_whole_interval_on_one_side(values: list[float], verdict: str) -> None:
    """Inside [2, 4] only if all of the interval is; the one that crosses an end decides nothing."""
    found = estimated(rows(value=values), "mean")
    assert Judged(check=check(2, 4), found=found).verdict == verdict


def test_a_claim_is_as_good_as_its_worst_check() -> None:
    good, open_, bad = (
        Judged(check=check(2, 4), found=estimated(rows(value=v), "mean"))
        for v in ([2.9, 3.0, 3.1], [3.0, 3.9, 4.8], [8.9, 9.0, 9.1])
    )
    assert overall([good, good]) == "reproduced"
    assert overall([good, open_]) == "undecided"
    assert overall([open_, bad, good]) == "not reproduced"


def test_a_missing_column_is_named() -> None:
    with pytest.raises(BadInput, match="no column `x`"):
        estimated(rows(value=[1.0], seed=[0]), "slope")


def test_a_claim_without_any_row_is_not_run() -> None:
    nothing = Judged(check=check(2, 4), found=estimated(rows(value=np.array([])), "mean"))
    assert overall([nothing, nothing]) == "not run"
    control = Judged(
        check=dataclasses.replace(check(2, 4), control=True), found=estimated(rows(value=[2.9, 3.0, 3.1]), "mean")
    )
    assert overall([nothing, control]) == "not run"  # controls show what the claim is not
