"""How wrong a sign still is after part of its variance has been explained away: a table, looked up.

A latent value has posterior mean `mu` and standard deviation `s`; z = |mu| / s. Observations to come explain the share
rho2 of its variance, whatever they turn out to be. The expected probability of then calling its sign wrongly is

    H(z, rho2) = E_u Phi(-|z + rho u| / sqrt(1 - rho2)),   u ~ N(0, 1),   rho = sqrt(rho2).

In closed form it is 2 T(z, sqrt(1 - rho2) / rho) with Owen's T, since the later mean and the latent value have
correlation rho. H falls in both arguments, from Phi(-z) at rho2 = 0 to 0 at rho2 = 1, and is smooth in the angle
arcsin(rho), along which the table is laid out. Source of the criterion: Chevalier et al. 2014, "Fast parallel
kriging-based stepwise uncertainty reduction", section 3.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from jaxtyping import Float, Int
from scipy import special

SIZE = 240
"""Entries of the table along each of its two axes."""
Z_MAX = 8.0
"""From here on a sign is certain: Phi(-8) = 6e-16."""
ANGLE_MAX = math.pi / 2


def wrong_sign(z: Float[np.ndarray, " n"], rho2: Float[np.ndarray, "n *more"]) -> Float[np.ndarray, "n *more"]:
    """H(z, rho2) from the table, to 2e-4;
    rho2 outside [0, 1] counts as the nearer end.

    Args:
        z: |posterior mean| / posterior sd of n places.
        rho2: share of their variance explained, the first axis running over the same places.
    """
    return Rows(z)(rho2)


class Rows:
    """The table's rows for given z, interpolated once and then read at many rho2."""

    __slots__ = ("_flat", "_offsets")

    def __init__(self, z: Float[np.ndarray, " n"]) -> None:
        position = np.sqrt(np.clip(np.abs(z) / Z_MAX, 0.0, 1.0)) * (SIZE - 1)
        below = np.minimum(position.astype(np.int64), SIZE - 2)
        left, right = _z(below), _z(below + 1)
        share = ((np.minimum(np.abs(z), Z_MAX) - left) / (right - left))[:, None]
        rows = (1 - share) * table()[below] + share * table()[below + 1]
        self._flat = np.ascontiguousarray(rows).reshape(-1)
        self._offsets = np.arange(len(z)) * SIZE

    def __call__(self, rho2: Float[np.ndarray, "n *more"]) -> Float[np.ndarray, "n *more"]:
        """H at rho2, one row of it per z."""
        position = np.arcsin(np.sqrt(np.clip(rho2, 0.0, 1.0)))
        position *= (SIZE - 1) / ANGLE_MAX
        below = np.minimum(position.astype(np.int64), SIZE - 2)
        position -= below
        below += self._offsets.reshape(-1, *[1] * (rho2.ndim - 1))
        left = self._flat[below]
        below += 1
        return np.asarray(left + position * (self._flat[below] - left))


@functools.cache
def table() -> Float[np.ndarray, "SIZE SIZE"]:
    """H on a lattice: rows z = 0 .. Z_MAX, columns arcsin(rho) = 0 .. pi/2."""
    z = _z(np.arange(SIZE))
    angle = np.linspace(0.0, ANGLE_MAX, SIZE)
    with np.errstate(divide="ignore"):  # 1 / tan(0) is infinite, which Owen's T takes
        lattice = 2.0 * special.owens_t(z[:, None], 1.0 / np.tan(angle))
    lattice[:, -1] = 0.0
    lattice.setflags(write=False)
    return np.asarray(lattice)


def _z(row: Int[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """z of a row: closest together at 0, where H bends within a distance of arcsin(rho)."""
    return np.asarray(Z_MAX * (row / (SIZE - 1)) ** 2)
