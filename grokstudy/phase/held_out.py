"""The check of a map on trials that its sampler did not choose: what it expected before they ran, and what came."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from grokstudy.phase.proposals import HELD_OUT
from grokstudy.samplers.surrogate.proportion import clopper_pearson
from grokstudy.spec.outcome import LABELS
from grokstudy.spec.rows import PREDICTED

CONFIDENCE = 0.95
FEWEST = 10
"""Trials below which nothing is said about calibration."""
_SURPRISE = 0.025
"""Chance of a count at least this far out on one side, below which it is called a surprise."""

Calibration = Literal["as expected", "more than expected", "fewer than expected", "too few to say"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HeldOut:
    """How often the most probable outcome was wrong."""

    n: int
    """Held-out trials that were predicted before they ran and have come to an outcome."""
    wrong: int
    upper: float
    """Upper end of Clopper and Pearson's one-sided interval of the error, at CONFIDENCE; 1 without a trial."""
    expected: float
    """Wrong ones that the predictions themselves expect."""
    calibration: Calibration


def is_held_out(proposed: pd.DataFrame) -> pd.Series:
    """Of each proposal, whether it was chosen without looking at any other and its outcome predicted."""
    return (proposed["source"] == HELD_OUT) & proposed[list(PREDICTED)].notna().all(axis=1)


def held_out(proposed: pd.DataFrame, outcomes: pd.Series) -> HeldOut:
    """The check, from all proposals and from the outcome of every trial by its id (missing ones are not counted)."""
    asked = proposed[is_held_out(proposed)]
    asked = asked.drop_duplicates("trial_id")
    came = asked["trial_id"].map(outcomes)
    asked = asked[came.isin(LABELS)]
    chances = asked[list(PREDICTED)].to_numpy(dtype=float)
    labels = np.array([LABELS.index(name) for name in came[came.isin(LABELS)]], dtype=np.int64)
    wrong = chances.argmax(axis=1) != labels
    return checked(wrong, 1 - chances.max(axis=1, initial=0.0))


def checked(wrong: Bool[np.ndarray, " n"], expected: Float[np.ndarray, " n"]) -> HeldOut:
    """The check of trials with these errors and the errors that were expected of them."""
    n, k = len(wrong), int(wrong.sum())
    return HeldOut(
        n=n,
        wrong=k,
        upper=clopper_pearson(k, n, 1 - CONFIDENCE)[1],
        expected=float(expected.sum()),
        calibration=_calibration(k, expected),
    )


def _calibration(wrong: int, expected: Float[np.ndarray, " n"]) -> Calibration:
    """The count against the exact distribution of a sum of independent errors of these chances."""
    if len(expected) < FEWEST:
        return "too few to say"
    chances = np.ones(1)
    for p in expected:
        chances = np.convolve(chances, [1 - p, p])
    if chances[wrong:].sum() < _SURPRISE:
        return "more than expected"
    return "fewer than expected" if chances[: wrong + 1].sum() < _SURPRISE else "as expected"
