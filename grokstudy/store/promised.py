"""What the rows of a study promise is there: curves to the last step, checkpoints by the schedule and at the end."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

import numpy as np
import torch
from jaxtyping import Float, Int

from grokstudy.engine.ring import Ring
from grokstudy.spec.outcome import TAU, Streak
from grokstudy.spec.rows import Status
from grokstudy.spec.schedule import CHECKPOINT_MANTISSAS, evaluations, is_checkpoint
from grokstudy.spec.settings import CheckpointSettings


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The counting row of a trial that is not run again at its budget."""

    trial_id: str
    steps_run: int
    status: Status
    t_mem: int | None
    t_gen: int | None


def first_missing_evaluation(steps_run: int, stored: Iterable[int]) -> int | None:
    """The first step at which a trial was evaluated and its stored curve has no row; None if the curve is whole."""
    found = frozenset(stored)
    return next((step for step in _evaluations(steps_run) if step not in found), None)


def scheduled_steps(settings: CheckpointSettings, reach: int) -> AbstractSet[int]:
    """Steps to `reach` at which the schedule keeps the weights of every trial."""
    return _scheduled(settings.steps, reach) if settings.schedule else frozenset()


def end_step(trial: Finished) -> AbstractSet[int]:
    """The step at which the weights are kept because the trial ended there; none if it diverged."""
    return frozenset() if trial.status == "diverged" else {trial.steps_run}


def transition_steps(
    steps: Int[np.ndarray, " n"], train_acc: Float[np.ndarray, " n"], test_acc: Float[np.ndarray, " n"]
) -> tuple[int, ...]:
    """Steps of the weights that the ring kept when t_gen was confirmed: the engine's own rule over a stored curve."""
    mem, gen, ring = Streak(), Streak(), Ring()
    nothing = torch.empty(0)
    for step, train, test in zip(steps.tolist(), train_acc, test_acc, strict=True):
        mem.push(step, bool(train >= TAU))
        confirmed = gen.push(step, bool(test >= TAU))
        if mem.crossing is not None and gen.crossing is None:
            ring.push(step, nothing)
        elif confirmed:
            return tuple(ring.steps)
    return ()


def common(settings: Sequence[CheckpointSettings]) -> CheckpointSettings:
    """What all attempts at a study kept."""
    shared = set(settings[0].steps) if settings else set()
    return CheckpointSettings(
        steps=tuple(sorted(shared.intersection(*(one.steps for one in settings)))),
        ring=all(one.ring for one in settings),
        schedule=all(one.schedule for one in settings),
    )


def earliest(lost: Mapping[str, Iterable[int]]) -> dict[str, int]:
    """By trial, the first of the lost steps."""
    return {trial_id: first for trial_id, steps in lost.items() if (first := min(steps, default=None)) is not None}


@functools.lru_cache(maxsize=1000)
def _evaluations(steps_run: int) -> tuple[int, ...]:
    return tuple(evaluations(steps_run))


@functools.lru_cache(maxsize=1000)
def _scheduled(extra: tuple[int, ...], reach: int) -> frozenset[int]:
    powers = (10**k for k in range(len(str(reach))))
    steps = {0, *extra, *(int(mantissa * power) for power in powers for mantissa in CHECKPOINT_MANTISSAS)}
    return frozenset(step for step in steps if step <= reach and is_checkpoint(step, extra))
