"""What a fit owes its reader: who was left out, what was fixed, when intervals are too few's, and no crash."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from phase_planted import FRAC, WD, T, connected, trial

from grokstudy.phase.inference.aft import fit_aft
from grokstudy.phase.inference.budget_shift import fit_budget_shift, last_common_step
from grokstudy.phase.inference.collapse import collapse
from grokstudy.phase.inference.cure import fit_cure
from grokstudy.phase.inference.fits import FITS, fit
from grokstudy.phase.inference.hysteresis import _trend
from grokstudy.phase.inference.intervals import Intervals
from grokstudy.phase.inference.line_cut import LineCut
from grokstudy.phase.inference.loop_area import LoopArea
from grokstudy.phase.inference.query import FitQuery
from grokstudy.phase.inference.trials import read_trials
from grokstudy.phase.inference.words import few_clusters
from grokstudy.spec.errors import BadInput
from tests.planted_times import diverging, trials_with

NO_CURVES = pd.DataFrame({"trial_id": pd.Series(dtype=str), "step": pd.Series(dtype=int)})


def rows_of(seeds: int, **other: Any) -> list[dict[str, Any]]:
    """Two places with times that differ by seed; every fourth trial never gets there."""
    return [
        trial(wd, 0.5, seed, 10, None if seed % 4 == 3 else int(100 * wd + 10 * seed), **other)
        for wd in (1.0, 3.0)
        for seed in range(seeds)
    ]


@pytest.mark.parametrize("what", FITS)
def test_a_study_without_trials_is_refused_by_every_fit(what: str) -> None:
    base = pd.DataFrame({"trial_id": pd.Series(dtype=str), "seed_data": pd.Series(dtype=int)})
    connection = connected([trial(1.0, 0.5, 0, 10, 100)])
    connection.execute("DROP TABLE trials")
    connection.register("trials", base)  # what the store shows before the first pack has finished
    x = () if what == "seeds" else ("frac_train",)
    with pytest.raises(BadInput, match="has no trials yet"):
        fit(connection, what, FitQuery(x=x, size="task.p" if what == "collapse" else None))


def test_slow_trials_that_a_spread_over_seeds_leaves_out_are_told_with_a_warning() -> None:
    connection = connected(rows_of(8))
    told = fit(connection, "susceptibility", FitQuery(x=(WD,), value="t_gen")).sentences()
    left = next(one for one in told if one.startswith("Left out: 4 trials without t_gen"))
    assert "WARNING: the slow trials are the ones left out" in left
    assert any(one.startswith(f"planted: t_gen at T = {T:,} steps, 12 trials") for one in told)


@pytest.mark.parametrize("what", ["aft", "sentinels", "susceptibility"])
def test_what_was_fixed_is_told(what: str) -> None:
    rows = [*rows_of(10), *rows_of(10, **{"optimizer.lr": 0.1})]
    query = FitQuery(x=(WD,), fix=(("optimizer.lr", 0.1),), value="t_gen" if what == "susceptibility" else None)
    told = fit(connected(rows, curves=NO_CURVES), what, query).sentences()
    assert any("(fixed: optimizer.lr = 0.1)" in one for one in told)


def test_a_sentinel_is_censored_where_a_crossing_could_last_be_confirmed_and_diverged_ones_are_counted() -> None:
    rows = [trial(1.0, 0.5, seed, 10, 100 + 10 * seed) for seed in range(8)]
    rows[0] |= {"t_gen": None}
    rows[1] |= {"t_gen": None, "status": "diverged", "diverged_step": 7, "steps_run": 7}
    found: Any = fit(connected(rows), "sentinels", FitQuery(x=(WD,)))
    assert sorted(found.waited[np.isnan(found.time)]) == pytest.approx([T / 1.2, T])
    assert any("Diverged trials (1) count as not there" in one for one in found.sentences())


def test_few_seeds_are_said_to_be_too_few_for_a_bootstrap() -> None:
    assert few_clusters(6, "seed_data", 0.95) == ()  # 1 - 2^-5 = 96.9 %
    assert "75% at most" in few_clusters(3, "seed_data", 0.95)[0]
    told = fit(connected(rows_of(5)), "susceptibility", FitQuery(x=(WD,), value="t_mem")).sentences()
    assert any(one.startswith("WARNING: 5 values of seed_data to resample") for one in told)


def test_a_bootstrap_names_the_column_whose_trials_it_draws_together() -> None:
    query = FitQuery(x=(WD,), value="t_mem", cluster="seed_init")
    told = fit(connected(rows_of(8)), "susceptibility", query).sentences()
    assert any("trials of one seed_init are drawn together" in one for one in told)


@pytest.mark.parametrize(
    ("what", "settings", "message"),
    [
        ("aft", {"cluster": "test_loss"}, "cluster: 'test_loss' is a result of trials"),
        ("susceptibility", {"cluster": "t_gen"}, "cluster: 't_gen' is a result of trials"),
        ("susceptibility", {"value": "outcome"}, "outcome is a label"),
        ("susceptibility", {"size": "weight_decay"}, "x: got .* must differ from weight_decay"),
        ("sentinels", {"x": (WD, "weight_decay")}, "x: the settings must differ"),
    ],
)
def test_questions_that_make_no_sense_are_refused_in_the_words_of_the_fit(
    what: str, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(BadInput, match=message):
        fit(connected(rows_of(8), curves=NO_CURVES), what, FitQuery(**({"x": (WD,)} | settings)))


def test_a_negative_seed_of_the_resampling_is_refused() -> None:
    with pytest.raises(BadInput, match="resampling_seed: got -1"):
        FitQuery(x=(WD,), resampling_seed=-1)


def test_equal_values_have_no_variance_to_attribute() -> None:
    rows = [
        trial(0.1, 0.5, 10 * data + init, 10, 100, seed_data=data, seed_init=init) | {"seed_batch": 0, "seed_noise": 0}
        for data in range(3)
        for init in range(3)
    ]
    with pytest.raises(BadInput, match="no variance to attribute"):
        fit(connected(rows), "seeds", FitQuery())


def test_times_that_are_all_at_the_first_step_are_refused_and_not_fitted() -> None:
    trials = trials_with({FRAC: np.linspace(0.3, 0.8, 20)}, np.full(20, 1e-9), 100.0)
    always = Intervals(low=np.zeros(20), high=np.ones(20))  # a rule that holds from the start
    trials = type(trials)(**{name: getattr(trials, name) for name in trials.__slots__} | {"seen": always})
    for make in (fit_aft, fit_cure):
        with pytest.raises(BadInput, match="at the same evaluation, step 1, in all 20 trials"):
            make(trials)


def test_one_trial_that_was_stopped_early_does_not_shorten_the_budgets() -> None:
    rows = [trial(0.1, 0.3 + 0.02 * k, k, 10, 900 - 30 * k if k > 8 else None) for k in range(24)]
    rows[0] |= {"status": "stopped", "steps_run": 30}
    found = read_trials(connected(rows, curves=NO_CURVES), FitQuery(x=(FRAC,)))
    assert last_common_step(found) == pytest.approx(T / 1.2)


def test_a_budget_shift_says_how_far_it_reads_and_tells_no_boundary_twice() -> None:
    found = fit_budget_shift(diverging(0, scatter=0.2, budget=3e5), budgets=np.array([2e5]))
    told = found.sentences()
    assert sum(one.startswith("Boundary of") for one in told) == 1
    assert any("read at 1 T' up to 200,000 steps" in one for one in told)


def test_never_is_held_against_how_long_was_watched() -> None:
    last = fit_cure(diverging(0, scatter=0.2, budget=3e5)).sentences()[-1]
    trials = diverging(0, scatter=0.2, budget=3e5)
    latest = trials.seen.high[trials.seen.happened].max()
    assert last.startswith("Not claimed: that 'never' means never.")
    assert f"{3e5 / latest:.2g} times as long" in last


@pytest.mark.parametrize(
    ("first", "last", "told"),
    [
        ((1.0, 1.2), (0.3, 0.4), "closes"),
        ((0.3, 0.4), (1.0, 1.2), "opens"),
        ((-1.2, -1.0), (-0.4, -0.3), "closes"),
        ((-0.4, -0.3), (-1.2, -1.0), "opens"),
        ((-0.4, -0.3), (0.3, 0.4), "turns the loop round"),
        ((0.3, 0.5), (0.4, 0.6), "no change"),
    ],
)
def test_a_loop_closes_when_its_area_comes_nearer_to_0_from_either_side(
    first: tuple[float, float], last: tuple[float, float], told: str
) -> None:
    def area(ends: tuple[float, float]) -> LoopArea:
        none = np.zeros(0)
        names = ("places", "generalised", "memorised", "gap", "low", "high")
        return LoopArea(
            budget=1, area=sum(ends) / 2, area_low=ends[0], area_high=ends[1], width=1.0, **dict.fromkeys(names, none)
        )

    assert told in _trend(area(first), area(last))


def test_a_collapse_whose_x_c_has_trials_on_one_side_only_warns() -> None:
    generator = np.random.default_rng(0)
    x, p, seed = (a.ravel() for a in np.meshgrid(np.linspace(0, 1, 8), [8.0, 16.0, 32.0, 64.0], np.arange(4)))
    value = np.exp((x + 0.4) * p**0.5 / 4) + 0.001 * generator.normal(size=len(x))  # x_c = -0.4
    found = collapse(LineCut.of(x, value, seed.astype(int), p), resamples=10)
    assert any("x_c lies at or beyond an end of the cut (0 to 1)" in one for one in found.sentences())
