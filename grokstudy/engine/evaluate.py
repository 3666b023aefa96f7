"""Evaluation of a pack on every row of each member's task: both splits on the same weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from grokstudy.engine.batch import Table
from grokstudy.engine.layout import Layout
from grokstudy.spec.interfaces import Loss, Model

COLUMNS = ("train_loss", "test_loss", "train_acc", "test_acc", "sum_sq_weights", "last_layer_norm", "logit_scale")
"""Columns of a curve, in the order in which `evaluate` returns them."""
TRAIN_LOSS, TEST_LOSS, TRAIN_ACC, TEST_ACC = range(4)


def evaluate(
    model: Model, loss: Loss, layout: Layout, params: Float[Tensor, "members size"], table: Table
) -> Float[np.ndarray, "members columns"]:
    """The columns of one evaluation, float64; NaN where undefined (test columns without test rows).

    Members are evaluated one at a time, so that nothing depends on the pack.
    """
    return np.stack([_member(model, loss, layout, params[i : i + 1], table, i) for i in range(len(params))])


@torch.no_grad()
def _member(
    model: Model, loss: Loss, layout: Layout, params: Float[Tensor, "1 size"], table: Table, lane: int
) -> Float[np.ndarray, " columns"]:
    views: Mapping[str, Tensor] = {name: view[0] for name, view in layout.views(params).items()}
    logits = model.apply(views, table.inputs[lane])
    labels = table.labels[lane]
    losses = loss.per_row(logits, labels)
    right = logits.argmax(-1) == labels
    squares = params.double().square().sum()
    values = [
        _mean(losses, table.train[lane]),
        _mean(losses, table.test[lane]),
        _mean(right.double(), table.train[lane]),
        _mean(right.double(), table.test[lane]),
        squares,
        views[model.last_layer()].double().square().sum().sqrt(),
        logits.double().square().mean().sqrt(),
    ]
    return torch.stack(values).cpu().numpy()


def _mean(values: Float[Tensor, " rows"], mask: Tensor) -> Tensor:
    """Mean over the rows of the mask; NaN if there are none. Other rows cannot reach it, not even with inf or NaN."""
    return torch.where(mask, values, 0.0).sum() / mask.sum()
