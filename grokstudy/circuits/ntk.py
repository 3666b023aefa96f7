"""Empirical neural tangent kernels: whether training is lazy, and whether the kernel knows the task."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor

from grokstudy.circuits._applies import unless_classes
from grokstudy.circuits._gradients import NO_START, model_inputs
from grokstudy.circuits._values import NO_ROWS, known, undefined
from grokstudy.spec.draws import generator
from grokstudy.spec.interfaces import Model, TaskData
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NTK(Measure):
    """Tangent kernel of the network on test rows: K[x, y] = sum over answers' classes c of <grad f_c(x), grad f_c(y)>.

    `ntk.alignment` = <K, Y Y^T> / (|K|_F |Y Y^T|_F), Y the one-hot labels minus 1 / classes; with two
    classes this is y^T K y / (|K|_F |y|^2), y = +-1. In [0, 1]; a low value at step 0 means that lazy training cannot
    generalise. `ntk.distance` = 1 - <K, K0> / (|K|_F |K0|_F): 0 while training is lazy.

    The rows are a random sample of the test rows, and c runs over a random sample of the classes, both the same for all
    trials of one data seed. K's scale drops out: on a grokked transformer modulo 31, 4 classes gave the alignment of
    all (0.27, give or take 0.01). Only values of equally many rows compare: of few rows Y Y^T is nearly the identity.

    Source: Kumar et al. 2024 (arXiv 2310.06110), kernel alignment; Fort et al. 2020 (arXiv 2010.15110), distance.
    """

    version: ClassVar[int] = 2
    names: ClassVar[tuple[str, ...]] = ("ntk.alignment", "ntk.distance")
    default: ClassVar[bool] = False
    rows: int = 128
    """Test answers looked at, at most."""
    classes: int = 16
    """Classes summed over, at most: time is proportional to it."""

    def applies(self, spec: TrialSpec) -> str | None:
        return unless_classes(spec)

    def measure(self, subject: Subject) -> list[MeasureValue]:
        data, start = subject.data, subject.start
        if len(data.test) == 0:
            return self._values(dict.fromkeys(self.names, NO_ROWS))
        seed, every = subject.spec.seeds.data, data.shape.classes
        rows = sampled(data, seed, self.rows)
        chosen = torch.from_numpy(generator(seed, "ntk_classes").permutation(every)[: self.classes])
        labels = centred_labels(torch.from_numpy(data.labels)[rows].flatten(), every)
        now = _kernel(subject, subject.params, rows, chosen)
        then = None if start is None else _kernel(subject, start, rows, chosen)
        return self._values(
            {
                "ntk.alignment": cosine(now, labels @ labels.T),
                "ntk.distance": NO_START if then is None else 1 - cosine(now, then),
            }
        )

    def _values(self, found: Mapping[str, float | str]) -> list[MeasureValue]:
        protocol = f"kernel=trace;labels=centred;rows=test<={self.rows};classes<={self.classes}"
        return [
            undefined(name, value, protocol=protocol, version=self.version)
            if isinstance(value, str)
            else known(name, value, protocol=protocol, version=self.version)
            for name, value in found.items()
        ]


def _kernel(
    subject: Subject, params: Mapping[str, Tensor], rows: Int[Tensor, " n"], chosen: Int[Tensor, " classes"]
) -> Float[Tensor, "answers answers"]:
    inputs, answers = model_inputs(subject.data)[rows], subject.data.shape.answers
    return tangent_kernel(subject.spec.model, params, inputs, chosen=chosen, answers=answers)


def sampled(data: TaskData, seed: int, count: int) -> Int[Tensor, " n"]:
    """Test inputs with at most `count` answers (at least one input), the same for every network on this split."""
    inputs = max(1, count // max(1, data.shape.answers))
    chosen = generator(seed, "ntk_rows").permutation(len(data.test))[:inputs]
    return torch.from_numpy(data.test[chosen])


def centred_labels(labels: Int[Tensor, " n"], classes: int) -> Float[Tensor, "n classes"]:
    """One-hot labels minus their mean over the classes: with two classes +-1/2, so that Y Y^T is y y^T / 2."""
    return torch.nn.functional.one_hot(labels, classes).double() - 1 / classes


def tangent_kernel(
    model: Model,
    params: Mapping[str, Tensor],
    inputs: Num[Tensor, "n positions"],
    *,
    chosen: Int[Tensor, " classes"],
    answers: int = 0,
) -> Float[Tensor, "m m"]:
    """sum_c J_c J_c^T over these classes, J_c the derivatives of class c's logits by all parameters, a row per answer.

    One class at a time: all of them at once would be classes times as much memory.
    """
    fixed = {name: tensor.detach() for name, tensor in params.items()}

    def logits(w: Mapping[str, Tensor], row: Num[Tensor, " positions"]) -> Float[Tensor, "answers outputs"]:
        return model.apply(w, row[None], answers=answers).flatten(0, -2)

    def slopes(w: Mapping[str, Tensor], row: Num[Tensor, " positions"], c: Int[Tensor, ""]) -> dict[str, Tensor]:
        jacobian: dict[str, Tensor] = torch.func.jacrev(lambda at: logits(at, row).index_select(1, c[None])[:, 0])(w)
        return jacobian

    rows = len(inputs) * max(1, answers)
    kernel = torch.zeros(rows, rows).double()
    for c in chosen:
        for derivative in torch.func.vmap(slopes, in_dims=(None, 0, None))(fixed, inputs, c).values():
            each = derivative.reshape(rows, -1)
            kernel.addmm_(each, each.T)
    return kernel


def cosine(x: Float[Tensor, "n n"], y: Float[Tensor, "n n"]) -> float:
    """Of the angle between two kernels; NaN if one of them is zero."""
    lengths = float(x.norm()) * float(y.norm())
    return float((x * y).sum()) / lengths if lengths != 0 else math.nan
