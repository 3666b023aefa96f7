"""Sparse features that are to be put back together from fewer numbers."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float

from grokstudy.spec.draws import generator
from grokstudy.spec.errors import BadInput
from grokstudy.spec.fields import setting
from grokstudy.spec.interfaces import Shape, Task, TaskData
from grokstudy.spec.trial import Seeds
from grokstudy.tasks._samples import check_counts, sampled_data


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TMS(Task):
    """Toy models of superposition: n sparse features, each to be reconstructed; see `model=tms`.

    A feature is 0 with probability `sparsity`, else uniform in [0, 1]. Every feature is one answer with one real
    number, and feature i (from 0) weighs importance^i in the loss, so that the loss trained on is
    sum_i I_i (x_i - x'_i)^2 / sum_i I_i, averaged over rows.

    The sample is finite: few train rows are memorised instead of their features learnt. Train sets of one data seed are
    prefixes of each other, and the features at 0 are nested in `sparsity`. Rows are independent, so that the row of
    zeros may be in both splits.

    Source: Elhage et al. 2022 (arXiv 2209.10652), section Demonstrating Superposition; for finite samples Henighan et
    al. 2023, Superposition, Memorization, and Double Descent (Transformer Circuits Thread).
    """

    n: int = setting(5, help="features")
    sparsity: float = setting(0.9, per_member=True, help="probability that a feature is 0, in [0, 1)")
    importance: float = setting(0.9, per_member=True, help="weight of a feature relative to the one before, in (0, 1]")
    train: int = setting(2048, per_member=True, help="rows trained on")
    test: int = setting(2048, help="rows tested on")
    tolerance: float = setting(0.1, per_member=True, help="a feature is right if it is off by less than this")

    def __post_init__(self) -> None:
        if self.n < 2:
            raise BadInput(f"task.n: got {self.n}, must be >= 2: one feature has nothing to share a place with.")
        if not 0 <= self.sparsity < 1:
            raise BadInput(f"task.sparsity: got {self.sparsity}, must be in [0, 1).")
        if not 0 < self.importance <= 1:
            raise BadInput(f"task.importance: got {self.importance}, must be in (0, 1] (1 = all alike).")
        if not self.tolerance > 0:
            raise BadInput(f"task.tolerance: got {self.tolerance}, must be > 0: real numbers are never hit exactly.")
        check_counts(self)

    def shape(self) -> Shape:
        return Shape(positions=self.n, vocab=0, classes=1, answers=self.n, real_targets=True)

    def rows(self) -> int:
        return self.train + self.test

    def train_rows(self) -> int:
        return self.train

    def data(self, seeds: Seeds) -> TaskData:
        inputs = np.concatenate([self._drawn("train", self.train, seeds), self._drawn("test", self.test, seeds)])
        weights = np.tile(self.importance ** np.arange(self.n), (len(inputs), 1))
        return sampled_data(self, inputs, inputs[:, :, None].copy(), weights=weights, tolerance=self.tolerance)

    def _drawn(self, split: str, count: int, seeds: Seeds) -> Float[np.ndarray, "count n"]:
        values = generator(seeds.data, f"{split}_values").random((count, self.n))
        shown = generator(seeds.data, f"{split}_shown").random((count, self.n)) >= self.sparsity
        return np.where(shown, values, 0.0)
