"""How far a reconstructed phase diagram is from the truth, and how well it knows that."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.spatial import KDTree
from truths import Truth, Unit, lattice, majority, margins

Labels: TypeAlias = Int[np.ndarray, " n"]

CLEAR = 0.05
"""Dex: a boundary counts as a margin's own where the outer margins are so far below 0. Nearer to theirs, t_gen passes
the budget only because t_mem does."""
BISECTIONS = 20
"""Halvings of a lattice edge on which a true margin changes sign: 1e-6 of a cell."""


@dataclasses.dataclass(frozen=True, slots=True)
class Reference:
    """A truth on a lattice: the cells' centres, their majority labels, and points of each margin's true boundary,
    where that boundary separates phases."""

    unit: Unit
    side: int
    label: Labels
    crossings: tuple[Unit, Unit, Unit]


@dataclasses.dataclass(frozen=True, slots=True)
class Score:
    """One reconstruction against the truth: shares of the area, distance in units of the cube's side, and the shares
    of the true boundary (by margin, NaN where it has none) that lie in the nominal 95 % band."""

    area: float
    distance: float
    expected: float
    coverage: tuple[float, float, float]


def reference(truth: Truth, side: int) -> Reference:
    """The truth at side^d lattice points."""
    unit = lattice(len(truth.axes), side)
    crossings = tuple(_crossings(truth, unit, side, margin) for margin in range(3))
    return Reference(unit, side, majority(truth, unit), (crossings[0], crossings[1], crossings[2]))


def area_error(known: Reference, found: Labels) -> float:
    """The share of the area whose majority label is another one."""
    return float((known.label != found).mean())


def boundary_distance(known: Reference, found: Labels) -> float:
    """The mean distance between the two sets of boundary points, each to the nearest of the other; infinite if one
    has none."""
    ends = [KDTree(points) for points in (_edges(known, known.label), _edges(known, found)) if len(points)]
    if len(ends) < 2:
        return float("inf")
    one, other = ends
    return float((one.query(other.data)[0].mean() + other.query(one.data)[0].mean()) / 2)


def covered(mean: Float[np.ndarray, " n"], sd: Float[np.ndarray, " n"], widths: float) -> float:
    """The share of true boundary points at which 0 lies within so many sd of the margin's mean; NaN without points."""
    return float((np.abs(mean) <= widths * sd).mean()) if len(mean) else float("nan")


def _edges(known: Reference, label: Labels) -> Unit:
    """Middles between neighbouring lattice points of different labels."""
    pairs = [_pairs(known.unit, known.side, axis) for axis in range(known.unit.shape[1])]
    return np.concatenate([(known.unit[a] + known.unit[b])[label[a] != label[b]] / 2 for a, b in pairs])


def _pairs(unit: Unit, side: int, axis: int) -> tuple[Int[np.ndarray, " m"], Int[np.ndarray, " m"]]:
    """Indices of all neighbours along one axis."""
    index = np.arange(len(unit)).reshape([side] * unit.shape[1])
    low = np.take(index, range(side - 1), axis=axis)
    return low.ravel(), np.take(index, range(1, side), axis=axis).ravel()


def _crossings(truth: Truth, unit: Unit, side: int, margin: int) -> Unit:
    """Where a true margin is 0 on the lattice's edges, kept where trials live and all outer margins are below 0."""

    def below(points: Unit) -> Bool[np.ndarray, " m"]:
        return margins(truth, points)[:, margin] < 0

    def visible(points: Unit) -> Bool[np.ndarray, " m"]:
        outer = margins(truth, points)[:, :margin] < -CLEAR
        return outer.all(axis=1) & (truth.medians(points).beyond < 0)

    pairs = (_pairs(unit, side, axis) for axis in range(unit.shape[1]))
    crossed = [_bisected(unit[a], unit[b], below) for a, b in pairs]
    points = np.concatenate(crossed)
    return points[visible(points)]


def _bisected(start: Unit, end: Unit, below: Callable[[Unit], Bool[np.ndarray, " m"]]) -> Unit:
    """The places between start and end where `below` changes, for the pairs on which it does."""
    first = below(start)
    differ = first != below(end)
    start, end, first = start[differ], end[differ], first[differ]
    for _ in range(BISECTIONS):
        middle = (start + end) / 2
        same = (below(middle) == first)[:, None]
        start, end = np.where(same, middle, start), np.where(same, end, middle)
    return (start + end) / 2
