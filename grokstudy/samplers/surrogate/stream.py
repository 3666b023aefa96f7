"""Scrambled Sobol points by index: point i depends on (seed, purpose, i) and on nothing else."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence, Set

import numpy as np
from jaxtyping import Float
from scipy.stats import qmc

from grokstudy.samplers.surrogate.space import Dimension, Places, Space
from grokstudy.spec.draws import generator

POOL_PLANE = 512
"""Points over which expected errors are averaged, in up to two dimensions ..."""
POOL_PER_DIMENSION = 300
"""... and for every dimension in more."""
LISTED = 20_000
"""Spaces of at most so many places are listed when a place that was not yet taken is wanted."""
TRIES = 64
"""Further points that are tried in larger spaces before a place is given twice."""


def scrambled(seed: int, purpose: str, dims: int, start: int, n: int) -> Float[np.ndarray, "n dims"]:
    """Points `start` .. `start + n - 1` of a scrambled Sobol sequence in [0, 1)^dims.

    Every purpose has its own scrambling, so that streams of one seed are independent. Source: Owen 1998, "Scrambling
    Sobol' and Niederreiter-Xing points".
    """
    if dims == 0 or n == 0:
        return np.zeros((n, dims))
    engine = qmc.Sobol(dims, scramble=True, rng=generator(seed, "sobol", purpose))
    if start:
        engine.fast_forward(start)
        return np.asarray(engine.random(n))
    # A whole power of two from the start keeps scipy from warning about balance; which points are used is our affair.
    return np.asarray(engine.random(1 << (n - 1).bit_length())[:n])


def sobol(space: Space, seed: int, purpose: str, start: int, n: int) -> Places:
    """Places `start` .. `start + n - 1` of the stream `purpose`, uniform over the axes' own values: listed values and
    names are all as frequent, whole numbers on a log axis by their share of it."""
    drawn = scrambled(seed, purpose, len(space.dimensions), start, n)
    numbers = len(space.numbers)
    unit = [_on_values(axis, column) for axis, column in zip(space.numbers, drawn.T, strict=False)]
    sizes = np.array([len(name.choices) for name in space.names], dtype=np.int64)
    levels = (drawn[:, numbers:] * sizes).astype(np.int64)
    return space.snapped(Places(np.column_stack(unit), levels))


def _on_values(axis: Dimension, drawn: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Positions of uniform draws. Rounding a position would give the ends of an axis half their share."""
    count = _count(axis)
    if math.isinf(count):
        return drawn
    if _is_fine_log(axis):
        low, high = math.log(math.ceil(axis.low) - 0.5), math.log(math.floor(axis.high) + 0.5)
        numbers = np.clip(np.rint(np.exp(low + drawn * (high - low))), math.ceil(axis.low), math.floor(axis.high))
        return np.array([axis.unit(value) for value in numbers.tolist()])
    values = _values(axis)
    return np.array([axis.unit(values[index]) for index in (drawn * count).astype(np.int64).tolist()])


def _is_fine_log(axis: Dimension) -> bool:
    """Whether its values are whole numbers that lie the closer the larger they are."""
    return axis.log and axis.integer and not axis.values


def pool(space: Space, seed: int, index: int) -> Places:
    """The places over which refill `index` averages: all of a small space, else a fresh scrambling for every index.

    Whole numbers on a log axis are never all of them: each would count as much, though most lie at the axis's end.
    """
    d = len(space.dimensions)
    size = POOL_PLANE if d <= 2 else POOL_PER_DIMENSION * d
    whole = places_of(space) <= size and not any(_is_fine_log(axis) for axis in space.numbers)
    every = listed(space) if whole else None
    return sobol(space, seed, f"pool/{index}", 0, size) if every is None else every


def keys(places: Places) -> list[tuple[float, ...]]:
    """Equal for equal places and hashable; positions that differ by less than 1e-9 of the axis are one."""
    return [
        (*(round(position, 9) for position in unit), *levels)
        for unit, levels in zip(places.unit.tolist(), places.levels.tolist(), strict=True)
    ]


def listed(space: Space) -> Places | None:
    """Every place of a space of at most `LISTED` places; None if there are more, or an axis is an interval."""
    if places_of(space) > LISTED:
        return None
    rows = [
        list(range(len(axis.choices))) if axis.is_names else [axis.unit(value) for value in _values(axis)]
        for axis in (*space.numbers, *space.names)
    ]
    table = np.array(list(itertools.product(*rows)), dtype=float)
    numbers = len(space.numbers)
    return space.snapped(Places(table[:, :numbers], table[:, numbers:].astype(np.int64)))


def places_of(space: Space) -> float:
    """How many different places there are: infinitely many with an axis that is an interval of real numbers."""
    return math.prod(len(axis.choices) if axis.is_names else _count(axis) for axis in space.dimensions)


def _count(axis: Dimension) -> float:
    if axis.values:
        return len(axis.values)
    return math.floor(axis.high) - math.ceil(axis.low) + 1 if axis.integer else math.inf


def _values(axis: Dimension) -> Sequence[float]:
    """Those of a number axis that is not an interval of real numbers."""
    return axis.values or range(math.ceil(axis.low), math.floor(axis.high) + 1)


def fresh(space: Space, seed: int, purpose: str, index: int, taken: Set[tuple[float, ...]]) -> Places:
    """Place `index` of a stream, or another that is drawn as uniformly if that one is taken already.

    A place is given twice only if no other is left (or, in a space of intervals, was found in `TRIES` draws).
    """
    drawn = sobol(space, seed, purpose, index, 1)
    if keys(drawn)[0] not in taken:
        return drawn
    others = listed(space)
    if others is None:
        others = sobol(space, seed, f"{purpose}/{index}", 0, TRIES)
    order = generator(seed, "sobol", f"{purpose}/{index}/order").permutation(len(others))
    found = keys(others)
    free = [i for i in order.tolist() if found[i] not in taken]
    return others.take(np.array(free[:1])) if free else drawn
