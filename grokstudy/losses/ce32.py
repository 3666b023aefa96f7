"""Cross entropy in float32."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from jaxtyping import Bool, Float, Int

from grokstudy.losses._softmax import absorbed, cross_entropy, softmax_minus_one_hot
from grokstudy.spec.interfaces import Loss

if TYPE_CHECKING:
    from torch import Tensor


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CrossEntropy32(Loss):
    """-log softmax over all outputs, in nats, computed in float32 whatever the weights' precision.

    What most code trains on. Its smallest loss above zero is 2^-23 = 1.2e-7, and softmax collapses once the right
    logit leads by 24 ln 2 = 16.6: for studies of what that does to late generalisation. Use `ce64` otherwise.
    Source: Nanda et al. 2023, appendix A; Prieto et al. 2025 (arXiv 2501.04697), section 3.
    """

    def per_row(
        self, logits: Float[Tensor, "*batch outputs"], labels: Int[Tensor, " *batch"]
    ) -> Float[Tensor, " *batch"]:
        return cross_entropy(logits.float(), labels)

    def logit_gradient(
        self, logits: Float[Tensor, "*batch outputs"], labels: Int[Tensor, " *batch"]
    ) -> Float[Tensor, "*batch outputs"]:
        return softmax_minus_one_hot(logits.float(), labels).to(logits.dtype)

    def collapsed(self, logits: Float[Tensor, "*batch outputs"]) -> Bool[Tensor, " *batch"]:
        return absorbed(logits.float())
