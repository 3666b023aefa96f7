"""Evaluations and checkpoints are functions of the step."""

from __future__ import annotations

import itertools

import pytest

from grokstudy.spec.schedule import EVERY_STEP_TO, evaluations, is_checkpoint, next_evaluation


def test_every_step_to_20_is_evaluated_then_at_most_3_percent_and_100_steps_apart() -> None:
    steps = evaluations(100_000)
    assert steps[: EVERY_STEP_TO + 1] == list(range(21))
    for before, after in itertools.pairwise(steps[20:]):
        # A spacing of one step is the finest there is: between 20 and 34 it is up to 5 % of the step.
        assert 1 <= after - before <= max(1, min(100, 0.03 * before))
    assert max(b - a for a, b in itertools.pairwise(steps)) == 100


def test_every_multiple_of_100_is_evaluated() -> None:
    assert set(range(0, 50_001, 100)) <= set(evaluations(50_000))


def test_the_budget_only_cuts_the_schedule() -> None:
    longest = evaluations(5000)
    for budget in (0, 1, 19, 20, 21, 33, 34, 499, 500, 1234, 4999):
        assert evaluations(budget) == [step for step in longest if step <= budget]


@pytest.mark.parametrize("step", [0, 7, 19, 20, 21, 66, 67, 333, 501, 3333, 9999])
def test_the_next_evaluation_is_the_same_from_any_step_before_it(step: int) -> None:
    steps = evaluations(20_000)
    assert next_evaluation(step) == next(s for s in steps if s > step)


def test_checkpoints_are_step_0_and_seven_mantissas_per_decade() -> None:
    mantissas = (1, 1.5, 2, 3, 5, 7, 9)
    expected = {0} | {int(m * 10**k) for k in range(6) for m in mantissas if (m * 10**k) % 1 == 0}
    assert {step for step in range(100_000) if is_checkpoint(step)} == {step for step in expected if step < 100_000}


def test_named_steps_are_checkpointed_too() -> None:
    assert not is_checkpoint(1234)
    assert is_checkpoint(1234, extra=(5, 1234))
