"""A rolling window of a member's recent weights, kept for good once its transition is confirmed."""

from __future__ import annotations

import dataclasses

import torch
from jaxtyping import Float
from torch import Tensor

CAPACITY = 48
"""Entries before every other one is dropped. Once thinned there are at least 24, of which at most 7 lie in the
confirmation window [t_gen, 1.2 t_gen] (13 evaluations at 1.5 % spacing, every second kept): 16 remain between t_mem and
t_gen."""


@dataclasses.dataclass(slots=True, eq=False)
class Ring:
    """Weights at evenly spaced evaluations since memorisation was confirmed. What it holds depends on the steps
    alone."""

    steps: list[int] = dataclasses.field(default_factory=list)
    entries: list[Float[Tensor, " size"]] = dataclasses.field(default_factory=list)
    stride: int = 1
    seen: int = 0

    def push(self, step: int, params: Float[Tensor, " size"]) -> None:
        """Offers the weights of one evaluation; every `stride`-th is kept."""
        if self.seen % self.stride == 0:
            self.steps.append(step)
            self.entries.append(params.clone())
            if len(self.steps) > CAPACITY:
                self.steps, self.entries = self.steps[::2], self.entries[::2]
                self.stride *= 2
        self.seen += 1

    def stacked(self) -> Float[Tensor, "entries size"]:
        """All entries, oldest first."""
        return torch.stack(self.entries)
