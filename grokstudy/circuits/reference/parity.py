"""Parity of a few relevant bits among many."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
from jaxtyping import Bool, Float, Int, Num

from grokstudy.spec.errors import BadInput


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """Whether an odd number of the relevant bits is set: the product of their signs, or a disjunction of patterns.

    A bit is set if its input is positive, so inputs may be 0 and 1 or -1 and 1. Total and bounded: one comparison and
    one multiplication per relevant bit.

    Source: Merrill et al. 2023 (arXiv 2303.11873), section 2.
    """

    relevant: tuple[int, ...]
    """Positions of the bits that count."""

    def __post_init__(self) -> None:
        if not self.relevant or min(self.relevant) < 0 or len(set(self.relevant)) < len(self.relevant):
            raise BadInput(f"relevant: got {list(self.relevant)}, must be one or more different positions >= 0.")

    def scores(self, inputs: Num[np.ndarray, "rows bits"]) -> Float[np.ndarray, "rows 2"]:
        """Scores of even and odd: the product of the signs (+1 for a bit that is not set), and its negative."""
        product = np.where(self._bits(inputs), -1.0, 1.0).prod(axis=1)
        return np.stack([product, -product], axis=1)

    def predict(self, inputs: Num[np.ndarray, "rows bits"]) -> Int[np.ndarray, " rows"]:
        """1 where an odd number of relevant bits is set."""
        odd: Int[np.ndarray, " rows"] = self.scores(inputs).argmax(axis=1)
        return odd

    def predict_by_patterns(self, inputs: Num[np.ndarray, "rows bits"]) -> Int[np.ndarray, " rows"]:
        """The same as a disjunctive normal form: true if any of the 2^(k-1) patterns of odd weight is all there."""
        bits = self._bits(inputs)
        found = np.zeros(len(bits), dtype=bool)
        for pattern in self.patterns():
            found |= (bits == np.array(pattern)).all(axis=1)
        return found.astype(np.int64)

    def patterns(self) -> list[tuple[bool, ...]]:
        """Values of the relevant bits for which the parity is odd."""
        every = itertools.product((False, True), repeat=len(self.relevant))
        return [pattern for pattern in every if sum(pattern) % 2]

    def margin(self) -> float:
        """The right class's score minus the other's: 2, exactly, since a product of signs is a sign."""
        return 2.0

    def error_bound(self) -> float:
        """0: products of -1 and 1 are exact."""
        return 0.0

    def is_proved(self) -> bool:
        """True: multiplying signs counts set bits modulo 2, and nothing is rounded."""
        return True

    def operations(self) -> int:
        """Arithmetic operations per input."""
        return 2 * len(self.relevant) + 1

    def _bits(self, inputs: Num[np.ndarray, "rows bits"]) -> Bool[np.ndarray, "rows k"]:
        bits: Bool[np.ndarray, "rows k"] = inputs[:, list(self.relevant)] > 0
        return bits
