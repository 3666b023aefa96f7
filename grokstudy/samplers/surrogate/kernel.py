"""Covariance of a margin between two places: Matern 5/2 on the number axes times a factor per differing name.

k(a, b) = MEAN² + scale² (1 + √5 r + 5/3 r²) exp(-√5 r) exp(-Σ_k name_k [a_k ≠ b_k]),
r² = Σ_j ((a_j - b_j) / length_j)²

MEAN² is the variance of the unknown constant mean. Contexts share shape: one length per axis for all names.
Source: Matérn 1960; Rasmussen & Williams 2006, 4.2.1.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float

from grokstudy.samplers.surrogate.space import Places

MEAN = 1.0
"""Prior standard deviation of a margin's constant mean, in dex; its prior mean is 0: in time or not, even odds."""
ROOT5 = float(np.sqrt(5.0))


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Kernel:
    """A kernel's settings: lengths on the unit cube, a decay per name, standard deviation in dex."""

    lengths: Float[np.ndarray, " d"]
    names: Float[np.ndarray, " c"]
    scale: float

    @property
    def variance(self) -> float:
        """Prior variance of a margin at any place."""
        return MEAN**2 + self.scale**2

    def __call__(self, a: Places, b: Places) -> Float[np.ndarray, "a b"]:
        """Prior covariances."""
        r = self._distance(a, b)
        shape = (1 + ROOT5 * r + (5 / 3) * r * r) * np.exp(-ROOT5 * r)
        return np.asarray(MEAN**2 + self.scale**2 * shape * self._names_factor(a, b))

    def gradient_of_sum(
        self, at: Places, centres: Places, weights: Float[np.ndarray, " n"]
    ) -> Float[np.ndarray, "m d"]:
        """Gradient over the unit cube of Σ_i weights_i k(at, centres_i)."""
        pull = self.scale**2 * slope(self._distance(at, centres)) * self._names_factor(at, centres) * weights
        return np.asarray((pull @ centres.unit - pull.sum(axis=1, keepdims=True) * at.unit) / self.lengths**2)

    def slopes(self, places: Places) -> Float[np.ndarray, "n n"]:
        """∂k / ∂log length_j between all places, but for its factor ((a_j - b_j) / length_j)²."""
        return self.scale**2 * slope(self._distance(places, places)) * self._names_factor(places, places)

    def _distance(self, a: Places, b: Places) -> Float[np.ndarray, "a b"]:
        left, right = a.unit / self.lengths, b.unit / self.lengths
        square = np.zeros((len(a), len(b)))
        for j in range(left.shape[1]):  # no cancellation, unlike |a|² + |b|² - 2ab
            square += np.subtract.outer(left[:, j], right[:, j]) ** 2
        return np.sqrt(square, out=square)

    def _names_factor(self, a: Places, b: Places) -> Float[np.ndarray, "a b"] | float:
        if not len(self.names):
            return 1.0
        differ = a.levels[:, None, :] != b.levels[None, :, :]
        return np.asarray(np.exp(-(differ @ self.names)))


def slope(r: Float[np.ndarray, "a b"]) -> Float[np.ndarray, "a b"]:
    """-k'(r) / r of the unit Matern 5/2: finite at 0."""
    return np.asarray((5 / 3) * (1 + ROOT5 * r) * np.exp(-ROOT5 * r))
