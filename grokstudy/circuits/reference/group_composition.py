"""Group composition by representations: multiplication in a finite group by multiplying matrices and taking traces.

Every key irrep rho votes for every class c with the trace of rho(a) rho(b) rho(c)^-1, which is its character at
g = a b c^-1. At the right answer g is the identity and the vote is the dimension d, the largest trace an orthogonal
matrix can have; it is smaller for every g that rho does not send to the identity matrix, that is outside rho's kernel.
So with positive coefficients the right answer wins on every input exactly if the key irreps are together *faithful*:
if no element but the identity is in all their kernels.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from jaxtyping import Float, Int

from grokstudy.circuits.reference.irrep_names import powers
from grokstudy.circuits.reference.irreps import Irrep, irreps
from grokstudy.circuits.reference.margins import SCALE, cosine, float_above, float_below
from grokstudy.spec.errors import BadInput
from grokstudy.tasks._groups import Group


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class GroupComposition:
    """argmax over c of sum_rho alpha_rho trace(rho(a) rho(b) rho(c)^-1) over the key irreps.

    Total and bounded: defined for all pairs of elements, no loop that waits for something, and `operations()`
    arithmetic operations per input.

    Source: Chughtai et al. 2023 (arXiv 2302.03025); the proof is in docs/proof.md.
    """

    group: Group
    key_irreps: tuple[int, ...]
    """Their places in `irreps(group)`; 0 is the trivial one, which votes alike for all."""
    coefficients: tuple[float, ...] | None = None
    """alpha_rho of every key irrep; None = all 1, so that nothing depends on a network."""

    def __post_init__(self) -> None:
        count = len(irreps(self.group))
        if any(not 0 <= i < count for i in self.key_irreps) or len(set(self.key_irreps)) < len(self.key_irreps):
            raise BadInput(f"key_irreps: got {list(self.key_irreps)}, must be different numbers in 0..{count - 1}.")
        if self.coefficients is not None and len(self.coefficients) != len(self.key_irreps):
            raise BadInput(f"coefficients: got {len(self.coefficients)} of them for {len(self.key_irreps)} irreps.")

    @property
    def alphas(self) -> tuple[float, ...]:
        """The coefficient of every key irrep."""
        return (1.0,) * len(self.key_irreps) if self.coefficients is None else self.coefficients

    @property
    def keys(self) -> tuple[Irrep, ...]:
        return tuple(irreps(self.group)[i] for i in self.key_irreps)

    def scores(self, a: Int[np.ndarray, " rows"], b: Int[np.ndarray, " rows"]) -> Float[np.ndarray, "rows n"]:
        """The score of every class for every input."""
        scores = np.zeros((len(a), self.group.order))
        for alpha, irrep in zip(self.alphas, self.keys, strict=True):
            product = (irrep.matrices[a] @ irrep.matrices[b]).reshape(len(a), irrep.dimension**2)
            # trace(M R^-1) of an orthogonal R is the sum of the entrywise products of M and R.
            scores += alpha * (product @ irrep.matrices.reshape(self.group.order, irrep.dimension**2).T)
        return scores

    def predict(self, a: Int[np.ndarray, " rows"], b: Int[np.ndarray, " rows"]) -> Int[np.ndarray, " rows"]:
        """The class with the largest score; the smallest such class if several tie."""
        chosen: Int[np.ndarray, " rows"] = self.scores(a, b).argmax(axis=1)
        return chosen

    def kernel(self) -> list[int]:
        """Elements that every key irrep sends to the identity matrix: a subgroup, [0] if the keys are faithful.

        Exact: eigenvalue multiplicities are whole numbers.
        """
        turns = (_turns(self.keys, powers(self.group, g)) for g in range(self.group.order))
        return [g for g, counts in enumerate(turns) if not any(count[1:].any() for count in counts)]

    def margin(self) -> float:
        """A proved lower bound of (score of the right class - score of any other), over all inputs.

        Of exact scores. 0 if classes tie exactly: where the key irreps are not faithful.
        """
        votes = self._votes()
        return float_below(min(votes[0][0] - high for _, high in votes[1:]))

    def error_bound(self) -> float:
        """A proved upper bound of |computed score - exact score|: looked at for every input and class, plus what
        another order of summation (another number of inputs at a time) may change."""
        exact, n = np.array([float(high) for _, high in self._votes()]), self.group.order
        worst = 0.0
        for a in range(n):
            relation = self.group.table[self.group.table[a]][:, self.group.inverses]  # [b, c] = a b c^-1
            worst = max(worst, float(np.abs(self.scores(np.full(n, a), np.arange(n)) - exact[relation]).max()))
        return float_above(Fraction(worst) + self._summation())

    def is_proved(self) -> bool:
        """Whether it is proved that `predict` is right on every input: rounding cannot make up for the margin.

        Nothing else has to be believed: were the matrices no representation at all, `error_bound` would show it.
        """
        return self.margin() > 2 * self.error_bound()

    def operations(self) -> int:
        """At most this many arithmetic operations per input: two products of matrices, sums, comparisons."""
        sizes = [irrep.dimension for irrep in self.keys]
        n = self.group.order
        return sum(2 * d**3 + n * (2 * d**2 + 2) for d in sizes) + n

    def _votes(self) -> list[tuple[Fraction, Fraction]]:
        """Bounds of sum_rho alpha_rho character_rho(g) for every element g; exact inside the kernel."""
        return [_vote(self.alphas, _turns(self.keys, powers(self.group, g))) for g in range(self.group.order)]

    def _summation(self) -> Fraction:
        """Bound of rounding in the last step of `error_bound` and of any order of summation.

        A score adds at most d^2 products of entries of a product of d terms. With orthogonal matrices the sum of their
        absolute values is at most d^2, and each passes through at most d^2 + d + 4 roundings of relative size 2^-53
        (twice: computed here, and elsewhere).
        """
        unit = math.ulp(1.0)
        terms = sum(
            abs(alpha) * irrep.dimension**2 * (irrep.dimension**2 + irrep.dimension + len(self.keys) + 4)
            for alpha, irrep in zip(self.alphas, self.keys, strict=True)
        )
        return Fraction(2 * unit) * Fraction(terms)


def _turns(keys: Sequence[Irrep], cycle: Sequence[int]) -> list[Int[np.ndarray, " order"]]:
    """For each irrep, how often exp(2 pi i j / m) is an eigenvalue of its matrix at g, whose m powers are `cycle`."""
    counts = [np.fft.fft(irrep.character[cycle]).real / len(cycle) for irrep in keys]
    return [np.rint(count).astype(np.int64) for count in counts]


def _vote(alphas: Sequence[float], turns: Sequence[Int[np.ndarray, " order"]]) -> tuple[Fraction, Fraction]:
    """Bounds of the sum of all traces of one element, from its eigenvalues."""
    low = high = Fraction(0)
    for alpha, counts in zip(alphas, turns, strict=True):
        for j in np.flatnonzero(counts).tolist():
            ends = sorted(Fraction(alpha) * int(counts[j]) * end for end in cosine(j, len(counts)))
            low, high = low + ends[0], high + ends[1]
    return low / SCALE, high / SCALE
