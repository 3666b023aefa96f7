"""The three phases of a grokking trial, read from its curves and its excluded losses."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float, Int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PhaseThresholds:
    """Operational definitions, not the source's: there the phases were told by eye."""

    rise: float = 2.0
    """Circuits formed only if the excluded loss exceeded its minimum by this factor afterwards."""
    fall: float = 0.5
    """Cleanup begins when the test loss is below this share of its largest value so far ..."""
    settled: float = 0.01
    """... and ends when it is below this share ..."""
    flat: float = 0.05
    """... and the norm's rate |d log(sum of squares) / d step| below this share of its largest value in the cleanup."""


DEFAULT = PhaseThresholds()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Phases:
    """Steps at which the phases end: t1 < t2 < t3."""

    t1: int
    """End of memorisation: the excluded loss on the train rows is least (a checkpoint's step)."""
    t2: int
    """End of circuit formation: the test loss begins to fall (an evaluated step)."""
    t3: int
    """End of cleanup: the test loss and the weights' norm have settled (an evaluated step)."""
    thresholds: PhaseThresholds


def nanda_phases(
    *,
    t_gen: int | None,
    checkpoint_steps: Int[np.ndarray, " checkpoints"],
    excluded_train: Float[np.ndarray, " checkpoints"],
    steps: Int[np.ndarray, " evaluations"],
    test_loss: Float[np.ndarray, " evaluations"],
    sum_sq_weights: Float[np.ndarray, " evaluations"],
    thresholds: PhaseThresholds = DEFAULT,
) -> tuple[Phases | None, str | None]:
    """Phases and None, or None and the reason why they are undefined.

    Every condition looks only at what came before (and one evaluation ahead for the norm's rate), so that continuing a
    trial never moves a phase that was found.

    Args:
        t_gen: generalisation time, None if not seen.
        checkpoint_steps: rising steps of `excluded_train` (NaN where it is NULL: those checkpoints are left out).
        steps: rising steps of the two curves.

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 5.2 and figure 7.
    """
    measured = np.isfinite(excluded_train)
    checkpoint_steps, excluded_train = checkpoint_steps[measured], excluded_train[measured]
    if t_gen is None:
        return None, "no t_gen: the trial did not generalise"
    before = checkpoint_steps <= t_gen
    if not before.any():
        return None, "no excluded loss at or before t_gen: no key frequencies or no checkpoints"
    lowest = int(np.argmin(excluded_train[before]))
    t1 = int(checkpoint_steps[lowest])
    if not (excluded_train[lowest:] > thresholds.rise * excluded_train[lowest]).any():
        return None, f"excluded loss never exceeds {thresholds.rise} x its minimum: no circuit formation seen"

    peak = np.fmax.accumulate(test_loss)
    falling = np.flatnonzero((steps > t1) & (test_loss < thresholds.fall * peak))
    if not len(falling):
        return None, f"test loss never falls below {thresholds.fall} x its peak after t1={t1}"
    onset = int(falling[0])
    t2 = int(steps[onset])

    rate = _rate(steps, sum_sq_weights)
    fastest = np.full(len(steps), np.nan)
    fastest[onset:] = np.fmax.accumulate(rate[onset:])
    calm = (steps > t2) & (test_loss < thresholds.settled * peak) & (rate < thresholds.flat * fastest)
    if not calm.any():
        return None, f"cleanup (t1={t1}, t2={t2}) has not ended by step {int(steps[-1])}"
    return Phases(t1=t1, t2=t2, t3=int(steps[np.flatnonzero(calm)[0]]), thresholds=thresholds), None


def _rate(
    steps: Int[np.ndarray, " evaluations"], sum_sq_weights: Float[np.ndarray, " evaluations"]
) -> Float[np.ndarray, " evaluations"]:
    """|d log(sum of squares) / d step|; zero norms have no logarithm and give NaN."""
    if len(steps) < 2:
        return np.full(len(steps), np.nan)
    log_norm = np.log(np.where(sum_sq_weights > 0, sum_sq_weights, np.nan))
    rate: Float[np.ndarray, " evaluations"] = np.abs(np.gradient(log_norm, steps.astype(float)))
    return rate
