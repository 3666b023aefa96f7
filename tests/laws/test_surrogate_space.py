"""Points become places and come back; what trials say of a margin follows from their times alone."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from grokstudy.samplers.surrogate.observations import Observations, Question, evidence, has_inversion
from grokstudy.samplers.surrogate.space import Dimension, Places, Space
from grokstudy.spec.axes import Axis, Point
from grokstudy.spec.errors import BadInput
from tests.surrogates import BUDGET, PLANE, QUESTION, RATIO, observed, places, sobol, trials

AXES = (
    Axis(path="optimizer.lr", low=1e-4, high=1e-1, log=True),
    Axis(path="model.width", low=8, high=512, log=True, integer=True),
    Axis(path="regularization.weight_decay", values=(0, 0.1, 1.0, 10.0)),
    Axis(path="task.frac_train", values=(0.3, 0.4, 0.5, 0.6)),
    Axis(path="optimizer.name", values=("adamw", "sgd", "muon")),
    Axis(path="model.bias", values=(False, True)),
    Axis(path="batch_size", values=(None, 32, 64)),
    Axis(path="seed", values=(0, 1, 2)),
)
SPACE = Space.of_axes(AXES)


def test_seeds_are_no_dimension_and_kinds_of_axes_are_told_apart() -> None:
    assert [axis.name for axis in SPACE.numbers] == [axis.path for axis in AXES[:4]]
    assert [axis.name for axis in SPACE.names] == ["optimizer.name", "model.bias", "batch_size"]


def test_points_come_back_from_their_places() -> None:
    rng = np.random.default_rng(0)
    at = Places(rng.random((64, 4)), np.column_stack([rng.integers(0, n, 64) for n in (3, 2, 3)]))
    points = SPACE.points(at)
    assert SPACE.points(SPACE.places(points)) == points
    assert all(isinstance(point["model.width"], int) for point in points)
    assert {point["regularization.weight_decay"] for point in points} == {0.0, 0.1, 1.0, 10.0}
    moved = SPACE.snapped(at)
    # A whole number moves at most half a step of the smallest one, 8 -> 9 in the logarithm; lr to 12 digits.
    assert np.abs(moved.unit - at.unit)[:, 1].max() <= 0.5 * np.log(9 / 8) / np.log(512 / 8) * 1.05
    assert np.abs(moved.unit - at.unit)[:, 0].max() < 1e-11
    assert np.array_equal(moved.levels, at.levels)


@pytest.mark.parametrize("unit", [0.0, 1.0, -1e-9, 1 + 1e-9])
def test_a_proposed_value_is_never_outside_its_interval(unit: float) -> None:
    for axis in AXES[:2]:
        low, high = float(axis.low or 0), float(axis.high or 0)
        value = SPACE.points(Places(np.full((1, 4), unit), np.zeros((1, 3), dtype=np.int64)))[0][axis.path]
        assert isinstance(value, (int, float))
        assert low <= value <= high


def test_logarithms_are_even_and_zero_lies_one_step_below_the_first_value() -> None:
    weight_decay = SPACE.numbers[2]
    np.testing.assert_allclose([weight_decay.unit(v) for v in (0, 0.1, 1.0, 10.0)], [0, 1 / 3, 2 / 3, 1], atol=1e-12)
    assert SPACE.numbers[3].log is False
    np.testing.assert_allclose([SPACE.numbers[3].unit(v) for v in (0.3, 0.4, 0.5, 0.6)], np.linspace(0, 1, 4))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"optimizer.lr": float("nan")}, "optimizer.lr: got nan"),
        ({"optimizer.lr": 0.0}, "optimizer.lr: got 0.0, must be above 0"),
        ({"optimizer.lr": "fast"}, "must be a finite number"),
        ({"optimizer.name": "adamv"}, "did you mean 'adamw'"),
        ({"model.bias": 1}, "model.bias"),
    ],
)
def test_a_value_that_has_no_place_is_refused_by_name(change: Point, words: str) -> None:
    point = {**SPACE.points(Places(np.full((1, 4), 0.5), np.zeros((1, 3), dtype=np.int64)))[0], **change}
    with pytest.raises(BadInput, match=words):
        SPACE.places([point])


def test_a_point_without_an_axis_is_refused() -> None:
    with pytest.raises(BadInput, match="y"):
        PLANE.places([{"x": 0.5}])


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        ([Axis(path="model.bias", values=(False, True))], "at least one axis of numbers"),
        ([], "at least one axis of numbers"),
        ([Axis(path="optimizer.lr", values=(0.1,))], "optimizer.lr: has one value"),
    ],
)
def test_axes_without_a_boundary_are_refused(axes: list[Axis], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        Space.of_axes(axes)


def test_an_axis_without_width_is_refused() -> None:
    with pytest.raises(BadInput, match="must have a width"):
        Dimension(name="x", low=1.0, high=1.0)


@pytest.mark.parametrize("name", ["budget", "ratio"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, -1.0])
def test_a_question_without_a_number_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"^{name}: got"):
        dataclasses.replace(QUESTION, **{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", np.array([1e5, np.nan])),
        ("steps", np.array([1e5, 0.0])),
        ("t_mem", np.array([10.0, 2e5])),
        ("t_gen", np.array([-1.0, 10.0])),
        ("cost", np.array([np.inf, 1.0])),
        ("t_mem", np.array([10.0])),
    ],
)
def test_observations_that_cannot_be_are_refused_by_name(name: str, value: np.ndarray) -> None:
    good = trials(sobol(2))
    changed: dict[str, Any] = {name: value}
    with pytest.raises(ValueError, match=f"^{name}: "):
        dataclasses.replace(good, **changed)


def one(t_mem: float, t_gen: float, steps: float = BUDGET) -> Observations:
    return observed(places(np.full((1, 2), 0.5)), np.array([t_mem]), np.array([t_gen]), np.array([steps]))


NEVER = np.inf


def test_a_time_is_its_distance_from_the_boundary_in_dex() -> None:
    seen = one(1e3, 1e4)
    assert evidence(seen, QUESTION, "mem").bound.tolist() == [-2.0]
    assert evidence(seen, QUESTION, "gen").bound.tolist() == [-1.0]
    np.testing.assert_allclose(evidence(seen, QUESTION, "delay").bound, [np.log10(10 / RATIO)])
    assert evidence(seen, QUESTION, "gen").side.tolist() == [0.0]


def test_a_trial_watched_to_a_quarter_is_no_label() -> None:
    seen = evidence(one(NEVER, NEVER, BUDGET / 4), QUESTION, "mem")
    assert (seen.side.tolist(), seen.bound.tolist()) == ([1.0], [np.log10(0.25)])
    assert not seen.seen_above().any()
    assert not seen.seen_below().any()
    assert seen.within(0.0).bound.tolist() == seen.bound.tolist()


def test_outer_margins_come_first() -> None:
    assert len(evidence(one(NEVER, NEVER), QUESTION, "gen")) == 0
    assert len(evidence(one(NEVER, 50.0), QUESTION, "gen")) == 1  # inversion: gen means something everywhere
    assert len(evidence(one(NEVER, 50.0), QUESTION, "delay")) == 0
    late = evidence(one(100.0, NEVER), QUESTION, "delay")
    assert (late.side.tolist(), late.bound.tolist()) == ([1.0], [np.log10(BUDGET / 100 / RATIO)])


def test_a_window_keeps_times_near_the_boundary_and_sides_beyond() -> None:
    seen = evidence(trials(sobol(64), steps=2 * BUDGET), QUESTION, "gen")
    near, labels = seen.within(0.4), seen.within(0.0)
    exact = near.side == 0
    assert exact.any()
    assert (np.abs(near.bound[exact]) <= 0.4).all()
    assert np.array_equal(exact, (seen.side == 0) & (np.abs(seen.bound) < 0.4))
    assert set(labels.side.tolist()) == {-1.0, 1.0}
    assert np.array_equal(labels.side < 0, seen.seen_below())


def test_a_shorter_budget_is_asked_of_the_same_trials() -> None:
    seen = one(1e3, 1e4)
    assert evidence(seen, Question(budget=5e3, ratio=RATIO), "gen").seen_above().all()
    assert evidence(seen, QUESTION, "gen").seen_below().all()


def test_an_event_at_the_budget_itself_is_in_time() -> None:
    """As its label says, which counts times up to T; a label alone (window 0) must not read it as late."""
    seen = one(BUDGET, BUDGET)
    for margin in ("mem", "gen"):
        found = evidence(seen, QUESTION, margin)
        assert found.seen_below().all()
        assert not found.seen_above().any()
        assert found.within(0.0).side.tolist() == [-1.0]
    assert evidence(one(100.0, 100.0 * RATIO), QUESTION, "delay").seen_above().all()


def test_memorising_after_a_shorter_budget_is_inversion_under_it() -> None:
    seen = one(900.0, 300.0)
    for budget, inverted in ((200, False), (500, True), (1000, False)):
        assert has_inversion(seen, Question(budget=budget, ratio=RATIO)) == inverted
