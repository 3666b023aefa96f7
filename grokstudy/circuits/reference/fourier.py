"""Fourier multiplication: modular arithmetic by adding up waves.

Every frequency k votes for every class c with cos(2 pi k (a + b - c) / n). All votes are 1 at the right answer, and
elsewhere the waves get out of step. docs/proof.md proves that the right answer wins, and says when it does not.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Literal, TypeAlias, get_args

import numpy as np
from jaxtyping import Float, Int

from grokstudy.circuits.reference import margins
from grokstudy.spec.errors import BadInput, unknown

Operation: TypeAlias = Literal["add", "sub", "mul", "div"]
OPERATIONS: tuple[Operation, ...] = get_args(Operation)
LOGARITHMIC = ("mul", "div")
"""Operations that become addition and subtraction of discrete logarithms; the prime p gives n = p - 1."""

OPERATIONS_PER_SCORE = 12
"""Elementary array operations per input and class that `predict` needs at the most: none depends on the residues."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FourierMultiplication:
    """argmax over c of sum_k alpha_k cos(2 pi k (s - c) / n), where s is a + b or a - b modulo n.

    add, sub: n = p, the residues themselves. mul, div: n = p - 1, their discrete logarithms; zero has none and is a
    case of its own: an answer 0 gives the class 0 the score `zero` and all others 0, any other answer gives the class 0
    the score 0.

    Total and bounded: defined for all residues (a / 0, which is no row of the task, counts as an answer 0), no loop
    that waits for something, and at most `OPERATIONS_PER_SCORE` operations per input and class.

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 4.1; the proof is in docs/proof.md.
    """

    p: int
    key_freqs: tuple[int, ...]
    op: Operation = "add"
    coefficients: tuple[float, ...] | None = None
    """alpha_k of every key frequency; None = all 1, so that nothing depends on a network."""
    zero: float | None = None
    """Score of the class 0 at an answer 0 (mul and div); None = the sum of alpha, as of any other right answer."""

    def __post_init__(self) -> None:
        if self.op not in OPERATIONS:
            raise unknown("op", self.op, OPERATIONS)
        if self.p < 2 or (self.op in LOGARITHMIC and not _is_prime(self.p)):
            raise BadInput(f"p: got {self.p}, must be >= 2 (and a prime for mul and div).")
        wrong = [k for k in self.key_freqs if not 1 <= k <= self.period // 2]
        if wrong or len(set(self.key_freqs)) < len(self.key_freqs):
            raise BadInput(
                f"key_freqs: got {list(self.key_freqs)}, must be different numbers in 1..{self.period // 2} "
                f"for {self.op} mod {self.p}."
            )
        if self.coefficients is not None and len(self.coefficients) != len(self.key_freqs):
            raise BadInput(f"coefficients: got {len(self.coefficients)} of them for {len(self.key_freqs)} frequencies.")

    @property
    def period(self) -> int:
        """n: after how many steps a wave of frequency 1 repeats."""
        return self.p - 1 if self.op in LOGARITHMIC else self.p

    @property
    def alphas(self) -> tuple[float, ...]:
        """The coefficient of every key frequency."""
        return (1.0,) * len(self.key_freqs) if self.coefficients is None else self.coefficients

    def scores(self, a: Int[np.ndarray, " rows"], b: Int[np.ndarray, " rows"]) -> Float[np.ndarray, "rows p"]:
        """The score of every class for every input."""
        scores: Float[np.ndarray, "rows p"] = self.by_relation()[self.relation(a, b)]
        return scores

    def predict(self, a: Int[np.ndarray, " rows"], b: Int[np.ndarray, " rows"]) -> Int[np.ndarray, " rows"]:
        """The class with the largest score; the smallest such class if several tie."""
        chosen: Int[np.ndarray, " rows"] = self.scores(a, b).argmax(axis=1)
        return chosen

    def relation(self, a: Int[np.ndarray, " rows"], b: Int[np.ndarray, " rows"]) -> Int[np.ndarray, "rows p"]:
        """What the score of a class depends on: how many steps it is from the right answer, or its case of zero.

        0 .. n - 1: that many steps. n: answer and class are both 0; n + 1: one of them is (mul and div only).
        """
        if self.op not in LOGARITHMIC:
            s = a + b if self.op == "add" else a - b
            steps: Int[np.ndarray, "rows p"] = (s[:, None] - np.arange(self.p)) % self.p
            return steps
        log = discrete_log(self.p)
        s = log[a] + log[b] if self.op == "mul" else log[a] - log[b]
        zero_answer, zero_class = ((a == 0) | (b == 0))[:, None], (np.arange(self.p) == 0)[None]
        steps = (s[:, None] - log[None]) % self.period
        steps = np.where(zero_answer | zero_class, self.period + 1, steps)
        return np.where(zero_answer & zero_class, self.period, steps)

    def by_relation(self) -> Float[np.ndarray, " relations"]:
        """The score at every relation."""
        waves = response(self.period, self.key_freqs, self.alphas)
        return waves if self.op not in LOGARITHMIC else np.append(waves, [self._zero(), 0.0])

    def margin(self) -> float:
        """A proved lower bound of (score of the right class - score of any other), over all inputs.

        Of exact scores. 0 if classes tie exactly: where all key frequencies and n have a common divisor.
        """
        found = margins.gaps(self.period, self.key_freqs, self.alphas)
        if self.op in LOGARITHMIC:
            found += [sum(map(Fraction, self.alphas), Fraction(0)), Fraction(self._zero())]
        return margins.float_below(min(found))

    def error_bound(self) -> float:
        """A proved upper bound of |computed score - exact score|, for the very floats that `scores` returns."""
        waves = response(self.period, self.key_freqs, self.alphas)
        return margins.float_above(margins.distance(waves, self.key_freqs, self.alphas))

    def is_proved(self) -> bool:
        """Whether it is proved that `predict` is right on every input: rounding cannot make up for the margin."""
        return self.margin() > 2 * self.error_bound()

    def _zero(self) -> float:
        return math.fsum(self.alphas) if self.zero is None else self.zero


def response(n: int, keys: Sequence[int], coefficients: Sequence[float]) -> Float[np.ndarray, " n"]:
    """sum_k alpha_k cos(2 pi k d / n) for d = 0 .. n - 1; values of d and n - d are equal to the last bit."""
    k = np.asarray(keys, dtype=np.int64)[:, None]
    steps = k * np.arange(n) % n
    # Whole turns and mirror images are taken off while the angle is a whole number: equal angles have equal floats.
    angles = (2 * math.pi / n) * np.minimum(steps, n - steps)
    waves: Float[np.ndarray, " n"] = (np.asarray(coefficients, dtype=np.float64)[:, None] * np.cos(angles)).sum(axis=0)
    return waves


def frequencies(p: int, op: Operation = "add") -> tuple[int, ...]:
    """Every frequency: 1 .. n // 2."""
    n = p - 1 if op in LOGARITHMIC else p
    return tuple(range(1, n // 2 + 1))


def discrete_log(p: int) -> Int[np.ndarray, " p"]:
    """log[g^i mod p] = i for the smallest primitive root g of the prime p; log[0] = 0 has no meaning."""
    for root in range(1, p):
        powers = [1]
        while (value := powers[-1] * root % p) != 1:
            powers.append(value)
        if len(powers) == p - 1:
            break
    log = np.zeros(p, dtype=np.int64)
    log[powers] = np.arange(p - 1)
    return log


def _is_prime(n: int) -> bool:
    return n > 1 and all(n % d for d in range(2, math.isqrt(n) + 1))
