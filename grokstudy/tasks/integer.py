"""Addition and subtraction of whole numbers digit by digit, with carries; nothing is taken modulo anything."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
from jaxtyping import Int

from grokstudy.spec.errors import BadInput
from grokstudy.spec.fields import setting
from grokstudy.spec.interfaces import Shape, Task, TaskData
from grokstudy.spec.trial import Seeds
from grokstudy.tasks._samples import check_counts, different_rows, sampled_data

OPERATOR, EQUALS = 10, 11
"""Tokens after the ten digits."""
MAX_DIGITS = 17
"""Sums must fit 64 bits."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Integer(Task):
    """Sum or difference of two whole numbers of n digits, written out; for residues see `modular`.

    A row is `a_1 .. a_n op b_1 .. b_n = s_0 .. s_n`, the most significant digit first and with leading zeros. The
    inputs are all but the last token: a model is shown the true digits before the one it answers (teacher forcing),
    and gives its n + 1 answers at `=` and at s_0 .. s_(n-1). A row counts as right if every digit is.

    Differences are of the larger number and the smaller, so that they need no sign; their first digit is always 0 and
    borrows take the place of carries. Slice `digit_i` is the digit worth 10^i, wherever it is written.

    Source: Nanda et al. 2023 (arXiv 2301.05217), appendix on other small algorithmic tasks (5 digits,
    750 rows).
    """

    op: Literal["add", "sub"] = setting("add", per_member=True, help="operation")
    digits: int = setting(5, help="digits of each number")
    reversed: bool = setting(False, per_member=True, help="write every number with its least significant digit first")
    train: int = setting(750, per_member=True, help="rows trained on")
    test: int = setting(2000, help="rows tested on, none of them trained on")

    def __post_init__(self) -> None:
        if not 1 <= self.digits <= MAX_DIGITS:
            raise BadInput(f"task.digits: got {self.digits}, must be 1..{MAX_DIGITS}.")
        numbers = 10**self.digits
        check_counts(self, numbers**2 if self.op == "add" else numbers * (numbers + 1) // 2)

    def shape(self) -> Shape:
        return Shape(positions=3 * self.digits + 2, vocab=12, classes=10, answers=self.digits + 1)

    def rows(self) -> int:
        return self.train + self.test

    def train_rows(self) -> int:
        return self.train

    def slices(self) -> tuple[str, ...]:
        return tuple(f"digit_{place}" for place in range(self.digits + 1))

    def data(self, seeds: Seeds) -> TaskData:
        pairs = different_rows(self, seeds, self._draw)
        a, b = pairs.T
        answer = self._written(a + b if self.op == "add" else a - b, self.digits + 1)
        operator, equals = (np.full((len(pairs), 1), token) for token in (OPERATOR, EQUALS))
        question = [self._written(a, self.digits), operator, self._written(b, self.digits), equals]
        places = np.arange(self.digits + 1)
        return sampled_data(
            self,
            np.concatenate([*question, answer[:, :-1]], axis=1),
            answer,
            slice_of=np.tile(places if self.reversed else places[::-1], (len(pairs), 1)),
        )

    def _draw(self, stream: np.random.Generator, count: int) -> Int[np.ndarray, "count 2"]:
        pairs = stream.integers(0, 10**self.digits, (count, 2))
        return pairs if self.op == "add" else -np.sort(-pairs, axis=1)

    def _written(self, numbers: Int[np.ndarray, " rows"], length: int) -> Int[np.ndarray, "rows length"]:
        """Digits in the order in which they are written."""
        digits: Int[np.ndarray, "rows length"] = numbers[:, None] // 10 ** np.arange(length) % 10
        return digits if self.reversed else digits[:, ::-1]
