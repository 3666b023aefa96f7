"""Parity of a few bits among many: the smallest task on which two circuits compete."""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
from jaxtyping import Int

from grokstudy.spec.errors import BadInput
from grokstudy.spec.fields import setting
from grokstudy.spec.interfaces import Shape, Task, TaskData
from grokstudy.spec.trial import Seeds
from grokstudy.tasks._samples import check_counts, corrupted, different_rows, sampled_data


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SparseParity(Task):
    """Parity of the first k of n random bits: whether an odd number of them is set.

    Always the first k, whatever the seed: networks start alike in all inputs, so which ones count is no loss of
    generality, and measures know where to look. Labels are the same in both encodings. Inputs are real numbers.

    With pm1 and an odd k a network of one hidden ReLU layer needs biases: without them f(x) - f(-x) is linear in x, and
    parity is not. With zero_one it does not.

    Source: Merrill et al. 2023 (arXiv 2303.11873): n=40, k=3, train=1000, test=100, pm1; the defaults follow PAIR's
    explorable Do Machine Learning Models Memorize or Generalize (2023).
    """

    n: int = setting(30, help="bits per row")
    k: int = setting(3, per_member=True, help="bits that count")
    encoding: Literal["zero_one", "pm1"] = setting("zero_one", per_member=True, help="bits as 0 and 1, or as -1 and 1")
    train: int = setting(750, per_member=True, help="rows trained on")
    test: int = setting(2000, help="rows tested on, none of them trained on")
    label_noise: float = setting(0.0, per_member=True, help="share of train labels redrawn; 1 = random labels")

    def __post_init__(self) -> None:
        if self.n < 1:
            raise BadInput(f"task.n: got {self.n}, must be >= 1.")
        if not 1 <= self.k <= self.n:
            raise BadInput(f"task.k: got {self.k}, must be 1..{self.n} (task.n).")
        if not 0 <= self.label_noise <= 1:
            raise BadInput(f"task.label_noise: got {self.label_noise}, must be in [0, 1] (1 = random labels).")
        check_counts(self, 2**self.n)

    def shape(self) -> Shape:
        return Shape(positions=self.n, vocab=0, classes=2)

    def rows(self) -> int:
        return self.train + self.test

    def train_rows(self) -> int:
        return self.train

    def data(self, seeds: Seeds) -> TaskData:
        bits = different_rows(self, seeds, self._draw)
        labels = bits[:, : self.k].sum(1) % 2
        inputs = bits if self.encoding == "zero_one" else 2 * bits - 1
        noisy = corrupted(labels[: self.train], self.label_noise, 2, seeds)
        return sampled_data(self, inputs.astype(np.float64), labels, train_labels=noisy)

    def _draw(self, stream: np.random.Generator, count: int) -> Int[np.ndarray, "count n"]:
        return stream.integers(0, 2, (count, self.n))
