"""When a trial is evaluated and checkpointed: functions of the step alone, never of the budget.

Past step 20 evaluations fall on multiples of a spacing that is at most 3 % of the step and at most 100, taken from
numbers that divide 100: every multiple of 100 is evaluated, so that usual budgets end on an evaluation.
"""

from __future__ import annotations

from collections.abc import Sequence

EVERY_STEP_TO = 20
SPACING = 0.03
"""Evaluations are at most this fraction of the step apart."""
SPACINGS = (100, 50, 25, 20, 10, 5, 4, 2, 1)
CHECKPOINT_MANTISSAS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 9.0)


def next_evaluation(step: int) -> int:
    """The first evaluated step after `step` (which need not be evaluated itself)."""
    if step < EVERY_STEP_TO:
        return step + 1
    spacing = next((s for s in SPACINGS if s <= SPACING * step), 1)
    return step + spacing - step % spacing


def evaluations(budget: int) -> list[int]:
    """Evaluated steps from 0 to at most `budget`."""
    steps = [0]
    while (following := next_evaluation(steps[-1])) <= budget:
        steps.append(following)
    return steps


def is_checkpoint(step: int, extra: Sequence[int] = ()) -> bool:
    """Step 0, m * 10^k for m in 1, 1.5, 2, 3, 5, 7, 9, and whatever `checkpoint.steps` names."""
    if step == 0 or step in extra:
        return True
    power = 10 ** (len(str(step)) - 1)
    return any(step == mantissa * power for mantissa in CHECKPOINT_MANTISSAS)
