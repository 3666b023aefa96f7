"""The loop. `grokstudy train`, every study and every test step packs through this one function."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

import numpy as np
import torch
from torch import Tensor

from grokstudy.engine.batch import PackData
from grokstudy.engine.evaluate import TEST_LOSS, TRAIN_LOSS, Evaluation
from grokstudy.engine.ring import Ring
from grokstudy.engine.signature import active_terms, regularizer
from grokstudy.engine.state import Lane, Member, PackState, restore, start_params
from grokstudy.engine.step import Update
from grokstudy.spec.schedule import is_checkpoint, next_evaluation
from grokstudy.spec.settings import CheckpointSettings, EarlyEndSettings, EngineSettings

NEVER = EarlyEndSettings()
DTYPES = {"float32": torch.float32, "float64": torch.float64}


@dataclasses.dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Checkpoint:
    """All members are to be stored as they are at this step, before the loop goes on: `state` is live, not a copy."""

    state: PackState

    @property
    def step(self) -> int:
        return self.state.step

    @property
    def trial_ids(self) -> tuple[str, ...]:
        return tuple(member.trial_id for member in self.state.members)

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The weights by name, stacked over members."""
        return self.state.layout.views(self.state.params)


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
    """Members that reached the budget, diverged or ended early. `state` still has all lanes; the leaving ones are
    dropped afterwards."""

    state: PackState
    lanes: tuple[int, ...]
    diverged: frozenset[int]
    early: frozenset[int] = frozenset()
    """Of those that did not diverge: which ended before the budget because of `early_end`."""

    def why(self, lane: int) -> Literal["done", "ended_early", "diverged"]:
        """The status that a leaving member has from now on."""
        return "diverged" if lane in self.diverged else "ended_early" if lane in self.early else "done"


Event: TypeAlias = Checkpoint | Transition | Tick | Leaving


def run_pack(
    members: Sequence[Member],
    budget: int,
    settings: EngineSettings,
    checkpoint: CheckpointSettings,
    resume: tuple[int, Sequence[Lane]] | None = None,
    early_end: EarlyEndSettings = NEVER,
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
        early_end: when a member that has generalised ends before its budget.
    """
    device, dtype = torch.device(settings.device), DTYPES[members[0].spec.engine.dtype]
    torch.set_num_threads(settings.threads)
    torch.set_float32_matmul_precision("highest")  # TF32 would move late losses
    if device.type == "cuda":
        torch.use_deterministic_algorithms(True)  # sums of gathered rows would otherwise depend on the order of threads
    if resume is None:
        state = PackState.start(members, dtype, device)
    else:
        state = restore(members, resume[1], resume[0], dtype, device)

    kept_at = -1  # members that leave at a checkpoint make the loop start over at its step
    while state.members:
        # What depends on who is in the pack; rebuilt when members leave.
        specs = [member.spec for member in state.members]
        layout = state.layout
        start = _start(state, dtype, device)
        data = PackData.build(specs, dtype, device, layout, start)
        evaluate = Evaluation(layout, data)
        update = Update(specs, layout, data.shape, state.params, start, compiled=bool(settings.compile))

        while True:
            if _evaluation_is_due(state):
                state.record(evaluate(state.params))
                yield from _transitions(state, checkpoint)
            if checkpoint.schedule and state.step != kept_at and is_checkpoint(state.step, checkpoint.steps):
                kept_at = state.step
                yield Checkpoint(state=state)

            diverged = _diverged(state)
            early = _early(state, early_end) - diverged
            if state.step >= budget or diverged or early:
                break
            yield Tick(state=state)
            update(state.params, state.optimizer, state.step, data.batch(state.step + specs[0].init.offset))
            state.step += 1

        at_budget = state.step >= budget
        leaving = tuple(range(len(state.members))) if at_budget else tuple(sorted(diverged | early))
        yield Leaving(state=state, lanes=leaving, diverged=diverged, early=frozenset() if at_budget else early)
        state.keep([lane for lane in range(len(state.members)) if lane not in leaving])


def _evaluation_is_due(state: PackState) -> bool:
    """At step 0 and wherever the schedule says; not again after a resume from a snapshot taken at this evaluation."""
    return not state.curve_steps or state.step == next_evaluation(state.curve_steps[-1])


def _start(state: PackState, dtype: torch.dtype, device: torch.device) -> Tensor | None:
    """The weights that the members started from, where something reads them."""
    specs = [member.spec for member in state.members]
    terms = (regularizer(name) for name in active_terms(specs[0]))
    if not (specs[0].model.subtract_start or any(term.needs_start for term in terms)):
        return None
    rows = [state.layout.flatten(start_params(member)) for member in state.members]
    return torch.stack(rows).to(device, dtype)


def _diverged(state: PackState) -> frozenset[int]:
    """Lanes whose loss was not finite at the current step's evaluation."""
    if state.curve_steps[-1] != state.step:
        return frozenset()
    row = state.curves[-1]
    finite = np.isfinite(row[:, TRAIN_LOSS]) & ~np.isinf(row[:, TEST_LOSS])  # NaN test loss: there are no test rows
    return frozenset(np.flatnonzero(~finite).tolist())


def _early(state: PackState, early_end: EarlyEndSettings) -> frozenset[int]:
    """Lanes that `early_end` lets go at the current step's evaluation."""
    if early_end.after is None or state.curve_steps[-1] != state.step:
        return frozenset()
    times = [watch.gen.crossing.t if watch.gen.crossing else None for watch in state.watches]
    return frozenset(lane for lane, t_gen in enumerate(times) if early_end.is_due(state.step, t_gen))


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
