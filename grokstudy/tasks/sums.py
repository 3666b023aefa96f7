"""Sums of two numbers, not modulo anything: each unordered pair is a row, each sum a class."""

from __future__ import annotations

import dataclasses

import numpy as np

from grokstudy.spec.errors import BadInput
from grokstudy.spec.fields import setting
from grokstudy.spec.interfaces import Shape, Task, TaskData
from grokstudy.spec.trial import Seeds
from grokstudy.tasks._finite import check_shares, finite_data, train_rows


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sums(Task):
    """a + b of numbers a <= b below p: p (p + 1) / 2 rows, 2 p - 1 classes.

    A row and its mirror image are the same row, so that a test row's answer cannot be read off a train row. Pairs of
    equal sum are the parallelograms of `rqi`. For residues see `modular`, for digits `integer`.

    Source: Liu et al. 2022 (arXiv 2205.10343), section 3 (p = 10, 45 of 55 rows).
    """

    p: int = setting(10, help="numbers 0 .. p - 1 are added")
    frac_train: float = setting(0.8, per_member=True, help="share of the pairs trained on, in (0, 1]")
    label_noise: float = setting(0.0, per_member=True, help="share of train labels redrawn; 1 = random labels")
    holdout: float = setting(0.0, per_member=True, help="share held out as a fixed test set; 0 = all else")

    def __post_init__(self) -> None:
        if self.p < 2:
            raise BadInput(f"task.p: got {self.p}, must be >= 2.")
        check_shares(self)

    def shape(self) -> Shape:
        return Shape(positions=2, vocab=self.p, classes=2 * self.p - 1)

    def rows(self) -> int:
        return self.p * (self.p + 1) // 2

    def train_rows(self) -> int:
        return train_rows(self)

    def data(self, seeds: Seeds) -> TaskData:
        inputs = np.stack(np.triu_indices(self.p), axis=1)
        return finite_data(self, seeds, inputs, inputs.sum(1))
