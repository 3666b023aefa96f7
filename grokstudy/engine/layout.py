"""Flat parameters: every member of a pack is one row of a matrix, and each tensor a view into it.

Optimizers then need a handful of element-wise kernels per pack instead of one set per tensor and member.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """Names and shapes of a model's tensors in the order in which they lie in a row."""

    shapes: tuple[tuple[str, tuple[int, ...]], ...]

    @classmethod
    def of(cls, params: Mapping[str, Tensor]) -> Layout:
        return cls(shapes=tuple((name, tuple(tensor.shape)) for name, tensor in params.items()))

    @property
    def size(self) -> int:
        """Parameters per member."""
        return sum(math.prod(shape) for _, shape in self.shapes)

    def places(self) -> list[tuple[str, int, int]]:
        """Name, first index and size of every tensor in a row."""
        sizes = [math.prod(shape) for _, shape in self.shapes]
        starts = itertools.accumulate(sizes, initial=0)
        return [(name, start, size) for (name, _), start, size in zip(self.shapes, starts, sizes, strict=False)]

    def flatten(self, params: Mapping[str, Tensor]) -> Float[Tensor, " size"]:
        """One member's tensors as a row."""
        return torch.cat([params[name].reshape(-1) for name, _ in self.shapes])

    def views(self, flat: Float[Tensor, "members size"]) -> dict[str, Tensor]:
        """The tensors of every member, first axis members, sharing memory with `flat`."""
        sizes = [math.prod(shape) for _, shape in self.shapes]
        parts = flat.split(sizes, dim=1)
        return {name: part.unflatten(1, shape) for (name, shape), part in zip(self.shapes, parts, strict=True)}

    def view_of(self, flat: Float[Tensor, "members size"], name: str) -> Tensor:
        return self.views(flat)[name]
