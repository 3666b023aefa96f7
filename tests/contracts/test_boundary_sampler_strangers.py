"""BoundarySampler as Optuna's own features meet it: numbers of numpy, enqueued trials, and spaces that change."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial, TrialState, create_trial

from grokstudy.samplers import BoundarySampler
from grokstudy.spec.errors import BadInput
from tests.contracts.test_boundary_sampler import GOOD, SPACE, R, T, a_sampler, a_study, outcome, run


@pytest.fixture(autouse=True)
def quiet() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)


@pytest.fixture(scope="module")
def finished() -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return a_study(a_sampler(explore=0.5), 36)


def again(study: optuna.Study, **given: Any) -> optuna.Study:
    """A study with the same trials."""
    copy = optuna.create_study(sampler=a_sampler(explore=0.5, **given))
    copy.add_trials(study.trials)
    return copy


@pytest.mark.parametrize("kind", [np.int64, np.float32, np.float64])
def test_times_may_be_numbers_of_numpy(kind: type[np.number[Any]]) -> None:
    study = optuna.create_study(sampler=a_sampler())
    run(study, 2, t_mem=kind(10), t_gen=None, steps=kind(T), diverged=np.bool_(False))
    plain = optuna.create_study(sampler=a_sampler())
    run(plain, 2, **GOOD)
    assert study.ask(SPACE).params == plain.ask(SPACE).params


def test_trials_may_be_added_with_parameters_of_numpy() -> None:
    space: dict[str, BaseDistribution] = {"x": FloatDistribution(0, 1), "depth": IntDistribution(1, 9)}
    study = optuna.create_study(sampler=a_sampler(search_space=space))
    params = {"x": np.float32(0.5), "depth": np.int64(3)}
    study.add_trial(create_trial(params=params, distributions=space, value=0.0, user_attrs=GOOD))
    assert study.ask(space).params.keys() == space.keys()


def test_an_enqueued_trial_never_counts_as_one_that_explored(finished: optuna.Study) -> None:
    """Its explore prediction was for the place that was proposed, not for the one it was given."""
    study = again(finished)
    before = study.sampler.should_stop(study).explore_n
    for _ in range(8):
        study.enqueue_trial({"x": 0.5})
        trial = study.ask(SPACE)
        outcome(trial)
        study.tell(trial, 0.0)
    assert "explore" in {trial.system_attrs["boundary:source"] for trial in study.trials[-8:]}
    assert study.sampler.should_stop(study).explore_n == before > 0


def test_explore_trials_check_the_map_of_the_question_they_were_predicted_for(finished: optuna.Study) -> None:
    assert again(finished).sampler.should_stop(finished).explore_n > 0
    other = BoundarySampler(T / 2, R, seed=1, search_space=SPACE)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # trials were watched for longer than this budget
        assert other.should_stop(finished).explore_n == 0


def test_the_space_may_become_known_while_a_trial_is_half_suggested() -> None:
    study = optuna.create_study(sampler=a_sampler(search_space=None))
    first, second = study.ask(), study.ask()
    second.suggest_float("x", 0, 1)
    for name, distribution in SPACE.items():
        first._suggest(name, distribution)
    outcome(first)
    study.tell(first, 0.0)
    assert SPACE["wd"]._contains(second._suggest("wd", SPACE["wd"]))


def test_a_space_that_changed_throughout_is_said() -> None:
    study = a_study(a_sampler(search_space=None), 3)
    wider: dict[str, BaseDistribution] = {"x": FloatDistribution(0, 2), "wd": FloatDistribution(0.001, 1, log=True)}
    trial = study.ask(wider)
    outcome(trial)
    study.tell(trial, 0.0)
    with pytest.warns(UserWarning, match="no parameter was suggested from one distribution"):
        study.ask(wider)
    with pytest.raises(BadInput, match="search_space: no parameter"):
        study.sampler.should_stop(study)


def test_a_stop_may_be_asked_for_before_any_trial_has_finished() -> None:
    def fails(trial: Trial) -> float:
        raise OSError("no disk")

    checks: list[bool] = []
    study = optuna.create_study(sampler=a_sampler())
    study.optimize(fails, 2, catch=(OSError,), callbacks=[lambda s, t: checks.append(bool(s.sampler.should_stop(s)))])
    assert checks == [False, False]
    assert {trial.state for trial in study.trials} == {TrialState.FAIL}


def test_points_outside_the_axes_are_refused(finished: optuna.Study) -> None:
    with pytest.raises(BadInput, match=r"points: row 1: x: got 7.0, must lie in 0 .. 1"):
        finished.sampler.posterior(finished, [{"x": 0.5, "wd": 0.01}, {"x": 7.0, "wd": 0.1}])


def test_crossings_on_one_axis_are_those_that_divide_outcomes() -> None:
    """Watched to 1000 T, delays are seen to pass R at x = .8; yet from x = .5 on nothing memorises by T."""
    line: dict[str, BaseDistribution] = {"x": FloatDistribution(0, 1)}
    study = optuna.create_study(sampler=a_sampler(search_space=line))
    for x in np.linspace(0, 1, 24).tolist():
        t_mem = T * 10 ** (2 * x - 1)
        seen = {"t_mem": t_mem, "t_gen": t_mem * R * 10 ** ((x - 0.8) / 2), "steps": 1000 * T}
        study.add_trial(create_trial(params={"x": x}, distributions=line, value=0.0, user_attrs=seen))
    found = {curve.margin: [crossing.value for crossing in curve.crossings] for curve in study.sampler.boundary(study)}
    # t_gen = T at 2 x - 1 + log10(5) + (x - .8) / 2 = 0, that is x = .28.
    assert found["mem"] == pytest.approx([0.5], abs=0.05)
    assert found["gen"] == pytest.approx([0.28], abs=0.05)
    assert found["delay"] == []
