"""What BoundarySampler owes any Optuna user: proposals that follow from storage and seed, and defined behaviour for any
input."""

from __future__ import annotations

import pickle
import subprocess
import sys
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial, TrialState

from grokstudy.samplers import BoundarySampler
from grokstudy.samplers.surrogate import stream
from grokstudy.samplers.surrogate.stopping import StopRule
from grokstudy.spec.errors import BadInput
from grokstudy.spec.outcome import LABELS

T, R = 10_000, 5.0
SPACE: dict[str, BaseDistribution] = {"wd": FloatDistribution(0.01, 1, log=True), "x": FloatDistribution(0, 1)}
INITIAL = 12
"""Twelve per axis."""


@pytest.fixture(autouse=True)
def quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def medians(params: Mapping[str, Any]) -> tuple[float, float]:
    """log10 of t_mem and t_gen: confusion at large x, memorization at small wd, grokking, then comprehension."""
    x, y = params["x"], np.log10(params["wd"]) / 2 + 1
    mem = 2.2 + 1.6 * x**2 + 2.0 * max(0.0, (x - 0.85) / 0.15)
    return mem, mem + 0.2 + 1.9 * (1 - y) ** 1.5 + 0.6 * x


def outcome(trial: Trial, noise: float = 0.05) -> None:
    """Trains: writes what was seen, with seed noise by the trial's number."""
    rng = np.random.default_rng(trial.number)
    mem, gen = medians(trial.params)
    t_mem, t_gen = 10 ** (mem + noise / 2 * rng.normal()), 10 ** (gen + noise * rng.normal())
    trial.set_user_attr("t_mem", t_mem if t_mem <= T else None)
    trial.set_user_attr("t_gen", t_gen if max(t_mem, t_gen) <= T else None)
    trial.set_user_attr("steps", T)


def objective(trial: Trial) -> float:
    for name, distribution in SPACE.items():
        trial._suggest(name, distribution)
    outcome(trial)
    return 0.0


def a_study(sampler: BoundarySampler, n: int = 0, **storage: Any) -> optuna.Study:
    study = optuna.create_study(sampler=sampler, **storage)
    study.optimize(objective, n_trials=n)
    return study


def a_sampler(**given: Any) -> BoundarySampler:
    return BoundarySampler(T, R, **{"seed": 1, "search_space": SPACE, **given})


def run(study: optuna.Study, n: int, **attributes: Any) -> None:
    """n trials with the same attributes."""
    for _ in range(n):
        trial = study.ask(SPACE)
        for key, value in attributes.items():
            trial.set_user_attr(key, value)
        study.tell(trial, 0.0)


def proposals(study: optuna.Study) -> list[tuple[dict[str, Any], object]]:
    return [(trial.params, trial.system_attrs.get("boundary:reason")) for trial in study.trials]


@pytest.fixture(scope="module")
def finished() -> optuna.Study:
    """40 trials: twenty-eight after the first 12."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return a_study(a_sampler(), 40)


def test_every_proposal_is_logged_with_its_source_and_reason(finished: optuna.Study) -> None:
    sources = [trial.system_attrs["boundary:source"] for trial in finished.trials]
    assert sources[:INITIAL] == ["initial"] * INITIAL
    assert set(sources[INITIAL:]) == {"boundary", "explore"}
    for trial, source in zip(finished.trials, sources, strict=True):
        assert trial.system_attrs["boundary:reason"]
        predicted = trial.system_attrs["boundary:predicted"]
        assert (predicted is None) == (source == "initial")
        assert predicted is None or (len(predicted) == len(LABELS) and sum(predicted) == pytest.approx(1))


def test_a_study_is_a_function_of_its_seed(finished: optuna.Study) -> None:
    assert proposals(a_study(a_sampler(), 40)) == proposals(finished)
    assert proposals(a_study(a_sampler(seed=2), 3)) != proposals(finished)[:3]


def test_a_new_sampler_on_the_same_storage_proposes_the_same(finished: optuna.Study) -> None:
    """The one that ran all along has a warm fit, the new one has nothing: the next proposal is equal."""
    study = a_study(a_sampler(), 39)
    study.sampler = a_sampler()
    study.optimize(objective, n_trials=1)
    assert proposals(study) == proposals(finished)


def test_a_sampler_can_be_pickled(finished: optuna.Study) -> None:
    study = a_study(a_sampler(), 39)
    study.sampler = pickle.loads(pickle.dumps(study.sampler))
    study.optimize(objective, n_trials=1)
    assert proposals(study) == proposals(finished)


RESUME = """
import sys, optuna
optuna.logging.set_verbosity(optuna.logging.WARNING)
from tests.contracts.test_boundary_sampler import a_sampler, objective
study = optuna.load_study(study_name="s", storage=sys.argv[1], sampler=a_sampler())
study.optimize(objective, n_trials=3)
"""


@pytest.mark.slow
def test_a_study_resumed_from_sqlite_in_a_new_process_is_the_uninterrupted_one(
    finished: optuna.Study, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path}/study.db"
    a_study(a_sampler(), 37, storage=url, study_name="s")
    subprocess.run([sys.executable, "-c", RESUME, url], check=True, cwd=Path(__file__).parents[2], timeout=120)
    resumed = optuna.load_study(study_name="s", storage=url)
    assert proposals(resumed) == proposals(finished)


def test_a_study_without_a_seed_draws_one_and_keeps_it() -> None:
    study = a_study(a_sampler(seed=None), 2)
    drawn = study._storage.get_study_system_attrs(study._study_id)["boundary:seed"]
    study.sampler = a_sampler(seed=None)
    study.optimize(objective, n_trials=1)
    assert proposals(study) == proposals(a_study(a_sampler(seed=drawn), 3))


def test_eight_trials_in_flight_are_eight_places_and_may_end_in_any_order() -> None:
    study = a_study(a_sampler(), 26)
    for _ in range(2):
        flight = [study.ask(SPACE) for _ in range(8)]
        assert len({tuple(trial.params.values()) for trial in flight}) == 8
        for trial in reversed(flight):
            outcome(trial)
            study.tell(trial, 0.0)
    places = {tuple(trial.params.values()) for trial in study.trials}
    assert len(places) == 42


def test_a_proposal_is_visible_to_other_processes_before_it_is_asked_for_by_name() -> None:
    """Trials that run are conditioned on by their published proposal: two that have suggested nothing yet differ."""
    study = a_study(a_sampler(explore=0.0), 26)
    one, other = study.ask(), study.ask()
    assert one.relative_params.keys() == SPACE.keys()
    assert not study.trials[-2].params
    assert one.relative_params != other.relative_params
    alone = optuna.create_study(sampler=a_sampler(explore=0.0))
    alone.add_trials(study.trials[:26])
    assert alone.ask().relative_params == one.relative_params
    assert alone.ask().relative_params == other.relative_params


def test_threads_share_a_sampler() -> None:
    study = optuna.create_study(sampler=a_sampler())
    study.optimize(objective, n_trials=32, n_jobs=4)
    assert len({tuple(sorted(trial.params.items())) for trial in study.trials}) == 32
    assert all(trial.state == TrialState.COMPLETE for trial in study.trials)


def test_failed_trials_are_ignored_and_pruned_ones_are_censored(finished: optuna.Study) -> None:
    study = optuna.create_study(sampler=a_sampler())
    study.add_trials(finished.trials)
    before = study.sampler.margins(study, [{"wd": 0.1, "x": 0.2}])
    study.tell(study.ask(SPACE), state=TrialState.FAIL)
    assert before.equals(study.sampler.margins(study, [{"wd": 0.1, "x": 0.2}]))
    pruned = study.ask(SPACE)
    for key, value in {"t_mem": None, "t_gen": None, "steps": T / 10}.items():
        pruned.set_user_attr(key, value)
    study.tell(pruned, state=TrialState.PRUNED)
    with pytest.warns(UserWarning, match="watched to 1000, not to budget_steps=10000"):
        after = study.sampler.margins(study, [pruned.params])
    assert after["mem_mean"].item() > study_margin(finished, pruned.params)


def study_margin(study: optuna.Study, point: Mapping[str, Any]) -> float:
    return float(study.sampler.margins(study, [point])["mem_mean"].item())


def test_posteriors_and_margins_are_frames_by_point(finished: optuna.Study) -> None:
    sampler = finished.sampler
    points = [{"wd": 0.9, "x": 0.1}, {"wd": 0.02, "x": 0.3}, {"wd": 0.1, "x": 0.99}]
    p = sampler.posterior(finished, points)
    assert list(p.columns) == list(LABELS)
    assert p.to_numpy().sum(axis=1) == pytest.approx(np.ones(3))
    assert p.idxmax(axis=1).tolist() == ["comprehension", "memorization", "confusion"]
    frame = pd.DataFrame(points, index=[7, 8, 9])
    again = sampler.posterior(finished, frame)
    assert again.index.tolist() == [7, 8, 9]
    assert np.array_equal(again.to_numpy(), p.to_numpy())
    m = sampler.margins(finished, frame)
    assert list(m.columns) == ["mem_mean", "mem_sd", "gen_mean", "gen_sd", "delay_mean", "delay_sd"]
    truth = [medians(point)[0] - np.log10(T) for point in points[1:2]]
    assert abs(m["mem_mean"].iloc[1] - truth[0]) < 4 * m["mem_sd"].iloc[1]
    with pytest.raises(BadInput, match="x"):
        sampler.posterior(finished, [{"wd": 0.1}])


def test_boundaries_are_curves_in_the_axes_own_units(finished: optuna.Study) -> None:
    curves = {curve.margin: curve.contour for curve in finished.sampler.boundary(finished)}
    assert list(curves) == ["mem", "gen", "delay"]
    (line,) = curves["mem"].lines
    wd, x = line.T
    assert wd.min() < 0.03
    assert wd.max() > 0.5
    # t_mem = T at 2.2 + 1.6 x^2 + 2 (x - .85) / .15 = 4, that is x = .9006; the band of 40 trials is a few percent.
    assert np.abs(x - 0.9006).max() < 0.1
    assert curves["mem"].band


def test_expected_error_falls_and_a_stop_says_why(finished: optuna.Study) -> None:
    few = optuna.create_study(sampler=a_sampler())
    few.add_trials(finished.trials[:INITIAL])
    assert 0 < finished.sampler.expected_error(finished) < few.sampler.expected_error(few)
    check = finished.sampler.should_stop(finished)
    assert not check
    assert "expected error" in check.reason
    lax = a_sampler(rule=StopRule(error=0.5, width=1.0))
    assert lax.should_stop(finished)


def test_the_search_space_may_be_left_to_the_objective() -> None:
    """Known from the first finished trial on; until then a Sobol stream."""
    study = a_study(a_sampler(search_space=None), 30)
    assert "boundary:source" not in study.trials[0].system_attrs
    assert all("boundary:source" in trial.system_attrs for trial in study.trials[1:])
    assert study.trials[-1].system_attrs["boundary:source"] in ("boundary", "explore")
    first = optuna.create_study(sampler=a_sampler(search_space=None))
    flight = [first.ask(SPACE).params for _ in range(8)]
    # A one-dimensional projection of 8 Sobol points has one point in each eighth.
    assert sorted(int(8 * params["x"]) for params in flight) == list(range(8))
    with pytest.raises(BadInput, match="search_space"):
        first.sampler.expected_error(first)


def test_every_kind_of_distribution_gets_values_that_it_accepts() -> None:
    space: dict[str, BaseDistribution] = {
        "width": IntDistribution(8, 64),
        "depth": IntDistribution(1, 7, step=2),
        "batch": IntDistribution(1, 512, log=True),
        "frac": FloatDistribution(0.1, 0.9, step=0.1),
        "wd": FloatDistribution(1e-3, 7e-1, log=True),
        "optimizer": CategoricalDistribution(["adamw", "sgd"]),
        "bias": CategoricalDistribution([True, False]),
    }
    study = optuna.create_study(sampler=a_sampler(search_space=space))
    rng = np.random.default_rng(0)
    for _ in range(12 * len(space) + 6):
        trial = study.ask(space)
        assert trial.params.keys() == space.keys()
        for name, value in trial.params.items():
            assert space[name]._contains(space[name].to_internal_repr(value))
        t_mem = 10 ** (3.5 + trial.params["frac"] + rng.normal() * 0.1)
        for key, seen in {"t_mem": t_mem if t_mem <= T else None, "t_gen": None, "steps": T}.items():
            trial.set_user_attr(key, seen)
        study.tell(trial, 0.0)
    assert {trial.system_attrs["boundary:source"] for trial in study.trials[-6:]} <= {"boundary", "explore"}
    assert {trial.params["depth"] for trial in study.trials} == {1, 3, 5, 7}


# Bad input: refused with the name of what is wrong, or explored with a warning; never drawn at random without a word.


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"optimizer": CategoricalDistribution(["adamw", "sgd"])}, "at least one axis of numbers.*optimizer"),
        ({"x": FloatDistribution(0.3, 0.3), "wd": FloatDistribution(0, 1)}, "x: has one value"),
        ({"x": FloatDistribution(0, 1), "kind": CategoricalDistribution(["a"])}, "kind: has one value"),
    ],
)
def test_axes_without_a_boundary_are_refused(space: dict[str, BaseDistribution], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        BoundarySampler(T, R, search_space=space)


def test_choices_that_no_file_can_hold_are_refused() -> None:
    with pytest.warns(UserWarning, match="Choices for a categorical distribution"):
        kind = CategoricalDistribution([(1, 2), (3, 4)])
    with pytest.raises(BadInput, match="kind: a choice must be"):
        a_sampler(search_space={"x": FloatDistribution(0, 1), "kind": kind})


@pytest.mark.parametrize("budget", [0, -5, float("nan"), float("inf")])
def test_a_budget_must_be_a_number_of_steps(budget: float) -> None:
    with pytest.raises(BadInput, match="budget_steps"):
        BoundarySampler(budget, R)


GOOD = {"t_mem": 10, "t_gen": None, "steps": T}


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({}, "trial 0: steps: is missing"),
        ({"t_mem": 10, "t_gen": None}, "trial 0: steps: is missing"),
        ({"t_gen": None, "steps": T}, "trial 0: t_mem: is missing"),
        ({"t_mem": 10, "steps": T}, "trial 0: t_gen: is missing"),
        ({**GOOD, "t_gen": float("nan")}, "trial 0: t_gen: got nan"),
        ({**GOOD, "t_mem": float("inf")}, "trial 0: t_mem: got inf"),
        ({**GOOD, "t_mem": "10"}, "trial 0: t_mem: got '10'"),
        ({**GOOD, "t_mem": -1}, "trial 0: t_mem: got -1"),
        ({**GOOD, "t_gen": T + 1}, "trial 0: t_gen: 10001 is later than steps"),
        ({**GOOD, "steps": 0}, "trial 0: steps: got 0"),
        ({**GOOD, "cost": float("nan")}, "trial 0: cost: got nan"),
        ({**GOOD, "diverged": 1}, "trial 0: diverged: got 1"),
        ({"diverged": True}, "trial 0: steps: is missing"),
    ],
)
def test_a_finished_trial_must_say_what_was_seen(attributes: dict[str, Any], message: str) -> None:
    study = optuna.create_study(sampler=a_sampler())
    run(study, 1, **attributes)
    with pytest.raises(BadInput, match=message):
        study.ask(SPACE)
    with pytest.raises(BadInput, match=message):
        study.sampler.expected_error(study)


@pytest.mark.parametrize(
    ("attributes", "only"),
    [
        ({"t_mem": None, "t_gen": None, "steps": T}, "has the outcome confusion"),
        ({"t_mem": 10, "t_gen": 20, "steps": T}, "has the outcome comprehension"),
        ({"diverged": True, "steps": 10}, "has the outcome diverged"),
    ],
)
def test_with_one_outcome_trials_go_on_exploring_and_say_so(attributes: dict[str, Any], only: str) -> None:
    study = optuna.create_study(sampler=a_sampler())
    run(study, INITIAL, **attributes)
    with pytest.warns(UserWarning, match=f"{only}.*explore"):
        trial = study.ask(SPACE)
    assert study.trials[trial.number].system_attrs["boundary:source"] == "initial"
    with pytest.warns(UserWarning, match=only):
        p = study.sampler.posterior(study, [{"wd": 0.1, "x": 0.5}])
    assert np.isfinite(p.to_numpy()).all()


def test_trials_watched_for_other_than_the_budget_are_read_as_such_and_it_is_said() -> None:
    for steps, said in ((T // 2, "says nothing of later steps"), (2 * T, "counts events beyond that as late")):
        study = a_study(a_sampler(), 5)
        run(study, 1, t_mem=10, t_gen=None, steps=steps)
        with pytest.warns(UserWarning, match=rf"trial 5: steps: was watched to {steps}.*({said})"):
            study.ask(SPACE)


def test_trials_that_ended_early_after_generalising_need_no_warning() -> None:
    study = a_study(a_sampler(), 3)
    run(study, 1, t_mem=10, t_gen=20, steps=100)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        study.ask(SPACE)


def test_a_parameter_outside_the_search_space_is_drawn_with_a_warning() -> None:
    study = a_study(a_sampler(), 2)
    trial = study.ask(SPACE)
    with pytest.warns(UserWarning, match="momentum is not in the search space"):
        assert 0 <= trial.suggest_float("momentum", 0, 1) <= 1


def test_a_parameter_with_another_distribution_is_refused() -> None:
    study = a_study(a_sampler(), 2)
    trial = study.ask()
    outside = float(trial.relative_params["x"]) / 2  # the proposal is not in the objective's narrower interval
    with pytest.raises(BadInput, match=r"x: is suggested from .*, but the search space has"):
        trial.suggest_float("x", 0, outside)


def test_an_enqueued_trial_without_an_axis_is_refused() -> None:
    study = optuna.create_study(sampler=a_sampler())
    trial = study.ask({"x": SPACE["x"]})
    for key, value in GOOD.items():
        trial.set_user_attr(key, value)
    study.tell(trial, 0.0)
    with pytest.raises(BadInput, match="trial 0: wd: was not suggested"):
        study.ask(SPACE)


def test_the_package_does_not_import_optuna_before_its_sampler_is_used() -> None:
    code = "import sys, grokstudy.samplers; assert 'optuna' not in sys.modules and 'scipy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_name_that_the_package_lacks_is_an_attribute_error() -> None:
    import grokstudy.samplers

    with pytest.raises(AttributeError, match="no attribute 'Boundary'"):
        _ = grokstudy.samplers.Boundary


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_plain_optuna_loop_maps_a_known_truth_to_five_percent_in_120_trials(seed: int) -> None:
    study = a_study(a_sampler(seed=seed), 120)
    unit = stream.scrambled(0, "check", 2, 0, 4096)  # a lattice would have whole rows along the edge in x
    points = [{"wd": float(10 ** (2 * y - 2)), "x": float(x)} for x, y in unit]
    mem, gen = np.array([medians(point) for point in points]).T
    late, never = gen > 4, mem > 4
    slow = gen - mem >= np.log10(R)
    truth = np.where(never, "confusion", np.where(late, "memorization", np.where(slow, "grokking", "comprehension")))
    guess = study.sampler.posterior(study, points).idxmax(axis=1).to_numpy()
    assert (guess != truth).mean() < 0.05
