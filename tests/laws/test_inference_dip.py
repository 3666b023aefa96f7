"""The dip against its definition (a linear programme over all unimodal distributions) and against published tables."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import linprog

from grokstudy.phase.inference.dip import dip, dip_p_value, uniform_dips
from grokstudy.phase.inference.groups import holm, resolution, spread, two_groups


def nearest_unimodal(sample: np.ndarray) -> float:
    """Least d such that a distribution convex up to a mode and concave from there lies within d of the sample's.

    One programme for every mode, in the heights at the distinct places, the height just below the mode, and d.
    """
    place, count = np.unique(sample, return_counts=True)
    above = np.cumsum(count) / len(sample)
    below = np.r_[0, above[:-1]]
    n = len(place)
    return min(_with_mode(place, below, above, mode, n) for mode in range(n))


def _with_mode(place: np.ndarray, below: np.ndarray, above: np.ndarray, mode: int, n: int) -> float:
    rows, bounds = [], []
    under, far = n, n + 1

    def at_most(terms: list[tuple[int, float]], bound: float) -> None:
        row = np.zeros(n + 2)
        for column, weight in terms:
            row[column] += weight
        rows.append(row)
        bounds.append(bound)

    for i in range(n):
        at_most([(i, 1), (far, -1)], above[i] if i == mode else below[i])
        at_most([(i, -1), (far, -1)], -above[i])
    at_most([(under, 1), (far, -1)], below[mode])
    at_most([(under, -1), (far, -1)], -below[mode])
    at_most([(under, 1), (mode, -1)], 0)  # a jump at the mode goes up
    left = [*((place[i], i) for i in range(mode)), (place[mode], under)]
    right = [(place[i], i) for i in range(mode, n)]
    for side, sign in ((left, 1.0), (right, -1.0)):
        for (_, i), (_, j) in itertools.pairwise(side):
            at_most([(i, 1), (j, -1)], 0)
        for (x, i), (y, j), (z, k) in zip(side, side[1:], side[2:], strict=False):
            at_most([(j, sign / (y - x) + sign / (z - y)), (i, -sign / (y - x)), (k, -sign / (z - y))], 0)
    free = [(None, None)] * (n + 1) + [(0, None)]
    return float(linprog(np.r_[np.zeros(n + 1), 1.0], A_ub=np.array(rows), b_ub=bounds, bounds=free).fun)


@pytest.mark.parametrize("kind", ["uniform", "normal", "rounded", "two groups", "accuracies"])
def test_the_dip_is_the_distance_to_the_nearest_unimodal_distribution(kind: str) -> None:
    generator = np.random.default_rng(4)
    for n in (2, 5, 9, 12):
        either = generator.random(n) < 0.5
        sample = {
            "uniform": generator.random(n),
            "normal": generator.normal(size=n),
            "rounded": np.round(generator.random(n), 1),
            "two groups": np.where(either, 0.0, 3.0) + 0.1 * generator.normal(size=n),
            "accuracies": np.where(either, np.round(0.3 * generator.random(n), 2), 1.0),
        }[kind]
        assert dip(sample) == pytest.approx(nearest_unimodal(sample), abs=1e-7)  # the programme's own tolerance


def test_uniform_samples_have_the_published_dips() -> None:
    """Percentage points of n = 100 (Hartigan & Hartigan 1985, table 1: 90 % point .0471; R's diptest: the others).

    The standard error of the q-quantile of m simulated values is sqrt(q (1 - q) / m) / density; with m = 2000 and the
    densities 80, 24, 12 and 3 per unit of dip (read off the neighbouring published points) it is at most .0001, .0003,
    .0004 and .0007. Four of them are allowed.
    """
    published = {0.5: (0.0354, 0.0001), 0.9: (0.0471, 0.0003), 0.95: (0.0509, 0.0004), 0.99: (0.0590, 0.0007)}
    found = uniform_dips(100, 2000)
    for q, (dip_at, error) in published.items():
        assert np.quantile(found, q) == pytest.approx(dip_at, abs=4 * error)


def test_the_published_example_has_its_p_value() -> None:
    """n = 63 with a dip of .059 has a tail of about 10 % (Hartigan & Hartigan 1985)."""
    assert dip_p_value(0.059, 63) == pytest.approx(0.10, abs=0.04)  # "about", and 4 x sqrt(.1 * .9 / 2000) = .027


def test_large_samples_scale_with_the_root_of_n() -> None:
    """The 95 % point at n = 1,000 is .0167 (R's diptest). Scaled from 300 it is within 3 %: p between .04 and .06."""
    assert dip_p_value(0.0167, 1000) == pytest.approx(0.05, abs=0.01 + 4 * (0.05 * 0.95 / 2000) ** 0.5)


def test_a_p_value_is_uniform_under_uniform_samples_and_small_for_two_groups() -> None:
    generator = np.random.default_rng(0)
    p = [dip_p_value(dip(generator.random(32)), 32) for _ in range(400)]
    assert np.mean(np.array(p) <= 0.1) == pytest.approx(0.1, abs=4 * (0.09 / 400) ** 0.5)
    two = np.where(np.arange(32) < 16, 0.1, 0.9) + 0.03 * generator.normal(size=32)
    assert dip_p_value(dip(two), 32) < 0.001


def test_steps_of_an_accuracy_are_no_groups_but_far_values_are() -> None:
    """Half of the seeds are one test row of 265 short of perfect: that is one group."""
    close = np.where(np.arange(32) % 2, 1.0, 264 / 265)
    assert resolution(close) == pytest.approx(1 / 265)
    assert dip(close) == pytest.approx(0.25)
    assert dip_p_value(dip(spread(close, resolution(close))), 32) > 0.5
    apart = np.where(np.arange(32) % 2, 1.0, 0.5)
    assert dip_p_value(dip(spread(apart, resolution(apart))), 32) < 0.001
    assert resolution(np.random.default_rng(0).random(12)) == 0.0


def test_the_best_split_has_the_means_and_share_of_the_groups() -> None:
    lower, upper, share = two_groups(np.array([0.1, 0.2, 0.3, 1.0, 0.9, 0.95, 0.95, 1.0, 0.9]))
    assert (lower, upper, share) == pytest.approx((0.2, 0.95, 6 / 9))
    assert np.isnan(two_groups(np.ones(5))).all()


def test_holm_multiplies_by_how_many_are_left_and_never_falls() -> None:
    assert holm(np.array([0.01, np.nan, 0.03, 0.02])) == pytest.approx([0.03, np.nan, 0.04, 0.04], nan_ok=True)
    assert holm(np.array([0.5, 0.9])).tolist() == [1.0, 1.0]
