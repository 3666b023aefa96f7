"""Whether one rule explains the logits of rows that were not trained on."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokstudy.circuits._network import Network


def held_out_fve(net: Network, cell: Int[Tensor, "rows p"]) -> float:
    """Share of the test rows' logit variance explained by the mean logit of each cell over the train rows.

    A cell is a set of (row, class) that a rule treats alike, numbered from 0. Means of rows, which softmax ignores, are
    removed first. What is memorised explains nothing here. 0 if the test logits are constant, or explained worse than
    by nothing.
    """
    centred = net.logits - net.logits.mean(dim=1, keepdim=True)
    means = cell_means(centred[net.train.rows], cell[net.train.rows], int(cell.max()) + 1)
    seen = centred[net.test.rows]
    residual = seen - means[cell[net.test.rows]]
    variance = float((seen**2).sum())
    return max(0.0, 1 - float((residual**2).sum()) / variance) if variance > 0 else 0.0


def cell_means(logits: Float[Tensor, "rows p"], cell: Int[Tensor, "rows p"], cells: int) -> Float[Tensor, " cells"]:
    """Mean logit of each cell; 0 where it is empty."""
    sums = torch.zeros(cells, dtype=logits.dtype).index_add_(0, cell.flatten(), logits.flatten())
    return sums / torch.bincount(cell.flatten(), minlength=cells).clamp(min=1)
