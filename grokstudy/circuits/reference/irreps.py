"""Real irreducible representations of finite groups, found by splitting the regular one.

The group acts on its real functions f by (g f)(h) = f(g^-1 h). Two kinds of symmetric matrices commute with that:

1. convolution with a class function that is equal at g and g^-1. A random one has one eigenspace for each irreducible
   representation: its *block*, all functions spanned by the entries of its matrices.
2. convolution from the right with any function equal at g and g^-1. Inside a block a random one has eigenspaces on
   which the group acts irreducibly: orthonormal bases of one of them give the matrices.

Over the real numbers there are three types. With d the dimension and `commutant` the number of dimensions of the
matrices that commute with all of the representation, 1 (real type), 2 (complex type: a pair of conjugate complex
representations, such as the turns of a cyclic group) or 4 (quaternionic type), always

    sum over g of character(g)^2 / n = commutant,    dimension of the block = d^2 / commutant.

Measures look at characters and at whole blocks, which do not depend on the basis of the matrices.
"""

from __future__ import annotations

import dataclasses
import functools

import numpy as np
from jaxtyping import Float, Int

from grokstudy.circuits.reference.irrep_names import irrep_names
from grokstudy.spec.draws import generator
from grokstudy.tasks._groups import Group

SAME = 1e-7
"""Eigenvalues nearer than this are equal: they are of size 1 and known to about 1e-13."""
NEW = 1e-3
"""A vector adds a direction if more than this share of it is new; for turns by 1/720 of a circle it is 0.0087."""
TRIES = 20
"""Random matrices to try until all eigenvalues that differ are further apart; the first one practically always does."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Irrep:
    """One real irreducible representation. Its arrays are shared between callers and read-only."""

    name: str
    matrices: Float[np.ndarray, "n d d"]
    """Orthogonal: matrices[a] @ matrices[b] = matrices[a b]."""
    character: Float[np.ndarray, " n"]
    """The traces."""
    commutant: int
    """1, 2 or 4: real, complex or quaternionic type."""
    block: Float[np.ndarray, "n size"]
    """Orthonormal functions that span all entries of the matrices."""

    @property
    def dimension(self) -> int:
        return int(self.matrices.shape[1])


@functools.lru_cache(maxsize=32)
def irreps(group: Group) -> tuple[Irrep, ...]:
    """All of them: the trivial one first, then by dimension and by falling characters of elements 1, 2, ...

    Random numbers come from a fixed seed and the basis of each matrix from `_settled`, so that machines agree up to
    rounding.

    Source: Serre 1977, Linear Representations of Finite Groups, sections 2.6 and 13.2; J. Dixon 1970, Computing
    irreducible representations of groups, Math. Comp. 24.
    """
    found = sorted((_irrep(group, block) for block in _blocks(group)), key=_place)
    names = irrep_names(group, [irrep.character for irrep in found])
    return tuple(dataclasses.replace(irrep, name=name) for irrep, name in zip(found, names, strict=True))


def conjugacy_classes(group: Group) -> Int[np.ndarray, " n"]:
    """For every element the smallest one that it is conjugate to."""
    smallest: Int[np.ndarray, " n"] = group.table[group.table, group.inverses[:, None]].min(axis=0)
    return smallest


def real_classes(group: Group) -> Int[np.ndarray, " n"]:
    """Conjugacy classes, those of an element and its inverse taken together: as many as real irreps."""
    classes = conjugacy_classes(group)
    merged: Int[np.ndarray, " n"] = np.minimum(classes, classes[group.inverses])
    return merged


def _blocks(group: Group) -> list[Float[np.ndarray, "n size"]]:
    """Orthonormal bases of all isotypic blocks."""
    classes, members = np.unique(real_classes(group), return_inverse=True)
    for attempt in range(TRIES):
        weights = _random(group, f"block{attempt}", len(classes))
        spaces = _eigenspaces(_right_convolution(group, weights[members]))
        if len(spaces) == len(classes):
            return spaces
    raise AssertionError(f"no random class function parts the {len(classes)} blocks of a group of {group.order}")


def _irrep(group: Group, block: Float[np.ndarray, "n size"]) -> Irrep:
    size = block.shape[1]
    # The projector on the block is a convolution; its column at the identity is character * d / (n * commutant).
    shape = block @ block[0]
    commutant = _commutant(group, shape)
    dimension = round((size * commutant) ** 0.5)
    space = _settled(_irreducible(group, block, dimension))
    matrices = np.matmul(space.T, space[group.table[group.inverses]])
    if dimension == 1:
        matrices = np.round(matrices)
    character = shape * (group.order * commutant / dimension)
    for array in (matrices, character, block):
        array.setflags(write=False)
    return Irrep(name="", matrices=matrices, character=character, commutant=commutant, block=block)


def _commutant(group: Group, shape: Float[np.ndarray, " n"]) -> int:
    """The type, by Frobenius and Schur: the sum of character(g^2) is above, at or below 0 for 1, 2, 4."""
    squares = np.diagonal(group.table)
    indicator = float(shape[squares].sum()) / float(shape[0])
    # In units of the first entry the sum is n / d for real type, 0 for complex and -n / (d/2) for quaternionic.
    return 1 if indicator > 0.5 else 4 if indicator < -0.5 else 2


def _irreducible(group: Group, block: Float[np.ndarray, "n size"], dimension: int) -> Float[np.ndarray, "n d"]:
    """Orthonormal functions of the block on which the group acts irreducibly."""
    copies = block.shape[1] // dimension
    if copies == 1:
        return block
    for attempt in range(TRIES):
        weights = _random(group, f"copy{attempt}", group.order)
        spaces = _eigenspaces(block.T @ _right_convolution(group, weights + weights[group.inverses]) @ block)
        if len(spaces) == copies:
            irreducible: Float[np.ndarray, "n d"] = block @ spaces[-1]
            return irreducible
    raise AssertionError(f"no random function parts the {copies} copies in a block of a group of {group.order}")


def _right_convolution(group: Group, weights: Float[np.ndarray, " n"]) -> Float[np.ndarray, "n n"]:
    """[g, h] = weights[g^-1 h], which commutes with the group's action from the left."""
    matrix: Float[np.ndarray, "n n"] = weights[group.table[group.inverses]]
    return matrix


def _eigenspaces(matrix: Float[np.ndarray, "m m"]) -> list[Float[np.ndarray, "m size"]]:
    """Orthonormal bases of the eigenspaces, by rising eigenvalue, of a symmetric matrix scaled to norm 1."""
    values, vectors = np.linalg.eigh((matrix + matrix.T) / (2 * np.linalg.norm(matrix, 2)))
    return np.split(vectors, np.flatnonzero(np.diff(values) > SAME) + 1, axis=1)


def _settled(space: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n d"]:
    """An orthonormal basis of the same space that does not depend on the given one.

    Gram-Schmidt over the projections of the group's elements, the identity first, leaving out those that add (nearly)
    nothing. In coordinates of the space the projection of element g is row g, and all rows are equally long.
    """
    dimension = space.shape[1]
    axes = np.zeros((0, dimension))
    for row in space:
        if len(axes) == dimension:
            break
        rest = row - (axes @ row) @ axes
        if np.linalg.norm(rest) > NEW * np.linalg.norm(row):
            rest -= (axes @ rest) @ axes  # once more: the first subtraction left rounding
            axes = np.vstack([axes, rest / np.linalg.norm(rest)])
    settled: Float[np.ndarray, "n d"] = space @ axes.T
    return settled


def _random(group: Group, name: str, size: int) -> Float[np.ndarray, " size"]:
    return generator(0, "irreps", f"{name}/{group.order}").normal(size=size)


def _place(irrep: Irrep) -> tuple[int, tuple[float, ...]]:
    """Sorts irreps: rounded, because characters are known up to rounding; + 0.0 so that there is no -0.0."""
    return irrep.dimension, tuple((-np.round(irrep.character, 6) + 0.0).tolist())
