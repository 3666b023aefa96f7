"""Runs packs through the engine's one loop and keeps what it yields, to be compared bit for bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokstudy.engine.loop import Checkpoint, Leaving, Tick, Transition, run_pack
from grokstudy.engine.state import Lane, Member, PackState
from grokstudy.spec.identity import trial_id
from grokstudy.spec.outcome import Crossing
from grokstudy.spec.settings import CheckpointSettings, EngineSettings
from grokstudy.spec.trial import TrialSpec

Weights = Mapping[str, Tensor]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trained:
    """What one trial left behind."""

    step: int
    diverged: bool
    params: Float[Tensor, " size"]
    optimizer: Weights
    steps: Int[np.ndarray, " n"]
    columns: Float[np.ndarray, "n columns"]
    mem: Crossing | None
    gen: Crossing | None
    checkpoints: Mapping[int, Weights]
    transition: Mapping[int, Weights]
    """The ring by step; empty if no t_gen was confirmed."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Run:
    """Trials in the order in which they were given, and the state at the end (members that left are not in it)."""

    trials: tuple[Trained, ...]
    step: int
    state: Weights
    lanes: tuple[str, ...]

    def lane(self, spec: TrialSpec) -> Lane:
        """One trial's part of the stored state, to resume from."""
        return Lane(tensors=self.state, index=self.lanes.index(trial_id(spec)))


def run(
    specs: Sequence[TrialSpec],
    budget: int,
    *,
    resume: tuple[int, Sequence[Lane]] | None = None,
    kill_at: int | None = None,
    checkpoint: CheckpointSettings | None = None,
) -> Run:
    """Steps `specs` as one pack to `budget`, or until a kill right before the update after step `kill_at`."""
    members = [Member(trial_id=trial_id(spec), spec=spec) for spec in specs]
    done: dict[str, Trained] = {}
    checkpoints: dict[str, dict[int, Weights]] = {member.trial_id: {} for member in members}
    rings: dict[str, dict[int, Weights]] = {member.trial_id: {} for member in members}
    for event in run_pack(members, budget, EngineSettings(), checkpoint or CheckpointSettings(), resume):
        if isinstance(event, Checkpoint):
            for lane, name in enumerate(event.trial_ids):
                checkpoints[name][event.step] = {key: tensor[lane].clone() for key, tensor in event.tensors.items()}
        elif isinstance(event, Transition):
            for i, step in enumerate(event.steps):
                rings[event.trial_id][step] = {key: tensor[i].clone() for key, tensor in event.tensors.items()}
        elif isinstance(event, Leaving) or event.state.step == kill_at:
            state = event.state
            lanes = event.lanes if isinstance(event, Leaving) else range(len(state.members))
            diverged = event.diverged if isinstance(event, Leaving) else frozenset()
            stored = {name: tensor.clone() for name, tensor in state.tensors().items()}
            names = tuple(member.trial_id for member in state.members)
            done |= {names[i]: _trained(state, i, i in diverged, checkpoints[names[i]], rings[names[i]]) for i in lanes}
            if isinstance(event, Tick):
                break
    trials = tuple(done[member.trial_id] for member in members)
    return Run(trials=trials, step=state.step, state=stored, lanes=names)


def assert_same_bits(one: Trained, other: Trained) -> None:
    """Weights, optimizer state, curves, times and everything yielded are equal, bit for bit."""
    assert (one.step, one.diverged, one.mem, one.gen) == (other.step, other.diverged, other.mem, other.gen)
    assert _bits(one.params) == _bits(other.params)
    assert _all_bits(one.optimizer) == _all_bits(other.optimizer)
    assert one.steps.tolist() == other.steps.tolist()
    assert one.columns.tobytes() == other.columns.tobytes()
    assert_same_weights(one.checkpoints, other.checkpoints)
    assert_same_weights(one.transition, other.transition)


def assert_same_weights(one: Mapping[int, Weights], other: Mapping[int, Weights]) -> None:
    """Weights at the same steps with equal bits."""
    assert sorted(one) == sorted(other)
    for step, weights in one.items():
        assert _all_bits(weights) == _all_bits(other[step]), f"step {step}"


def _trained(
    state: PackState, lane: int, diverged: bool, checkpoints: Mapping[int, Weights], ring: Mapping[int, Weights]
) -> Trained:
    steps, columns = state.curve(lane)
    return Trained(
        step=state.step,
        diverged=diverged,
        params=state.params[lane].clone(),
        optimizer={name: tensor[lane].clone() for name, tensor in state.optimizer.items()},
        steps=steps,
        columns=columns,
        mem=state.watches[lane].mem.crossing,
        gen=state.watches[lane].gen.crossing,
        checkpoints=checkpoints,
        transition=ring,
    )


def _all_bits(tensors: Weights) -> dict[str, bytes]:
    return {name: _bits(tensor) for name, tensor in tensors.items()}


def _bits(tensor: Tensor) -> bytes:
    """NaN equals NaN and 0.0 differs from -0.0, unlike under ==."""
    return bytes(tensor.contiguous().view(torch.uint8).numpy().tobytes())
