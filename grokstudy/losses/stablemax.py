"""StableMax cross entropy: softmax without the exponential."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from jaxtyping import Float, Int

from grokstudy.losses._softmax import cross_entropy, softmax_minus_one_hot
from grokstudy.spec.interfaces import Loss

if TYPE_CHECKING:
    from torch import Tensor


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StableMax(Loss):
    """-log(s(z_y) / sum_j s(z_j)) with s(x) = x + 1 for x >= 0 and 1 / (1 - x) below, in nats and float64.

    log s(x) = sign(x) log(1 + |x|), so this is the cross entropy of softmax on logits that grow like logarithms:
    no output ever absorbs the others.
    Source: Prieto et al. 2025 (arXiv 2501.04697), StableMax, and its repository.
    """

    def per_row(
        self, logits: Float[Tensor, "*batch outputs"], labels: Int[Tensor, " *batch"]
    ) -> Float[Tensor, " *batch"]:
        return cross_entropy(_log_s(logits.double()), labels)

    def logit_gradient(
        self, logits: Float[Tensor, "*batch outputs"], labels: Int[Tensor, " *batch"]
    ) -> Float[Tensor, "*batch outputs"]:
        wide = logits.double()
        return softmax_minus_one_hot(_log_s(wide), labels).div_(1 + wide.abs()).to(logits.dtype)


def _log_s(x: Float[Tensor, "*batch outputs"]) -> Float[Tensor, "*batch outputs"]:
    """sign(x) log(1 + |x|), written so that automatic differentiation has its slope 1 at 0 too."""
    import torch

    return torch.where(x >= 0, x.clamp(min=0).log1p(), -(-x).clamp(min=0).log1p())
