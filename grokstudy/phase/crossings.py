"""The rule of `spec.outcome` for the curves of many trials at once; a test holds both to the same answers."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int

from grokstudy.spec.outcome import HOLD, HOLD_EVALUATIONS


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Crossings:
    """What the curve of every trial says, in steps; NaN where it was not seen."""

    time: Float[np.ndarray, " trials"]
    """As `spec.outcome.sustained`."""
    lost: Float[np.ndarray, " trials"]
    """As `spec.outcome.retention`: the first evaluation after the crossing that is not above."""


def crossings(
    trial: Int[np.ndarray, " rows"], step: Int[np.ndarray, " rows"], above: Bool[np.ndarray, " rows"], trials: int
) -> Crossings:
    """Sustained crossings of `trials` curves that lie below each other.

    An unbroken run of evaluations above the threshold is confirmed as a whole or not at all: it needs enough of them,
    and an evaluation at the end of its window that is above, or one past it.

    Args:
        trial: number of the curve that a row belongs to; rises.
        step: rises within a curve.
        above: whether the condition held there.
    """
    bounds = trial[1:] != trial[:-1]
    first = above.copy()
    first[1:] &= ~above[:-1] | bounds
    last = above.copy()
    last[:-1] &= ~above[1:] | bounds
    starts, ends = np.flatnonzero(first), np.flatnonzero(last)
    window = HOLD * step[starts]
    after = np.minimum(ends + 1, len(trial) - 1)
    goes_on = (after > ends) & (trial[after] == trial[ends])
    seen_in_full = (step[ends] >= window) | (goes_on & (step[after] > window))
    confirmed = np.flatnonzero((ends - starts + 1 >= HOLD_EVALUATIONS) & seen_in_full)
    owners = trial[starts[confirmed]]
    runs = confirmed[np.r_[True, owners[1:] != owners[:-1]]] if len(owners) else confirmed
    found = Crossings(time=np.full(trials, np.nan), lost=np.full(trials, np.nan))
    found.time[trial[starts[runs]]] = step[starts[runs]]
    found.lost[trial[starts[runs]]] = np.where(goes_on[runs], step[after[runs]], np.nan)
    return found
