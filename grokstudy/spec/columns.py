"""Where tensors lie in a row of flat parameters."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Key = TypeVar("Key")


def columns(
    shapes: Sequence[tuple[str, tuple[int, ...]]], key: Callable[[str], Key]
) -> Iterator[tuple[slice, Key, list[tuple[int, ...]]]]:
    """Runs of neighbouring tensors whose names have one key: their columns, the key, and the tensors' shapes.

    `shapes` = names and shapes in the order in which the tensors lie in a row.
    """
    start = 0
    for common, run in itertools.groupby(shapes, key=lambda tensor: key(tensor[0])):
        found = [shape for _, shape in run]
        size = sum(map(math.prod, found))
        yield slice(start, start + size), common, found
        start += size
