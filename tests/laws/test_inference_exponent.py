"""Laws of critical values: x_c = .22 and nu = 1.2 are planted, trials are censored, and common shortcuts are biased."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from scipy.stats import chi2

from grokstudy.phase.inference.budget_shift import crossing_at, fit_budget_shift, last_common_step
from grokstudy.phase.inference.exponent import fit_exponent
from grokstudy.phase.inference.power_law import PowerLaw
from grokstudy.phase.inference.trials import TrialTimes
from grokstudy.spec.errors import BadInput
from tests.planted_times import FRAC, NU, X_C, diverging, trials_with

REPEATS, LEAST = 40, 33
"""Fewer than 33 of 40 regions at 95 % hold the truth with probability 2e-4."""
SCATTER, BUDGET = 0.3, 1e5
"""A quarter to a third of the trials are censored, half of these above x_c: the realistic case."""


def law_of(trials: TrialTimes) -> PowerLaw:
    return PowerLaw(trials.settings[FRAC].to_numpy(), trials.seen, None, rises=True)


def estimates(change: object = None) -> np.ndarray:
    """x_c and nu of twelve data sets, after something was done to their trials."""
    found = []
    for seed in range(12):
        trials = diverging(seed, scatter=SCATTER, budget=BUDGET)
        law = law_of(change(trials) if callable(change) else trials)
        parameters = law.best().parameters
        found.append((law.critical(parameters[2]), parameters[1]))
    return np.array(found)


def test_the_slopes_are_the_derivatives_of_the_law() -> None:
    law = law_of(diverging(0))
    at = np.array([8.0, 1.1, np.log(0.1), -0.5])
    step = 1e-5
    for k in range(4):
        ends = [law.likelihood(at + sign * step * np.eye(4)[k])[0].sum() for sign in (1, -1)]
        # Central differences err by step² f''' / 6 + 1e-16 f / step, some 1e-7 of sums of hundreds.
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(law.likelihood(at)[1][:, k].sum(), rel=1e-5, abs=1e-3)


def test_the_joint_region_holds_the_planted_pair_as_often_as_it_says() -> None:
    held = 0
    for seed in range(REPEATS):
        law = law_of(diverging(seed, scatter=SCATTER, budget=BUDGET))
        top = law.best()
        truth = law.profile({1: NU, 2: law.log_gap(X_C)}, top.parameters)[1]
        held += 2 * (top.log_likelihood - truth) <= chi2.ppf(0.95, 2)
    assert held >= LEAST


@pytest.mark.slow
def test_dropping_censored_trials_or_setting_them_to_T_is_biased_and_counting_them_is_not() -> None:
    def dropped(trials: TrialTimes) -> TrialTimes:
        return trials.take(trials.seen.happened)

    def set_to_budget(trials: TrialTimes) -> TrialTimes:
        ends = dataclasses.replace(
            trials.seen,
            low=np.where(trials.seen.happened, trials.seen.low, BUDGET * 0.97),
            high=np.where(trials.seen.happened, trials.seen.high, BUDGET),
        )
        return dataclasses.replace(trials, seen=ends)

    honest, drop, at_budget = estimates(), estimates(dropped), estimates(set_to_budget)
    # The sd of x_c is .06 and of nu .4 here; a median of twelve has 1.25 / sqrt(12) = .36 of it: three of these.
    assert np.median(honest[:, 0]) == pytest.approx(X_C, abs=0.065)
    assert np.median(honest[:, 1]) == pytest.approx(NU, abs=0.43)
    for biased in (drop, at_budget):
        assert np.median(biased[:, 0]) < X_C - 0.1
        assert np.median(biased[:, 1]) > NU + 0.5


def test_the_first_place_that_gets_there_is_no_critical_value() -> None:
    """The common shortcut: x_c := the first x seen, a straight line in log-log. Its exponent is far too small."""
    found = []
    for seed in range(REPEATS):
        trials = diverging(seed, scatter=SCATTER, budget=BUDGET)
        x, seen = trials.settings[FRAC].to_numpy(), trials.seen
        first = x[seen.happened].min()
        use = seen.happened & (x > first)
        found.append((first, -np.polyfit(np.log(x[use] - first), np.log(seen.high[use]), 1)[0]))
    x_c, nu = np.median(found, axis=0)
    assert x_c > X_C + 0.05
    assert nu < NU - 0.3


def test_a_law_that_diverges_from_the_other_side_is_found_in_its_mirror() -> None:
    trials = diverging(1)
    law = PowerLaw(-trials.settings[FRAC].to_numpy(), trials.seen, None, rises=False)
    one, other = law_of(trials).best(), law.best()
    # Two climbs to one top: 1e-6 in log-likelihood, some sqrt(2e-6) standard errors of the parameters.
    assert other.log_likelihood == pytest.approx(one.log_likelihood, abs=1e-5)
    assert -law.critical(other.parameters[2]) == pytest.approx(law_of(trials).critical(one.parameters[2]), abs=1e-3)


@pytest.mark.slow
def test_a_fit_gives_a_closed_region_and_says_what_is_not_claimed() -> None:
    found = fit_exponent(diverging(0, scatter=0.15, budget=1e6, seeds=8))
    assert found.x_c.low <= X_C <= found.x_c.high < found.law.nearest
    assert found.nu.low <= NU <= found.nu.high
    assert found.gain > 10
    region = found.region
    inside = region.deviance <= region.level
    assert inside.any()
    edge = np.concatenate([inside[0], inside[-1], inside[:, 0], inside[:, -1]])
    assert not edge.any()  # its whole outline is within the picture
    rows, columns = np.nonzero(inside)
    # Its two profiles at the same level bound it: as wide as the intervals at 95 % and wider, as 5.99 > 3.84.
    assert np.ptp(region.nu[rows]) > found.nu.high - found.nu.low - 2 * np.diff(region.nu)[0]
    assert np.ptp(region.x_c[columns]) > 0
    told = " ".join(found.sentences())
    assert "not nu alone" in told
    assert "WARNING" not in told
    assert "the boundary at T is x_c" in told


@pytest.mark.slow
def test_data_that_cannot_say_leave_the_region_open_and_warn() -> None:
    """Far above x_c everywhere: a pure factor per step of x, in which no x_c can be seen."""
    x = np.repeat(np.linspace(0.3, 0.8, 6), 3)
    times = 2000 * np.exp(-3 * x + 0.3 * np.random.default_rng(0).normal(size=18))
    found = fit_exponent(trials_with({FRAC: x}, times, 1e5))
    assert found.x_c.open
    assert found.x_c.low == -np.inf
    told = found.sentences()
    assert any(one.startswith("WARNING: the region is open") for one in told)
    assert any("do not ask for a time that diverges" in one for one in told)
    assert np.isinf(found.table().set_index("name").loc["x_c", "low"])


def test_the_boundary_at_every_budget_is_where_the_law_puts_it() -> None:
    """x_T = x_c + (A / T)^(1 / nu), on dense trials; the intervals hold it and the boundary at T is not x_c."""
    x = np.linspace(0.1, 0.9, 500)
    draw = np.random.default_rng(3)
    with np.errstate(invalid="ignore"):
        median = np.where(x > X_C, 10**3.8 * np.abs(x - X_C) ** -NU, np.inf)
    trials = trials_with({FRAC: x}, median * 10 ** (0.1 * draw.normal(size=500)), 1e6)
    for budget in (3e4, 1e5, 3e5):
        found = crossing_at(trials, budget, rises=True)
        assert found is not None
        true = X_C + (10**3.8 / budget) ** (1 / NU)
        # Three intervals of 95 %: widened by half, so that all hold with .99 each (2.9 standard errors).
        half = (found.high - found.low) / 2 * 1.5
        assert abs(found.x - true) < half
        assert found.low > X_C


def test_a_step_between_two_values_gives_both_as_the_interval_and_the_middle() -> None:
    x = np.repeat([0.3, 0.4, 0.5, 0.6], 10)
    found = crossing_at(trials_with({FRAC: x}, np.where(x < 0.45, np.inf, 100.0), 1000), 1000, rises=True)
    assert found is not None
    # One of 361 places of 1.2 times the range (.3): .001; the crossing may be a little outside the gap.
    assert found.x == pytest.approx(0.45, abs=2e-3)
    assert found.low == pytest.approx(0.4, abs=0.02)
    assert found.high == pytest.approx(0.5, abs=0.02)


def test_a_boundary_needs_trials_on_both_sides() -> None:
    x = np.repeat([0.3, 0.5], 10)
    assert crossing_at(trials_with({FRAC: x}, np.full(20, 100.0), 1000), 1000, rises=True) is None


@pytest.mark.slow
def test_the_extrapolated_boundary_holds_x_c_and_that_at_T_does_not() -> None:
    found = fit_budget_shift(diverging(2, scatter=0.15, budget=1e5, places=28, seeds=8))
    last = found.crossings[-1]
    assert last.low > X_C  # at T = 1e5 the boundary lies .1 above x_c
    assert found.law.x_c.low <= X_C <= found.law.x_c.high
    boundaries = [one.x for one in found.crossings]
    assert boundaries == sorted(boundaries, reverse=True)
    assert found.table()["budget"].iloc[-1] == np.inf
    assert any("A boundary at a finite T is not x_c" in one for one in found.sentences())


def test_budgets_end_where_it_is_known_of_every_trial() -> None:
    trials = diverging(0, budget=1e5)
    assert last_common_step(trials) == 1e5
    early = dataclasses.replace(trials.seen, low=np.where(trials.seen.happened, trials.seen.low, 3e4))
    assert last_common_step(dataclasses.replace(trials, seen=early)) == 3e4


def test_several_settings_or_names_have_no_critical_value() -> None:
    trials = diverging(0)
    two = dataclasses.replace(trials, settings=trials.settings.assign(other=np.arange(len(trials))))
    with pytest.raises(BadInput, match="asked of one setting, got 2"):
        fit_exponent(two)
    named = dataclasses.replace(trials, settings=trials.settings.assign(**{FRAC: "a"}))
    with pytest.raises(BadInput, match="must be a number"):
        fit_exponent(named)
