"""Sorting lists of fixed length."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Int

from grokstudy.spec.errors import BadInput
from grokstudy.spec.fields import setting
from grokstudy.spec.interfaces import Shape, Task, TaskData
from grokstudy.spec.trial import Seeds
from grokstudy.tasks._samples import check_counts, different_rows, sampled_data


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sort(Task):
    """Lists of random numbers and the same numbers in ascending order.

    A row is `x_1 .. x_L MID y_1 .. y_L` with y the sorted x, repetitions included. The inputs are all but the last
    token (teacher forcing); the L answers are given at MID and at y_1 .. y_(L-1). Slice `position_i` is y_(i+1).

    Source: Nanda, 200 Concrete Open Problems in Mechanistic Interpretability, problem 3.1.
    """

    length: int = setting(10, help="numbers in a list")
    values: int = setting(50, help="numbers are 0 .. values - 1")
    train: int = setting(1000, per_member=True, help="lists trained on")
    test: int = setting(2000, help="lists tested on, none of them trained on")

    def __post_init__(self) -> None:
        for name in ("length", "values"):
            if getattr(self, name) < 2:
                raise BadInput(f"task.{name}: got {getattr(self, name)}, must be >= 2: there is nothing to sort.")
        check_counts(self, self.values**self.length)

    def shape(self) -> Shape:
        return Shape(positions=2 * self.length, vocab=self.values + 1, classes=self.values, answers=self.length)

    def rows(self) -> int:
        return self.train + self.test

    def train_rows(self) -> int:
        return self.train

    def slices(self) -> tuple[str, ...]:
        return tuple(f"position_{i}" for i in range(self.length))

    def data(self, seeds: Seeds) -> TaskData:
        lists = different_rows(self, seeds, self._draw)
        answers = np.sort(lists, axis=1)
        middle = np.full((len(lists), 1), self.values)
        return sampled_data(
            self,
            np.concatenate([lists, middle, answers[:, :-1]], axis=1),
            answers,
            slice_of=np.tile(np.arange(self.length), (len(lists), 1)),
        )

    def _draw(self, stream: np.random.Generator, count: int) -> Int[np.ndarray, "count length"]:
        return stream.integers(0, self.values, (count, self.length))
