"""Evaluation of a pack on every row of each member's task: both splits on the same weights."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from grokstudy.engine.batch import PackData, Tables
from grokstudy.engine.layout import Layout
from grokstudy.engine.scaled import predictor
from grokstudy.spec.interfaces import Loss

COLUMNS = (
    *("train_loss", "test_loss", "train_acc", "test_acc", "sum_sq_weights", "last_layer_norm", "logit_scale"),
    *("train_acc_clean", "train_acc_corrupted", "softmax_collapse", "zero_loss"),
)
"""Columns of a curve, in the order in which `Evaluation` returns them; then `SLICE_COLUMNS` of every slice."""
TRAIN_LOSS, TEST_LOSS, TRAIN_ACC, TEST_ACC, SUM_SQ, LAST_NORM, LOGIT_SCALE, CLEAN, CORRUPTED, COLLAPSE, ZERO = range(11)
SLICE_COLUMNS = ("train_loss", "test_loss", "train_acc", "test_acc")
"""What is evaluated of every slice of a task."""
CHUNK_BYTES = 1 << 18
"""Logits read together: element-wise work on more members at a time falls out of the cache."""
MAY_COLLAPSE = 7.0
"""Smallest loss of a wrong answer whose softmax has collapsed: in float16 the gap is 7.6, in others larger (Prieto et
al. 2025)."""


class Evaluation:
    """Evaluates the members of one pack.

    Logits are computed one member at a time and in memory of its own, and so are all sums: libraries choose kernels by
    alignment. Only element-wise work is shared, so nothing depends on the pack.
    """

    def __init__(self, layout: Layout, data: PackData) -> None:
        self._model, self._loss = data.specs[0].model, data.specs[0].loss
        self._layout, self._tables = layout, data.tables
        self._last = next(
            slice(start, start + size) for name, start, size in layout.places() if name == self._model.last_layer()
        )
        self._has_softmax = self._loss.collapsed(torch.zeros(1, 2, dtype=data.dtype, device=data.device)) is not None
        self._forward = data.forward

    @torch.no_grad()
    def __call__(self, params: Float[Tensor, "members size"]) -> Float[np.ndarray, "members columns"]:
        """The columns of one evaluation, float64; NaN where undefined (test columns without test rows)."""
        own = torch.empty_like(params[:1])
        views = {name: view[0] for name, view in self._layout.views(own).items()}
        width = len(COLUMNS) + len(SLICE_COLUMNS) * self._tables.slices
        columns = torch.full((len(params), width), torch.nan, dtype=torch.float64, device=params.device)
        chunk: list[Tensor] = []
        for lane in range(len(params)):
            own.copy_(params[lane])
            chunk.append(self._forward(views, self._tables.inputs[lane]))
            columns[lane, SUM_SQ] = _sum_of_squares(own)
            columns[lane, LAST_NORM] = _sum_of_squares(own[0, self._last])
            columns[lane, LOGIT_SCALE] = _sum_of_squares(chunk[-1]) / chunk[-1].numel()
            full = (len(chunk) + 1) * chunk[-1].numel() * chunk[-1].element_size() > CHUNK_BYTES
            if full or lane == len(params) - 1:
                lanes = slice(lane + 1 - len(chunk), lane + 1)
                _fill(columns[lanes], torch.stack(chunk), _part(self._tables, lanes), self._loss, self._has_softmax)
                chunk = []
        columns[:, LAST_NORM : LOGIT_SCALE + 1].sqrt_()  # of norm and scale
        columns.masked_fill_(columns.isnan(), torch.nan)  # one NaN only: 0 / 0 has another sign
        return columns.cpu().numpy()


def _part(tables: Tables, lanes: slice) -> Tables:
    """Some of the members."""
    per_member: dict[str, Any] = {
        field.name: value[lanes]
        for field in dataclasses.fields(tables)
        if isinstance(value := getattr(tables, field.name), (Tensor, tuple))
    }
    return dataclasses.replace(tables, **per_member)


def _fill(
    columns: Float[Tensor, "members columns"],
    logits: Float[Tensor, "members rows *answers outputs"],
    tables: Tables,
    loss: Loss,
    has_softmax: bool,
) -> None:
    """Everything that is read off the logits."""
    if tables.scale is not None:
        logits = predictor(logits, tables.scale.reshape(-1, *[1] * (logits.ndim - 1)), tables.start)
    losses, right = loss.per_row(logits, tables.labels), _right(logits, tables)
    wide, all_right = losses.double(), _every(right)
    split_counts = tables.splits.sum(-1)
    train = tables.splits[:, 0]
    per_row = torch.stack([_row_losses(wide, tables), all_right.double()], 1)
    columns[:, :4] = (_sums(per_row, tables.splits) / split_counts[:, None]).flatten(1)
    columns[:, ZERO] = _share(_every(losses == 0), train)
    if has_softmax:
        columns[:, COLLAPSE] = _collapsed(loss, logits, losses, right, train)
    if tables.corrupted is not None:
        columns[:, CLEAN] = _share(all_right, train & ~tables.corrupted)
        columns[:, CORRUPTED] = _share(all_right, tables.corrupted)
        columns[~tables.corrupted.any(1), CLEAN] = torch.nan  # of a packmate with right labels only
    if tables.slice_of is not None:
        columns[:, len(COLUMNS) :] = _slices(wide, right, tables)


def _right(
    logits: Float[Tensor, "members rows *answers outputs"], tables: Tables
) -> Bool[Tensor, "members rows *answers"]:
    """Whether each answer is right."""
    if tables.labels.is_floating_point():
        off = (logits - tables.labels).abs().amax(-1)
        return off < tables.tolerance.reshape(-1, *[1] * (off.ndim - 1))
    return logits.max(-1).indices == tables.labels  # the first of equal ones, as argmax gives; a faster kernel


def _every(right: Bool[Tensor, "members rows *answers"]) -> Bool[Tensor, "members rows"]:
    """A row is right if all of its answers are."""
    return right if right.ndim == 2 else right.all(-1)


def _row_losses(losses: Float[Tensor, "members rows *answers"], tables: Tables) -> Float[Tensor, "members rows"]:
    """Loss of each row such that its mean over the train rows is the loss trained on: answers weigh as in training."""
    if tables.weights is None:
        return losses if losses.ndim == 2 else losses.mean(-1)
    weighted, weights = losses * tables.weights, tables.weights
    if losses.ndim == 3:
        weighted, weights = weighted.sum(-1), weights.sum(-1)
    train = tables.splits[:, 0]
    return weighted / (torch.where(train, weights, 0.0).sum(-1) / train.sum(-1))[:, None]


def _collapsed(
    loss: Loss,
    logits: Float[Tensor, "members rows *answers outputs"],
    losses: Float[Tensor, "members rows *answers"],
    right: Bool[Tensor, "members rows *answers"],
    train: Bool[Tensor, "members rows"],
) -> Float[Tensor, " members"]:
    """Share of train answers whose softmax has collapsed.

    Where the answer is right the loss itself tells: it is zero if and only if the other outputs are absorbed. Where it
    is wrong, only a large loss can be meant.
    """
    among = train.reshape(*train.shape, *[1] * (right.ndim - 2)).expand_as(right)
    found = (losses == 0) & right & among
    unsure = among & ~right & (losses > MAY_COLLAPSE)
    if unsure.any():
        collapsed = loss.collapsed(logits[unsure])
        assert collapsed is not None
        found[unsure] = collapsed
    return _share(found.flatten(1), among.flatten(1))


def _slices(
    losses: Float[Tensor, "members rows *answers"], right: Bool[Tensor, "members rows *answers"], tables: Tables
) -> Float[Tensor, "members slice_columns"]:
    """Mean loss and accuracy of every slice in both splits, slice by slice."""
    assert tables.slice_of is not None
    out = []
    for part in range(tables.slices):
        for values in (losses, right.double()):
            for split in (0, 1):
                mask = tables.splits[:, split].reshape(*losses.shape[:2], *[1] * (losses.ndim - 2))
                inside = (tables.slice_of == part) & mask
                kept = torch.where(inside, values, 0.0).flatten(1)
                out.append(torch.stack([lane.sum() for lane in kept]) / inside.flatten(1).sum(1))
    return torch.stack(out, 1)


def _sums(
    per_row: Float[Tensor, "members columns rows"], splits: Bool[Tensor, "members splits rows"]
) -> Float[Tensor, "members columns splits"]:
    """Sums over the rows of each split. Other rows cannot reach them, not even with inf or NaN."""
    kept = torch.where(splits[:, None], per_row[:, :, None], 0.0)
    return torch.stack([lane.sum(-1) for lane in kept])


def _share(true: Bool[Tensor, "members rows"], of: Bool[Tensor, "members rows"]) -> Float[Tensor, " members"]:
    return (true & of).sum(-1).double() / of.sum(-1)


def _sum_of_squares(values: Tensor) -> Float[Tensor, ""]:
    flat = values.double().flatten()
    return torch.dot(flat, flat)
