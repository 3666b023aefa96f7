"""Laws of paired effects: planted ratios come back, intervals cover, and what was not seen never takes a side."""

from __future__ import annotations

import math

import numpy as np
import pytest

from grokstudy.phase.paired import (
    LEAST_PAIRS,
    Known,
    difference,
    exactly,
    median_interval,
    medians_by,
    paired_effect,
    seen_or_later,
    sign_test,
)

T = 1000.0


def cut(times: np.ndarray, end: float = T) -> Known:
    """The times as seen by T."""
    return seen_or_later(np.where(times <= end, times, np.nan), np.full(len(times), end))


def planted(pairs: int, seed: int, ratio: float, spread: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Lognormal times that cross T about half of the time, with a paired ratio of a given median."""
    random = np.random.default_rng(seed)
    a = np.exp(random.normal(math.log(T), 1.0, pairs))
    return a, a * ratio * np.exp(random.normal(0.0, spread, pairs))


def test_a_planted_ratio_is_recovered_exactly_whatever_is_censored() -> None:
    for ratio in (0.25, 0.8, 3.0):
        a, b = planted(200, 0, ratio)
        effect = paired_effect(cut(a), cut(b))
        assert effect.only_a + effect.only_b > 5
        # One logarithm, one difference and one mean of numbers near 7: 1e-12 leaves a factor of a hundred.
        assert effect.median_low <= math.log(ratio) + 1e-12
        assert effect.median_high >= math.log(ratio) - 1e-12
        assert effect.low - 1e-12 <= math.log(ratio) <= effect.high + 1e-12
        assert (effect.less, effect.greater) == ((0, effect.greater) if ratio > 1 else (effect.less, 0))


def test_without_censoring_it_is_the_median_ratio() -> None:
    a, b = planted(31, 1, 2.0, spread=0.7)
    effect = paired_effect(cut(a, math.inf), cut(b, math.inf))
    assert effect.both == effect.pairs == 31
    assert effect.median_low == effect.median_high == pytest.approx(float(np.median(np.log(b / a))), abs=1e-12)


def test_censoring_only_ever_widens_what_is_said() -> None:
    """However early the trials end, median and interval contain what the whole trials say about the same pairs."""
    for seed in range(20):
        a, b = planted(25, seed, 1.3, spread=0.8)
        for end in (300.0, 1000.0, 3000.0):
            known = np.minimum(a, b) <= end
            whole = paired_effect(cut(a[known], math.inf), cut(b[known], math.inf))
            seen = paired_effect(cut(a, end), cut(b, end))
            assert seen.median_low <= whole.median_low <= whole.median_high <= seen.median_high
            assert seen.low <= whole.low <= whole.high <= seen.high
            assert seen.confidence == whole.confidence


def test_censoring_never_takes_a_wrong_side() -> None:
    for seed in range(20):
        a, b = planted(40, seed, 1.0, spread=1.0)
        until_a, until_b = np.random.default_rng(seed + 100).uniform(100, 3000, (2, 40))  # each its own end
        known_a = seen_or_later(np.where(a <= until_a, a, np.nan), until_a)
        known_b = seen_or_later(np.where(b <= until_b, b, np.nan), until_b)
        change = difference(known_a, known_b)
        assert (b < a)[change.high < 0].all()
        assert (b > a)[change.low > 0].all()
        effect = paired_effect(known_a, known_b)
        assert effect.unordered > 0  # and what is not known is counted as not known
        informative = int(change.bounded.sum())
        assert effect.less + effect.greater + effect.tied + effect.unordered == informative


def test_one_side_alone_bounds_the_ratio_from_one_side() -> None:
    """b never seen by T: the ratio is at least T / t_a; nothing bounds it from above."""
    a = np.array([10.0, 20.0, 40.0, 50.0, 80.0, 100.0])
    effect = paired_effect(cut(a), cut(np.full(6, math.nan)))
    assert (effect.only_a, effect.both, effect.greater) == (6, 0, 6)
    assert math.exp(effect.low) == pytest.approx(T / 100)
    assert effect.high == effect.median_high == math.inf
    assert math.exp(effect.median_low) == pytest.approx(T / math.sqrt(40 * 50))
    assert effect.p_value == pytest.approx(2 / 2**6)


def test_pairs_of_which_neither_was_seen_say_nothing() -> None:
    never = np.full(5, math.nan)
    a, b = planted(30, 3, 2.0, 0.3)
    alone = paired_effect(cut(a), cut(b))
    more = paired_effect(cut(np.r_[a, never]), cut(np.r_[b, never]))
    assert more.neither == alone.neither + 5
    assert (more.low, more.high, more.median_low, more.p_value) == (
        alone.low,
        alone.high,
        alone.median_low,
        alone.p_value,
    )
    nothing = paired_effect(cut(never), cut(never))
    assert (nothing.low, nothing.high, nothing.confidence) == (-math.inf, math.inf, 0.0)
    assert math.isnan(nothing.median_low)
    assert math.isnan(nothing.p_value)


@pytest.mark.parametrize("end", [math.inf, 10 * T, T])
def test_the_interval_covers_the_median_at_least_as_often_as_it_says(end: float) -> None:
    """1,000 studies of 12 pairs, with no, few and half of the times past the end.

    The truth is the median ratio of all pairs of which one side is seen, from 200,000 of them; its own error, about
    1.25 x 0.8 / sqrt(2e5) = .002, is far below the width of an interval (about 1). Without censoring k = 3, and the
    interval covers with probability 1 - 2 x 79 / 2**12 = .961. Standard error over 1,000: .006; four are allowed.
    """
    a, b = planted(200_000, 10, 1.5, 0.8)
    truth = float(np.median(np.log(b / a)[np.minimum(a, b) <= end]))
    covered = bounded = 0
    for seed in range(1000):
        effect = paired_effect(*(cut(side, end) for side in planted(12, seed + 1000, 1.5, 0.8)), confidence=0.9)
        covered += effect.low <= truth <= effect.high
        bounded += math.isfinite(effect.low) and math.isfinite(effect.high)
    assert covered / 1000 >= 0.9 - 4 * math.sqrt(0.9 * 0.1 / 1000)
    if end > T:  # it is no empty promise
        assert bounded / 1000 > 0.9
    if end == math.inf:
        assert covered / 1000 == pytest.approx(0.961, abs=4 * 0.006)


def test_the_interval_is_the_sign_tests() -> None:
    """It leaves 0 out exactly where the sign test rejects equal chances."""
    for seed in range(200):
        change = np.random.default_rng(seed).normal(0.5, 1.0, 20)
        low, high, reached = median_interval(exactly(change), 0.95)
        assert reached >= 0.95
        p_value = sign_test(int((change < 0).sum()), int((change > 0).sum()))
        assert (not low <= 0 <= high) == (p_value <= 1 - reached + 1e-12)


def test_too_few_pairs_say_how_little_they_reach() -> None:
    for n in range(1, 12):
        low, high, reached = median_interval(exactly(np.arange(n, dtype=float)), 0.95)
        if n < LEAST_PAIRS:
            assert (low, high) == (0.0, n - 1.0)
            assert reached == pytest.approx(1 - 2 / 2**n if n > 1 else 0.0)
        else:
            assert reached >= 0.95


def test_the_sign_test_by_hand() -> None:
    assert sign_test(0, 5) == pytest.approx(2 / 32)
    assert sign_test(1, 4) == pytest.approx(2 * 6 / 32)
    assert sign_test(3, 3) == 1.0
    assert sign_test(7, 2) == sign_test(2, 7)


def test_sides_can_be_swapped() -> None:
    a, b = planted(17, 5, 1.7, 0.5)
    forth, back = paired_effect(cut(a), cut(b)), paired_effect(cut(b), cut(a))
    assert (forth.low, forth.high) == (-back.high, -back.low)
    assert (forth.median_low, forth.less, forth.only_a) == (-back.median_high, back.greater, back.only_b)
    assert forth.p_value == back.p_value


def test_many_cells_of_one_seed_count_as_one() -> None:
    """Ten copies of every pair are no more evidence than one."""
    a, b = planted(8, 7, 2.0, 0.5)
    change = difference(cut(a), cut(b))
    tenfold = change.at(np.repeat(np.arange(8), 10))
    medians = medians_by(tenfold, np.repeat(np.arange(8), 10))
    informative = change.at(change.bounded)
    assert medians.low.tolist() == informative.low.tolist()
    assert median_interval(medians, 0.95) == median_interval(informative, 0.95)
