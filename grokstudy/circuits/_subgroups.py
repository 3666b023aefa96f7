"""Some subgroups of a finite group, and how much of a function depends only on the coset of its argument."""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from grokstudy.circuits.reference.irrep_names import powers
from grokstudy.circuits.reference.irreps import irreps
from grokstudy.tasks._groups import Group


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class SubgroupClass:
    """Conjugate subgroups g H g^-1."""

    order: int
    left: tuple[Int[Tensor, " n"], ...]
    """For each of the subgroups H the left coset g H of every element g, numbered from 0."""
    right: tuple[Int[Tensor, " n"], ...]
    """The right cosets H g."""


@functools.lru_cache(maxsize=8)
def subgroup_classes(group: Group) -> tuple[SubgroupClass, ...]:
    """Cyclic subgroups, stabilisers of a point and kernels of irreps, conjugates together, by rising order.

    Not all subgroups: those whose cosets are what an element does to one point, what a power of one element does, and
    what an irrep tells apart. The trivial subgroup and the whole group are left out.
    """
    found = {members.tobytes(): members for members in _candidates(group) if 1 < members.sum() < group.order}
    classes: dict[bytes, dict[bytes, Bool[np.ndarray, " n"]]] = {}
    for text, members in found.items():
        classes.setdefault(min(_conjugates(group, members)), {})[text] = members
    ordered = sorted(classes.items(), key=lambda item: (int(next(iter(item[1].values())).sum()), item[0]))
    return tuple(_class(group, list(some.values())) for _, some in ordered)


def _class(group: Group, subgroups: list[Bool[np.ndarray, " n"]]) -> SubgroupClass:
    members = [np.flatnonzero(one) for one in subgroups]
    return SubgroupClass(
        order=len(members[0]),
        left=tuple(_numbered(group.table[:, one].min(axis=1)) for one in members),
        right=tuple(_numbered(group.table[one].min(axis=0)) for one in members),
    )


def _candidates(group: Group) -> list[Bool[np.ndarray, " n"]]:
    """As sets of elements, repetitions included. All conjugates of each are among them."""
    everyone = np.arange(group.order)
    cyclic = [np.isin(everyone, powers(group, g)) for g in everyone.tolist()]
    stabilisers = [group.permutations[:, point] == point for point in range(group.permutations.shape[1])]
    # Characters at and outside the kernel differ by 1 - cos(2 pi / 720) = 4e-5 or more.
    kernels = [irrep.character > irrep.dimension - 1e-6 for irrep in irreps(group)]
    return [*cyclic, *stabilisers, *kernels]


def _conjugates(group: Group, members: Bool[np.ndarray, " n"]) -> set[bytes]:
    """g H g^-1 for all g, each as the bytes of its set."""
    inside = np.flatnonzero(members)
    moved = group.table[group.table[:, inside], group.inverses[:, None]]
    sets = np.zeros((group.order, group.order), dtype=bool)
    np.put_along_axis(sets, moved, True, axis=1)
    return {one.tobytes() for one in sets}


def _numbered(smallest: Int[np.ndarray, " n"]) -> Int[Tensor, " n"]:
    """Cosets from 0, known by their smallest elements."""
    return torch.from_numpy(np.unique(smallest, return_inverse=True)[1].astype(np.int64))


def coset_share(cosets: Int[Tensor, " n"], functions: Float[Tensor, "n width"]) -> Float[Tensor, " width"]:
    """Share of each column's variance that is between cosets, corrected for chance as in an adjusted R^2.

    1 if the column depends on the coset alone; 0 on average for random columns, whatever the number of cosets.
    """
    n, count = len(cosets), int(cosets.max()) + 1
    centred = functions - functions.mean(dim=0)
    sums = torch.zeros(count, centred.shape[1], dtype=centred.dtype).index_add_(0, cosets, centred)
    between = sums.square().sum(dim=0) * (count / n)
    within = 1 - between / centred.square().sum(dim=0)
    return 1 - within * ((n - 1) / (n - count))
