"""The state of a pack: everything needed to go on, bit for bit, alone or with other packmates."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokstudy.engine.evaluate import TEST_ACC, TRAIN_ACC
from grokstudy.engine.filters import filter_state
from grokstudy.engine.layout import Layout
from grokstudy.engine.ring import Ring
from grokstudy.spec.outcome import TAU, Streak
from grokstudy.spec.trial import TrialSpec


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One trial in a pack."""

    trial_id: str
    spec: TrialSpec
    start: Start | None = None
    """Of a fork: the parent's weights."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Start:
    """What a fork starts from, named as in the parent's checkpoint."""

    params: Mapping[str, Tensor]
    optimizer: Mapping[str, Float[Tensor, " size"]] | None = None
    """The parent's optimizer state, where it is kept."""


def start_params(member: Member) -> dict[str, Tensor]:
    """The weights that a member's training starts from: drawn, or its parent's, times `init.scale`. Float64 if
    drawn."""
    spec = member.spec
    named = member.start.params if member.start else spec.model.init(spec.task.shape(), spec.seeds.init)
    return {name: tensor * spec.init.scale for name, tensor in named.items()}


@dataclasses.dataclass(slots=True, eq=False)
class Watch:
    """What is known of one member's transition while it runs."""

    mem: Streak = dataclasses.field(default_factory=Streak)
    gen: Streak = dataclasses.field(default_factory=Streak)
    ring: Ring = dataclasses.field(default_factory=Ring)

    def push(self, step: int, row: Float[np.ndarray, " columns"]) -> bool:
        """One more evaluation; True if it confirmed t_gen."""
        self.mem.push(step, bool(row[TRAIN_ACC] >= TAU))
        return self.gen.push(step, bool(row[TEST_ACC] >= TAU))

    @property
    def in_transition(self) -> bool:
        """Memorised and not yet generalised: the stretch whose weights the ring keeps."""
        return self.mem.crossing is not None and self.gen.crossing is None


@dataclasses.dataclass(slots=True, eq=False, kw_only=True)
class PackState:
    """Members with equal step; lane i of every tensor belongs to member i."""

    members: list[Member]
    layout: Layout
    step: int
    params: Float[Tensor, "members size"]
    optimizer: dict[str, Float[Tensor, "members size"]]
    curve_steps: list[int]
    curves: list[Float[np.ndarray, "members columns"]]
    watches: list[Watch]

    @classmethod
    def start(cls, members: Sequence[Member], dtype: torch.dtype, device: torch.device) -> PackState:
        """Freshly initialised members at step 0."""
        layout = Layout.of(start_params(members[0]))
        params = torch.stack([layout.flatten(start_params(member)) for member in members]).to(device, dtype)
        first = members[0].spec.optimizer
        state = {name: torch.zeros_like(params) for name in (*first.state_names(), *filter_state(first))}
        for lane, member in enumerate(members):
            if member.start is not None and member.start.optimizer is not None:
                for name, tensor in state.items():
                    tensor[lane] = member.start.optimizer[name]
        return cls(
            members=list(members),
            layout=layout,
            step=0,
            params=params,
            optimizer=state,
            curve_steps=[],
            curves=[],
            watches=[Watch() for _ in members],
        )

    def record(self, row: Float[np.ndarray, "members columns"]) -> None:
        """Appends the evaluation of the current step."""
        self.curve_steps.append(self.step)
        self.curves.append(row)

    def curve(self, lane: int) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, "n columns"]]:
        """Steps and columns of one member so far."""
        rows = [row[lane] for row in self.curves]
        return np.array(self.curve_steps, dtype=np.int64), np.array(rows)

    def keep(self, lanes: Sequence[int]) -> None:
        """Drops all other lanes."""
        index = torch.tensor(list(lanes), dtype=torch.int64, device=self.params.device)
        self.members = [self.members[i] for i in lanes]
        self.params = self.params[index]
        self.optimizer = {name: tensor[index] for name, tensor in self.optimizer.items()}
        self.curves = [row[list(lanes)] for row in self.curves]
        self.watches = [self.watches[i] for i in lanes]

    def tensors(self) -> dict[str, Tensor]:
        """The state as named tensors; `restore` is the inverse."""
        out = {"params": self.params} | {f"optimizer.{name}": t for name, t in self.optimizer.items()}
        out["curve_steps"] = torch.tensor(self.curve_steps, dtype=torch.int64)
        out["curves"] = torch.from_numpy(np.array(self.curves))
        for lane, watch in enumerate(self.watches):
            if watch.in_transition and watch.ring.steps:
                out[f"ring.{lane}.params"] = watch.ring.stacked()
                out[f"ring.{lane}.steps"] = torch.tensor(watch.ring.steps, dtype=torch.int64)
                out[f"ring.{lane}.counts"] = torch.tensor([watch.ring.stride, watch.ring.seen], dtype=torch.int64)
        return {name: tensor.detach().cpu().contiguous() for name, tensor in out.items()}


@dataclasses.dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Lane:
    """One member's part of stored pack tensors."""

    tensors: Mapping[str, Tensor]
    index: int


def restore(
    members: Sequence[Member], lanes: Sequence[Lane], step: int, dtype: torch.dtype, device: torch.device
) -> PackState:
    """A pack from lanes of any stored packs, all at `step`: re-packing changes no bit."""
    state = PackState.start(members, dtype, device)
    state.step = step
    state.params = torch.stack([lane.tensors["params"][lane.index] for lane in lanes]).to(device)
    for name in state.optimizer:
        stacked = torch.stack([lane.tensors[f"optimizer.{name}"][lane.index] for lane in lanes])
        state.optimizer[name] = stacked.to(device)
    state.curve_steps = lanes[0].tensors["curve_steps"].tolist()
    columns = [lane.tensors["curves"][:, lane.index].numpy() for lane in lanes]
    state.curves = [np.stack([column[i] for column in columns]) for i in range(len(state.curve_steps))]
    for i, (watch, lane) in enumerate(zip(state.watches, lanes, strict=True)):
        for at, row in zip(state.curve_steps, state.curves, strict=True):
            watch.push(at, row[i])
        if watch.in_transition and f"ring.{lane.index}.params" in lane.tensors:
            watch.ring = _ring(lane, device)
    return state


def _ring(lane: Lane, device: torch.device) -> Ring:
    stride, seen = lane.tensors[f"ring.{lane.index}.counts"].tolist()
    return Ring(
        steps=lane.tensors[f"ring.{lane.index}.steps"].tolist(),
        entries=list(lane.tensors[f"ring.{lane.index}.params"].to(device)),
        stride=stride,
        seen=seen,
    )
