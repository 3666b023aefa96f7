"""The rows of a pack's members as tensors: full train batches, mini-batches, and every row for evaluation."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Num
from torch import Tensor

from grokstudy.engine.forward import Forward
from grokstudy.engine.layout import Layout
from grokstudy.engine.scaled import ScaledLoss, is_scaled
from grokstudy.engine.signature import padded_rows
from grokstudy.spec.draws import generator
from grokstudy.spec.interfaces import Loss, Shape, TaskData
from grokstudy.spec.trial import TrialSpec


@dataclasses.dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Rows:
    """Rows of an update, of one member or stacked. Padding is last and has weight 0; a member's weights sum to 1."""

    inputs: Num[Tensor, "*members rows positions"]
    labels: Num[Tensor, "*members rows *answers"]
    weights: Float[Tensor, "*members rows *answers"]
    scale: Float[Tensor, " *members"] | None = None
    """alpha of the predictor alpha * (f - f0); None in packs that train on their logits as they are."""
    start: Float[Tensor, "*members rows *answers outputs"] | None = None
    """f0."""
    counts: tuple[int, ...] = ()
    """Rows of each stacked member without its padding, which only CUDA needs; empty = none has any."""

    def member(self, lane: int) -> Rows:
        """The rows of one stacked member, without padding."""
        real = slice(self.counts[lane] if self.counts else None)
        return Rows(
            inputs=self.inputs[lane, real],
            labels=self.labels[lane, real],
            weights=self.weights[lane, real],
            scale=None if self.scale is None else self.scale[lane],
            start=None if self.start is None else self.start[lane, real],
        )

    def seen_by(self, loss: Loss) -> Loss:
        """The loss of one member as a function of its logits."""
        return loss if self.scale is None else ScaledLoss(loss=loss, scale=self.scale, start=self.start)


@dataclasses.dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Tables:
    """Every row of each member's task, for evaluation: labels are those trained on at train rows, clean elsewhere."""

    inputs: tuple[Num[Tensor, "rows positions"], ...]
    """Per member; members with equal inputs share one tensor."""
    labels: Num[Tensor, "members rows *answers"]
    splits: Bool[Tensor, "members 2 rows"]
    """Train rows, test rows."""
    corrupted: Bool[Tensor, "members rows"] | None
    """Train rows whose label is wrong; None if no member has any."""
    weights: Float[Tensor, "members rows *answers"] | None
    slice_of: Int[Tensor, "members rows *answers"] | None
    slices: int
    tolerance: Float[Tensor, " members"]
    scale: Float[Tensor, " members"] | None
    """As in `Rows`."""
    start: Float[Tensor, "members rows *answers outputs"] | None


@dataclasses.dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PackData:
    """Everything that a pack reads while it trains."""

    shape: Shape
    tables: Tables
    forward: Forward
    full: Rows | None
    """The full train batch, or None when members train on mini-batches."""
    specs: tuple[TrialSpec, ...]
    data: tuple[TaskData, ...]
    dtype: torch.dtype
    device: torch.device

    @classmethod
    def build(
        cls,
        specs: Sequence[TrialSpec],
        dtype: torch.dtype,
        device: torch.device,
        layout: Layout,
        start: Float[Tensor, "members size"] | None,
    ) -> PackData:
        """Draws every member's task. All specs have one signature; `start` is needed where f0 is subtracted."""
        data = tuple(spec.task.data(spec.seeds) for spec in specs)
        forward = Forward(specs[0].model, data[0].shape, dtype, device)
        inputs = _shared_inputs(data, dtype, device)
        start_logits = None
        if specs[0].model.subtract_start:
            assert start is not None
            start_logits = torch.stack(
                [
                    forward({name: view[0] for name, view in layout.views(one.clone()[None]).items()}, each)
                    for one, each in zip(start, inputs, strict=True)
                ]
            )
        scale = None
        if is_scaled(specs[0]):
            scale = torch.tensor([spec.model.output_scale for spec in specs], dtype=dtype, device=device)
        pack = cls(
            shape=data[0].shape,
            tables=_tables(data, inputs, scale, start_logits, dtype, device),
            forward=forward,
            full=None,
            specs=tuple(specs),
            data=data,
            dtype=dtype,
            device=device,
        )
        if specs[0].batch_size is not None:
            return pack
        orders = [np.argsort(d.train, kind="stable") for d in data]
        return dataclasses.replace(pack, full=pack._stacked(orders, padded_rows(len(data[0].train))))

    def batch(self, number: int) -> Rows:
        """The rows of update `number`: a function of the number and each member's batch seed."""
        if self.full is not None:
            return self.full
        size = self.specs[0].batch_size
        assert size is not None
        chosen = [
            minibatch(spec.seeds.batch, len(data.train), size, number)
            for spec, data in zip(self.specs, self.data, strict=True)
        ]
        return self._stacked(chosen, padded_rows(size))

    def _stacked(self, chosen: Sequence[Int[np.ndarray, " chosen"]], padded: int) -> Rows:
        parts = [_rows(data, rows, padded, self.dtype) for data, rows in zip(self.data, chosen, strict=True)]
        start = None
        if self.tables.start is not None:
            index = [torch.from_numpy(d.train[_padded(c, padded)]) for d, c in zip(self.data, chosen, strict=True)]
            start = torch.stack([f0[i.to(self.device)] for f0, i in zip(self.tables.start, index, strict=True)])
        return Rows(
            inputs=torch.stack([part.inputs for part in parts]).to(self.device),
            labels=torch.stack([part.labels for part in parts]).to(self.device),
            weights=torch.stack([part.weights for part in parts]).to(self.device),
            scale=self.tables.scale,
            start=start,
            counts=tuple(len(rows) for rows in chosen),
        )


def minibatch(seed: int, rows: int, size: int, step: int) -> Int[np.ndarray, " size"]:
    """Positions of one mini-batch: a window of the endless stream of permutations, one per epoch; every batch is full.

    Random access in the step: nothing has to be stored to resume.
    """
    start, end = step * size, (step + 1) * size
    pieces = [
        _epoch_order(seed, rows, epoch)[max(start - epoch * rows, 0) : end - epoch * rows]
        for epoch in range(start // rows, (end - 1) // rows + 1)
    ]
    return np.concatenate(pieces)


@functools.lru_cache(maxsize=1024)
def _epoch_order(seed: int, rows: int, epoch: int) -> Int[np.ndarray, " rows"]:
    return generator(seed, "batch", str(epoch)).permutation(rows)


def _rows(data: TaskData, chosen: Int[np.ndarray, " chosen"], padded: int, dtype: torch.dtype) -> Rows:
    """One member's rows, padded by repeating its first row with weight 0."""
    index = _padded(chosen, padded)
    rows = data.train[index]
    weights = np.zeros((padded, *_answers(data)))
    if data.weights is None:
        weights[: len(chosen)] = 1 / weights[: len(chosen)].size
    else:
        weights[: len(chosen)] = data.weights[data.train[chosen]]
        weights /= weights.sum()
    return Rows(
        inputs=_tensor(data.inputs[rows], dtype),
        labels=_tensor(data.train_labels[index], dtype),
        weights=torch.from_numpy(weights).to(dtype),
    )


def _shared_inputs(
    data: Sequence[TaskData], dtype: torch.dtype, device: torch.device
) -> tuple[Num[Tensor, "rows positions"], ...]:
    """All rows of every member; members with equal inputs share one tensor."""
    shared: dict[bytes, Tensor] = {}
    for d in data:
        shared.setdefault(d.inputs.tobytes(), _tensor(d.inputs, dtype).to(device))
    return tuple(shared[d.inputs.tobytes()] for d in data)


def _tables(
    data: Sequence[TaskData],
    inputs: tuple[Num[Tensor, "rows positions"], ...],
    scale: Tensor | None,
    start: Tensor | None,
    dtype: torch.dtype,
    device: torch.device,
) -> Tables:
    labels = [d.labels.copy() for d in data]
    for every, d in zip(labels, data, strict=True):
        every[d.train] = d.train_labels
    corrupted = np.stack(
        [(every != d.labels).reshape(len(every), -1).any(1) for every, d in zip(labels, data, strict=True)]
    )
    splits = np.stack([np.stack([d.train_mask(), d.test_mask()]) for d in data])
    first = data[0]
    return Tables(
        inputs=inputs,
        labels=torch.stack([_tensor(each, dtype) for each in labels]).to(device),
        splits=torch.from_numpy(splits).to(device),
        corrupted=torch.from_numpy(corrupted).to(device) if corrupted.any() else None,
        weights=None if first.weights is None else torch.from_numpy(_of_all([d.weights for d in data])).to(device),
        slice_of=None if first.slice_of is None else torch.from_numpy(_of_all([d.slice_of for d in data])).to(device),
        slices=len(first.slices),
        tolerance=torch.tensor([d.tolerance for d in data], dtype=dtype, device=device),
        scale=scale,
        start=start,
    )


def _of_all(arrays: Sequence[Num[np.ndarray, "rows *answers"] | None]) -> Num[np.ndarray, "members rows *answers"]:
    """Arrays that all members have if one of them does."""
    return np.stack([array for array in arrays if array is not None])


def _answers(data: TaskData) -> tuple[int, ...]:
    return (data.shape.answers,) if data.shape.answers else ()


def _padded(chosen: Int[np.ndarray, " chosen"], padded: int) -> Int[np.ndarray, " padded"]:
    return np.concatenate([chosen, np.repeat(chosen[:1], padded - len(chosen))])


def _tensor(values: Num[np.ndarray, "*shape"], dtype: torch.dtype) -> Num[Tensor, "*shape"]:
    """Tokens and classes as they are, real numbers in the precision of the weights."""
    tensor = torch.from_numpy(np.ascontiguousarray(values))
    return tensor.to(dtype) if tensor.is_floating_point() else tensor
