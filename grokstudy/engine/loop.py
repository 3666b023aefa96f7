"""The loop. `grokstudy train`, every study and every test step packs through this one function."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from grokstudy.engine.batch import PackData
from grokstudy.engine.evaluate import TEST_LOSS, TRAIN_LOSS, evaluate
from grokstudy.engine.gradients import Gradient
from grokstudy.engine.ring import Ring
from grokstudy.engine.state import Lane, Member, PackState, restore
from grokstudy.engine.step import Update
from grokstudy.spec.schedule import is_checkpoint, next_evaluation
from grokstudy.spec.settings import CheckpointSettings, EngineSettings

DTYPES = {"float32": torch.float32, "float64": torch.float64}


@dataclasses.dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Checkpoint:
    """Weights of all members at one step, to be stored before the loop goes on (they are not copied)."""

    step: int
    trial_ids: tuple[str, ...]
    tensors: dict[str, Tensor]


@dataclasses.dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Transition:
    """The dense window of weights before a confirmed t_gen: tensors stacked over steps."""

    trial_id: str
    steps: tuple[int, ...]
    tensors: dict[str, Tensor]


@dataclasses.dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Tick:
    """An update is about to be made: a good moment to look at the clock, take a snapshot or stop.

    `state` is live, not a copy; evaluation and checkpoint of its step are done.
    """

    state: PackState


@dataclasses.dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Leaving:
    """Members that reached the budget or diverged. `state` still has all lanes; the leaving ones are dropped
    afterwards."""

    state: PackState
    lanes: tuple[int, ...]
    diverged: frozenset[int]


Event: TypeAlias = Checkpoint | Transition | Tick | Leaving


def run_pack(
    members: Sequence[Member],
    budget: int,
    settings: EngineSettings,
    checkpoint: CheckpointSettings,
    resume: tuple[int, Sequence[Lane]] | None = None,
) -> Iterator[Event]:
    """Steps members of one signature to `budget` updates, from the start or from stored lanes at one step.

    Yields what happened; who stops iterating stops the training. A member that diverges leaves at once, and the rest go
    on in a smaller pack.

    Args:
        members: trials of one signature.
        budget: updates per member.
        settings: device, threads, compile mode.
        checkpoint: which weights are yielded.
        resume: step and one lane per member.
    """
    device, dtype = torch.device(settings.device), DTYPES[members[0].spec.engine.dtype]
    torch.set_num_threads(settings.threads)
    torch.set_float32_matmul_precision("highest")  # TF32 would move late losses
    if resume is None:
        state = PackState.start(members, dtype, device)
    else:
        state = restore(members, resume[1], resume[0], dtype, device)

    kept_at = -1  # members that leave at a checkpoint make the loop start over at its step
    while state.members:
        # What depends on who is in the pack; rebuilt when members leave.
        specs = [member.spec for member in state.members]
        data = PackData.build(specs, dtype, device)
        model, loss = specs[0].model, specs[0].loss
        gradient = Gradient(model, loss, state.layout, data.shape, compiled=settings.compile)
        update = Update(specs, gradient, state.params)

        while True:
            if _evaluation_is_due(state):
                state.record(evaluate(model, loss, state.layout, state.params, data.table))
                yield from _transitions(state, checkpoint)
            if checkpoint.schedule and state.step != kept_at and is_checkpoint(state.step, checkpoint.steps):
                kept_at = state.step
                yield _weights(state)

            diverged = _diverged(state)
            if state.step >= budget or diverged:
                break
            yield Tick(state=state)
            update(state.params, state.optimizer, state.step, data.batch(state.step))
            state.step += 1

        leaving = tuple(range(len(state.members))) if state.step >= budget else tuple(sorted(diverged))
        yield Leaving(state=state, lanes=leaving, diverged=diverged)
        state.keep([lane for lane in range(len(state.members)) if lane not in leaving])


def _evaluation_is_due(state: PackState) -> bool:
    """At step 0 and wherever the schedule says; not again after a resume from a snapshot taken at this evaluation."""
    return not state.curve_steps or state.step == next_evaluation(state.curve_steps[-1])


def _diverged(state: PackState) -> frozenset[int]:
    """Lanes whose loss was not finite at the current step's evaluation."""
    if state.curve_steps[-1] != state.step:
        return frozenset()
    row = state.curves[-1]
    finite = np.isfinite(row[:, TRAIN_LOSS]) & ~np.isinf(row[:, TEST_LOSS])  # NaN test loss: there are no test rows
    return frozenset(np.flatnonzero(~finite).tolist())


def _transitions(state: PackState, checkpoint: CheckpointSettings) -> Iterator[Transition]:
    """Feeds every watch with the evaluation just recorded; yields the ring of members whose t_gen it confirmed."""
    for lane, (member, watch) in enumerate(zip(state.members, state.watches, strict=True)):
        confirmed = watch.push(state.step, state.curves[-1][lane])
        if watch.in_transition and checkpoint.ring:
            watch.ring.push(state.step, state.params[lane])
        elif confirmed and watch.ring.steps:
            yield Transition(
                trial_id=member.trial_id,
                steps=tuple(watch.ring.steps),
                tensors=state.layout.views(watch.ring.stacked()),
            )
            watch.ring = Ring()


def _weights(state: PackState) -> Checkpoint:
    return Checkpoint(
        step=state.step,
        trial_ids=tuple(member.trial_id for member in state.members),
        tensors=state.layout.views(state.params),
    )
