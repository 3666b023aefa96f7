"""Regression on the outputs of a random network."""

from __future__ import annotations

import dataclasses
import itertools
import math

import numpy as np
from jaxtyping import Float

from grokstudy.spec.draws import generator
from grokstudy.spec.errors import BadInput
from grokstudy.spec.fields import setting
from grokstudy.spec.interfaces import Shape, Task, TaskData
from grokstudy.spec.trial import Seeds
from grokstudy.tasks._samples import check_counts, sampled_data


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TeacherStudent(Task):
    """Outputs of a random tanh network (the teacher) on standard normal inputs: real targets.

    The teacher's weights and biases are uniform in +-1/sqrt(inputs of the layer) and drawn from `seeds.data`; its last
    layer is linear. An answer is right if none of its numbers is off by `tolerance` or more. The paper's text says
    .01, its code .001. Train sets of one data seed are prefixes of each other.

    Source: Liu et al. 2022, Omnigrok (arXiv 2210.01117), the teacher-student setup.
    """

    features: int = setting(5, help="numbers per input")
    outputs: int = setting(5, help="numbers per target")
    width: int = setting(100, per_member=True, help="neurons of each hidden layer of the teacher")
    depth: int = setting(2, per_member=True, help="hidden layers of the teacher")
    train: int = setting(100, per_member=True, help="rows trained on")
    test: int = setting(100, help="rows tested on")
    tolerance: float = setting(0.001, per_member=True, help="an answer is right if no number is off by this or more")

    def __post_init__(self) -> None:
        for name in ("features", "outputs", "width", "depth"):
            if getattr(self, name) < 1:
                raise BadInput(f"task.{name}: got {getattr(self, name)}, must be >= 1.")
        if not self.tolerance > 0:
            raise BadInput(f"task.tolerance: got {self.tolerance}, must be > 0: real numbers are never hit exactly.")
        check_counts(self)

    def shape(self) -> Shape:
        return Shape(positions=self.features, vocab=0, classes=self.outputs, real_targets=True)

    def rows(self) -> int:
        return self.train + self.test

    def train_rows(self) -> int:
        return self.train

    def data(self, seeds: Seeds) -> TaskData:
        parts = [("train_rows", self.train), ("test_rows", self.test)]
        drawn = [generator(seeds.data, name).standard_normal((count, self.features)) for name, count in parts]
        inputs = np.concatenate(drawn)
        return sampled_data(self, inputs, self._teacher(inputs, seeds), tolerance=self.tolerance)

    def _teacher(self, inputs: Float[np.ndarray, "rows features"], seeds: Seeds) -> Float[np.ndarray, "rows outputs"]:
        out = inputs
        sizes = itertools.pairwise([self.features, *[self.width] * self.depth, self.outputs])
        for layer, (fan_in, fan_out) in enumerate(sizes):
            bound = 1 / math.sqrt(fan_in)
            weight = generator(seeds.data, "teacher", f"weight.{layer}").uniform(-bound, bound, (fan_in, fan_out))
            bias = generator(seeds.data, "teacher", f"bias.{layer}").uniform(-bound, bound, fan_out)
            out = out @ weight + bias
            out = np.tanh(out) if layer < self.depth else out
        return out
