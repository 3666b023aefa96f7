"""Where tensors lie in a row of flat parameters."""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Sequence


def columns(shapes: Sequence[tuple[str, tuple[int, ...]]], named: Collection[str]) -> list[tuple[slice, bool]]:
    """Runs of neighbouring tensors: their columns, and whether they are among `named`.

    `shapes` = names and shapes in the order in which the tensors lie in a row.
    """
    found, start = [], 0
    for chosen, run in itertools.groupby(shapes, key=lambda tensor: tensor[0] in named):
        size = sum(math.prod(shape) for _, shape in run)
        found.append((slice(start, start + size), chosen))
        start += size
    return found
