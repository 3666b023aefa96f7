"""Every combination of the axes' values."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

from grokstudy.spec.axes import Axis, Point, is_seed
from grokstudy.spec.errors import BadInput
from grokstudy.spec.interfaces import Sampler
from grokstudy.spec.rows import Outcome


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Grid(Sampler):
    """All combinations, seeds outermost and coarse to fine within a seed.

    A study cut short therefore already shows its whole plane at lower resolution, with all cells at equal seeds.
    """

    def check(self, axes: Sequence[Axis]) -> None:
        for axis in axes:
            if axis.is_interval:
                raise BadInput(
                    f"{axis.path}: sampler=grid needs values, got an interval. Give a third argument (how many "
                    "values), or choose sampler=random, sobol or boundary."
                )

    def propose(self, axes: Sequence[Axis], start: int, told: Sequence[Outcome]) -> list[Point] | None:
        seeds = [axis for axis in axes if is_seed(axis.path)]
        others = [axis for axis in axes if not is_seed(axis.path)]
        order = sorted(
            itertools.product(*(range(len(axis.values)) for axis in others)),
            key=lambda cell: (
                max((level(i, len(axis.values)) for i, axis in zip(cell, others, strict=True)), default=0),
                cell,
            ),
        )
        points: list[Point] = [
            {axis.path: axis.values[i] for axis, i in zip([*seeds, *others], [*drawn, *cell], strict=True)}
            for drawn in itertools.product(*(range(len(axis.values)) for axis in seeds))
            for cell in order
        ]
        return points[start:] or None


def level(index: int, n: int) -> int:
    """How fine a grid must be to contain this index: 0 for the two ends, 1 for the middle, 2 for the quarters ..."""
    if index in (0, n - 1):
        return 0
    low, high, depth = 0, n - 1, 1
    while (middle := (low + high) // 2) != index:
        low, high = (low, middle) if index < middle else (middle, high)
        depth += 1
    return depth
