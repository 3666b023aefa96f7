"""Evaluation of a pack on every row of each member's task: both splits on the same weights."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from grokstudy.engine.batch import Table
from grokstudy.engine.layout import Layout
from grokstudy.spec.interfaces import Loss, Model

COLUMNS = ("train_loss", "test_loss", "train_acc", "test_acc", "sum_sq_weights", "last_layer_norm", "logit_scale")
"""Columns of a curve, in the order in which `evaluate` returns them."""
TRAIN_LOSS, TEST_LOSS, TRAIN_ACC, TEST_ACC = range(4)


@torch.no_grad()
def evaluate(
    model: Model, loss: Loss, layout: Layout, params: Float[Tensor, "members size"], table: Table
) -> Float[np.ndarray, "members columns"]:
    """The columns of one evaluation, float64; NaN where undefined (test columns without test rows).

    Members are evaluated one at a time and in memory of their own, so that nothing depends on the pack: libraries
    choose kernels by alignment.
    """
    own = torch.empty_like(params[:1])
    views = {name: view[0] for name, view in layout.views(own).items()}
    splits = torch.stack([table.train, table.test], 1)
    columns = torch.empty(len(params), len(COLUMNS), dtype=torch.float64, device=params.device)
    for lane, row in enumerate(columns):
        own.copy_(params[lane])
        logits = model.apply(views, table.inputs[lane])
        labels = table.labels[lane]
        answers = logits.max(-1).indices  # the first of equal ones, as argmax gives; a faster kernel
        per_row = torch.stack([loss.per_row(logits, labels).double(), (answers == labels).double()])
        row[:4] = _sums(per_row, splits[lane]).flatten()
        row[4] = _sum_of_squares(own)
        row[5] = _sum_of_squares(views[model.last_layer()])
        row[6] = _sum_of_squares(logits) / logits.numel()
    columns[:, :4] /= splits.sum(-1).repeat(1, 2)
    columns[:, 5:].sqrt_()  # of norm and scale
    return columns.cpu().numpy()


def _sums(
    per_row: Float[Tensor, "columns rows"], splits: Bool[Tensor, "splits rows"]
) -> Float[Tensor, "columns splits"]:
    """Sums over the rows of each split. Other rows cannot reach them, not even with inf or NaN."""
    return torch.where(splits, per_row[:, None], 0.0).sum(-1)


def _sum_of_squares(values: Tensor) -> Float[Tensor, ""]:
    flat = values.double().flatten()
    return torch.dot(flat, flat)
