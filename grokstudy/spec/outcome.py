"""From a curve to times, from times to an outcome. The only place where these rules stand.

Times are the facts; an outcome is a reading of them under a threshold tau, a ratio R and a budget T, and is never
stored alone: censored times are modelled, not labels.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int

TAU = 0.95
"""Default accuracy threshold of t_mem and t_gen."""
RATIO = 5.0
"""Default t_gen / t_mem from which a delayed generalisation is called grokking."""
HOLD = 1.2
"""A crossing at t counts if every evaluation in [t, HOLD * t] stays above ..."""
HOLD_EVALUATIONS = 3
"""... and these are at least so many evaluations."""
RETENTION_FACTOR = 2.0
"""A trial that ended before this many t_gen says nothing about retention, unless it was seen to lose."""

Label = Literal["diverged", "confusion", "memorization", "inversion", "grokking", "comprehension"]
LABELS: tuple[Label, ...] = ("confusion", "memorization", "inversion", "grokking", "comprehension", "diverged")
Retention = Literal["kept", "lost", "unknown"]


@dataclasses.dataclass(frozen=True, slots=True)
class Crossing:
    """A sustained crossing: the evaluation `t` at which it began and the evaluation before it (`lo`; None at step
    0)."""

    t: int
    lo: int | None


class Streak:
    """Watches for a sustained crossing, one evaluation at a time, so that a running trial and a stored curve obey one
    rule."""

    __slots__ = ("_before", "_count", "_last", "_start", "crossing")

    def __init__(self) -> None:
        self.crossing: Crossing | None = None
        self._start: int | None = None
        self._before: int | None = None
        self._last: int | None = None
        self._count = 0

    def push(self, step: int, above: bool) -> bool:
        """One more evaluation; True if it confirmed the crossing (which then never changes)."""
        if self.crossing is not None:
            return False
        if self._start is not None:
            end = HOLD * self._start
            held = self._count + above
            if step >= end and held >= HOLD_EVALUATIONS and (above or step > end):
                self.crossing = Crossing(self._start, self._before)
                return True
        if not above:
            self._start, self._count = None, 0
        elif self._start is None:
            self._start, self._before, self._count = step, self._last, 1
        else:
            self._count += 1
        self._last = step
        return False


def sustained(steps: Int[np.ndarray, " n"], above: Bool[np.ndarray, " n"]) -> Crossing | None:
    """First evaluation t such that every evaluation in [t, 1.2 t], and at least three, are above the threshold.

    None if no such window was seen in full: a crossing whose window reaches past the last evaluation is not confirmed.

    Args:
        steps: evaluated steps, rising.
        above: whether the condition held there (NaN accuracies count as False).
    """
    streak = Streak()
    for step, held in zip(steps.tolist(), above.tolist(), strict=True):
        if streak.push(step, held):
            break
    return streak.crossing


def retention(
    steps: Int[np.ndarray, " n"], above: Bool[np.ndarray, " n"], t_gen: int | None
) -> tuple[Retention, int | None]:
    """Whether generalisation was kept, and the first evaluation after t_gen at which it was not.

    "unknown" without t_gen, or if the curve ends before 2 t_gen with nothing lost.
    """
    if t_gen is None or len(steps) == 0:
        return "unknown", None
    lost = steps[(steps > t_gen) & ~above]
    if len(lost):
        return "lost", int(lost[0])
    return ("kept" if steps[-1] >= RETENTION_FACTOR * t_gen else "unknown"), None


def outcome(
    t_mem: float | None,
    t_gen: float | None,
    *,
    diverged: bool = False,
    budget: float | None = None,
    ratio: float = RATIO,
) -> Label:
    """The label of a trial under a budget (times past it count as not seen) and a delay ratio.

    inversion = t_gen without t_mem: the corrupted labels were never memorised, yet clean test labels are right.
    A t_mem of 0 counts as 1, so that the ratio is defined.
    """
    if diverged:
        return "diverged"
    if budget is not None:
        t_mem = t_mem if t_mem is not None and t_mem <= budget else None
        t_gen = t_gen if t_gen is not None and t_gen <= budget else None
    if t_gen is None:
        return "confusion" if t_mem is None else "memorization"
    if t_mem is None:
        return "inversion"
    return "grokking" if t_gen / max(t_mem, 1) >= ratio else "comprehension"
