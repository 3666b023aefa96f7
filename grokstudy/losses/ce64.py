"""Cross entropy in float64."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from jaxtyping import Bool, Float, Int

from grokstudy.losses._softmax import absorbed, cross_entropy, softmax_minus_one_hot
from grokstudy.spec.interfaces import Loss

if TYPE_CHECKING:
    from torch import Tensor


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CrossEntropy64(Loss):
    """-log softmax over all outputs, in nats, computed in float64 whatever the weights' precision.

    In float32 log softmax has a floor of about 1e-7 and its gradient vanishes early (softmax collapse), which stops
    late generalisation by itself.
    Source: Nanda et al. 2023, appendix A; Prieto et al. 2025 (arXiv 2501.04697), section 3.
    """

    def per_row(
        self, logits: Float[Tensor, "*batch outputs"], labels: Int[Tensor, " *batch"]
    ) -> Float[Tensor, " *batch"]:
        return cross_entropy(logits.double(), labels)

    def logit_gradient(
        self, logits: Float[Tensor, "*batch outputs"], labels: Int[Tensor, " *batch"]
    ) -> Float[Tensor, "*batch outputs"]:
        return softmax_minus_one_hot(logits.double(), labels).to(logits.dtype)

    def collapsed(self, logits: Float[Tensor, "*batch outputs"]) -> Bool[Tensor, " *batch"]:
        return absorbed(logits.double())
