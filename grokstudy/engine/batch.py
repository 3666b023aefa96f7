"""The rows of a pack's members as tensors: full train batches, mini-batches, and every row for evaluation."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from grokstudy.engine.signature import padded_rows
from grokstudy.spec.draws import generator
from grokstudy.spec.interfaces import Shape, TaskData
from grokstudy.spec.trial import TrialSpec


@dataclasses.dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Rows:
    """Rows of an update, of one member or stacked. Padding has weight 0; weights of a member sum to 1."""

    inputs: Int[Tensor, "*members rows positions"]
    labels: Int[Tensor, "*members rows"]
    weights: Float[Tensor, "*members rows"]


@dataclasses.dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Table:
    """Every row of each member's task, for evaluation: labels are those trained on at train rows, clean elsewhere."""

    inputs: Int[Tensor, "members rows positions"]
    labels: Int[Tensor, "members rows"]
    train: Bool[Tensor, "members rows"]
    test: Bool[Tensor, "members rows"]


@dataclasses.dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PackData:
    """Everything that a pack reads while it trains."""

    shape: Shape
    table: Table
    full: Rows | None
    """The full train batch, or None when members train on mini-batches."""
    specs: tuple[TrialSpec, ...]
    data: tuple[TaskData, ...]
    dtype: torch.dtype
    device: torch.device

    @classmethod
    def build(cls, specs: Sequence[TrialSpec], dtype: torch.dtype, device: torch.device) -> PackData:
        """Draws every member's task. All specs have one signature."""
        data = tuple(spec.task.data(spec.seeds) for spec in specs)
        full = None
        if specs[0].batch_size is None:
            padded = padded_rows(len(data[0].train))
            parts = [_rows(d, np.argsort(d.train, kind="stable"), padded, dtype) for d in data]
            full = _stack(parts, device)
        table = Table(
            inputs=torch.stack([torch.from_numpy(d.inputs) for d in data]).to(device),
            labels=torch.stack([torch.from_numpy(_labels_of_all_rows(d)) for d in data]).to(device),
            train=torch.stack([torch.from_numpy(d.train_mask()) for d in data]).to(device),
            test=torch.stack([torch.from_numpy(_mask(d.test, len(d.labels))) for d in data]).to(device),
        )
        return cls(
            shape=data[0].shape, table=table, full=full, specs=tuple(specs), data=data, dtype=dtype, device=device
        )

    def batch(self, step: int) -> Rows:
        """The rows of update number `step`: a function of the step and each member's batch seed."""
        if self.full is not None:
            return self.full
        parts = []
        for spec, data in zip(self.specs, self.data, strict=True):
            assert spec.batch_size is not None
            chosen = minibatch(spec.seeds.batch, len(data.train), spec.batch_size, step)
            parts.append(_rows(data, chosen, padded_rows(spec.batch_size), self.dtype))
        return _stack(parts, self.device)


def minibatch(seed: int, rows: int, size: int, step: int) -> Int[np.ndarray, " size"]:
    """Positions of one mini-batch: a window of the endless stream of permutations, one per epoch; every batch is full.

    Random access in the step: nothing has to be stored to resume.
    """
    start = step * size
    window = np.arange(start, start + size)
    epochs = {epoch: _epoch_order(seed, rows, epoch) for epoch in range(start // rows, (start + size - 1) // rows + 1)}
    return np.array([epochs[i // rows][i % rows] for i in window.tolist()])


@functools.lru_cache(maxsize=4096)
def _epoch_order(seed: int, rows: int, epoch: int) -> Int[np.ndarray, " rows"]:
    return generator(seed, "batch", str(epoch)).permutation(rows)


def _rows(data: TaskData, chosen: Int[np.ndarray, " chosen"], padded: int, dtype: torch.dtype) -> Rows:
    """One member's rows, padded by repeating its first row with weight 0."""
    index = np.concatenate([chosen, np.repeat(chosen[:1], padded - len(chosen))])
    weights = np.zeros(padded)
    weights[: len(chosen)] = 1 / len(chosen)
    return Rows(
        inputs=torch.from_numpy(data.inputs[data.train[index]]),
        labels=torch.from_numpy(data.train_labels[index]),
        weights=torch.from_numpy(weights).to(dtype),
    )


def _stack(parts: Sequence[Rows], device: torch.device) -> Rows:
    return Rows(
        inputs=torch.stack([part.inputs for part in parts]).to(device),
        labels=torch.stack([part.labels for part in parts]).to(device),
        weights=torch.stack([part.weights for part in parts]).to(device),
    )


def _labels_of_all_rows(data: TaskData) -> Int[np.ndarray, " rows"]:
    labels = data.labels.copy()
    labels[data.train] = data.train_labels
    return labels


def _mask(rows: Int[np.ndarray, " n"], of: int) -> Bool[np.ndarray, " rows"]:
    mask = np.zeros(of, dtype=bool)
    mask[rows] = True
    return mask
