"""Names of irreducible representations, where the field has them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float

from grokstudy.tasks._groups import Group


def irrep_names(group: Group, characters: Sequence[Float[np.ndarray, " n"]]) -> list[str]:
    """A name for each character of a real irrep, different for all.

    All permutations of 3 to 6 points: trivial, sign, standard, standard_sign, else the partition, such as (3,2).
    Cyclic groups: trivial, k1, k2 ..., the frequency on element 1 (or the first generator), and sign. Dihedral groups:
    trivial, sign (-1 for reflections), k1, k2 ..., the frequency on the rotations. Everything else, and what is left
    over: by dimension, such as 3d, or 3d_a and 3d_b.
    """
    namings = (_symmetric_names, _cyclic_names, _dihedral_names)
    names = next((found for naming in namings if (found := naming(group, characters))), None)
    if names is None:
        names = ["trivial" if (character == 1).all() else "" for character in np.round(characters, 6)]
    return _told_apart([name or f"{round(float(x[0]))}d" for name, x in zip(names, characters, strict=True)])


def _told_apart(names: Sequence[str]) -> list[str]:
    """Adds _a, _b ... to names that occur several times."""
    letters = {name: _letters() for name in names if names.count(name) > 1}
    return [f"{name}_{next(letters[name])}" if name in letters else name for name in names]


def _letters() -> Iterator[str]:
    """a, b ... z, aa, ab ..."""
    alphabet = "abcdefghijklmnopqrstuvwxyz"
    for size in itertools.count(1):
        yield from map("".join, itertools.product(alphabet, repeat=size))


def _symmetric_names(group: Group, characters: Sequence[Float[np.ndarray, " n"]]) -> list[str] | None:
    """By partition, if the group acts by all permutations of its points.

    A partition is known (up to 6 points) by its dimension and by the average over transpositions t of
    character(t) / dimension, which is the sum of its contents, column - row, over the number of transpositions.
    """
    points = group.permutations.shape[1]
    if not 3 <= points <= 6 or group.order != math.factorial(points):
        return None
    moved = (group.permutations != np.arange(points)).sum(axis=1)
    known = {(_hook_dimension(parts), _content(parts)): _partition_name(parts) for parts in _partitions(points)}
    number = math.comb(points, 2)
    return [known[round(float(x[0])), round(float(x[moved == 2].mean() / x[0]) * number)] for x in characters]


def _partition_name(parts: tuple[int, ...]) -> str:
    n = sum(parts)
    special = {(n,): "trivial", (1,) * n: "sign", (2, *(1,) * (n - 2)): "standard_sign", (n - 1, 1): "standard"}
    return special.get(parts, f"({','.join(map(str, parts))})")


def _partitions(n: int, largest: int | None = None) -> Iterator[tuple[int, ...]]:
    """All ways to write n as a falling sum of parts, none above `largest`."""
    if n == 0:
        yield ()
    for first in range(min(n, largest or n), 0, -1):
        for rest in _partitions(n - first, first):
            yield (first, *rest)


def _content(parts: tuple[int, ...]) -> int:
    return sum(column - row for row, length in enumerate(parts) for column in range(length))


def _hook_dimension(parts: tuple[int, ...]) -> int:
    """n! over the product of all hook lengths."""
    columns = [sum(length > column for length in parts) for column in range(parts[0])]
    hooks = (
        length - column + columns[column] - row - 1 for row, length in enumerate(parts) for column in range(length)
    )
    return math.factorial(sum(parts)) // math.prod(hooks)


def _cyclic_names(group: Group, characters: Sequence[Float[np.ndarray, " n"]]) -> list[str] | None:
    generators = np.flatnonzero(element_orders(group) == group.order)
    if len(generators) == 0:
        return None
    return [_frequency_name(float(x[generators[0]]), float(x[0]), group.order) for x in characters]


def _dihedral_names(group: Group, characters: Sequence[Float[np.ndarray, " n"]]) -> list[str] | None:
    """If all elements outside the powers of one of half the order are their own inverses."""
    orders = element_orders(group)
    turns = np.flatnonzero(orders == group.order // 2)
    if group.order < 6 or len(turns) == 0:
        return None
    rotations = powers(group, int(turns[0]))
    others = np.setdiff1d(np.arange(group.order), rotations)
    if (orders[others] != 2).any():
        return None
    return [_dihedral_name(x, int(turns[0]), rotations, others) for x in characters]


def _dihedral_name(x: Float[np.ndarray, " n"], turn: int, rotations: Sequence[int], others: np.ndarray) -> str:
    if round(float(x[0])) == 2:
        return _frequency_name(float(x[turn]), 2.0, len(rotations))
    if float(x[turn]) < 0:
        return ""
    return "trivial" if float(x[others[0]]) > 0 else "sign"


def _frequency_name(at_generator: float, dimension: float, n: int) -> str:
    """Of the turn by 2 pi k / n, whose trace is 2 cos(2 pi k / n)."""
    if round(dimension) == 1:
        return "trivial" if at_generator > 0 else "sign"
    return f"k{round(math.acos(max(-1.0, min(1.0, at_generator / 2))) * n / (2 * math.pi))}"


def element_orders(group: Group) -> np.ndarray:
    """How often each element is multiplied by itself to give the identity."""
    return np.array([len(powers(group, g)) for g in range(group.order)])


def powers(group: Group, g: int) -> list[int]:
    """The identity, g, g^2 ...: all different ones."""
    found = [0]
    while (after := int(group.table[found[-1], g])) != 0:
        found.append(after)
    return found
