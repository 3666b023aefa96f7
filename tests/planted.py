"""Networks whose measures are known: logits given row by row, and weights built from known frequencies."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from grokstudy.losses.ce64 import CrossEntropy64
from grokstudy.optimizers.adamw import AdamW
from grokstudy.spec.interfaces import Model, ReadMatrices, Shape
from grokstudy.spec.measure import Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec
from grokstudy.tasks.modular import Modular, Operation


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Table(Model):
    """A network that is nothing but its logits and neurons per row, so that any function can be measured."""

    def check(self, shape: Shape) -> None: ...

    def init(self, shape: Shape, seed: int) -> dict[str, Tensor]:
        """All logits zero."""
        return {"logits": torch.zeros(shape.vocab**2, shape.classes).double()}

    def apply(
        self,
        params: Mapping[str, Tensor],
        inputs: Tensor,
        keep: Mapping[str, Tensor] | None = None,
        *,
        answers: int = 0,
    ) -> Tensor:
        return params["logits"][inputs[:, 0] * math.isqrt(len(params["logits"])) + inputs[:, 1]]

    def activations(
        self,
        params: Mapping[str, Tensor],
        inputs: Tensor,
        *,
        answers: int = 0,
        patch: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        assert not patch
        rows = inputs[:, 0] * math.isqrt(len(params["logits"])) + inputs[:, 1]
        neurons = params["neurons"].expand(len(params["logits"]), -1)
        return {"neurons": neurons[rows], "logits": self.apply(params, inputs)}

    def matrices(self, params: Mapping[str, Tensor], shape: Shape) -> ReadMatrices:
        return ReadMatrices(W_E=params["W_E"], W_L=params["W_L"])

    def last_layer(self) -> str:
        return "logits"


def subject(
    model: Model,
    params: Mapping[str, Tensor],
    p: int,
    keys: Sequence[int] | None,
    op: Operation = "add",
    **settings: float,
) -> Subject:
    task = Modular(op=op, p=p, **settings)
    spec = TrialSpec(task=task, model=model, optimizer=AdamW(), loss=CrossEntropy64())
    return Subject(
        spec=spec,
        data=task.data(spec.seeds),
        params=params,
        key_freqs=None if keys is None else tuple(keys),
        keys_reason="no_keys" if keys is None else None,
    )


def table(logits: Tensor, keys: Sequence[int] | None, op: Operation = "add", **given: Tensor) -> Subject:
    p = logits.shape[1]
    flat = {"neurons": torch.zeros(1, 1), "W_E": torch.zeros(1, p), "W_L": torch.zeros(p, 1)}
    return subject(Table(), {"logits": logits.double(), **flat, **given}, p, keys, op)


def grid(p: int) -> tuple[Tensor, Tensor]:
    rows = torch.arange(p * p)
    return rows // p, rows % p


def waves(p: int, amplitudes: Mapping[int, float], op: Operation = "add") -> Tensor:
    """sum_k amplitude_k cos(w_k (answer - c)) for every row and class c."""
    a, b = grid(p)
    answer = a + b if op == "add" else a - b
    phase = 2 * math.pi / p * (answer[:, None] - torch.arange(p)[None, :]).double()
    return sum((x * torch.cos(k * phase) for k, x in amplitudes.items()), torch.zeros(p * p, p, dtype=torch.float64))


def noise(*size: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=size))


def gromov(p: int, keys: Sequence[int], op: Operation = "add", phases: int = 3) -> dict[str, Tensor]:
    """Gromov's analytic solution with phases on a 3 x 3 lattice per key: every unwanted term cancels exactly."""
    t = 2 * math.pi / p * torch.arange(p).double()
    sign = 1 if op == "add" else -1
    columns = [
        (torch.cos(k * t + f), torch.cos(sign * k * t + g), torch.cos(k * t + f + g))
        for k in keys
        for f in 2 * math.pi / phases * torch.arange(phases).double()
        for g in 2 * math.pi / phases * torch.arange(phases).double()
    ]
    u, v, w = (torch.stack(parts) for parts in zip(*columns, strict=True))
    return {"U": u.T.contiguous(), "V": v.T.contiguous(), "W": w}


def by_name(values: Sequence[MeasureValue], protocol: str = "") -> dict[str, MeasureValue]:
    return {value.measure: value for value in values if protocol in value.protocol}


def number(values: Sequence[MeasureValue], name: str) -> float:
    value = by_name(values)[name].value
    assert value is not None, by_name(values)[name]
    return value
