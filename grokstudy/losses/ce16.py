"""Cross entropy in float16."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from jaxtyping import Bool, Float, Int

from grokstudy.losses._softmax import absorbed, subtract_one_hot
from grokstudy.spec.interfaces import Loss

if TYPE_CHECKING:
    from torch import Tensor

LARGEST = 32752.0
"""Half the largest float16: differences of logits within +-LARGEST are finite."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CrossEntropy16(Loss):
    """-log softmax over all outputs, in nats, with the logits and every intermediate result rounded to float16.

    Its smallest loss above zero is 2^-10 = 9.8e-4, and softmax collapses once the right logit leads by
    11 ln 2 = 7.6: it brings forward what `ce32` does late. Logits beyond +-32752 count as +-32752.
    Source: Prieto et al. 2025 (arXiv 2501.04697), section 3 and figure 2.
    """

    def per_row(
        self, logits: Float[Tensor, "*batch outputs"], labels: Int[Tensor, " *batch"]
    ) -> Float[Tensor, " *batch"]:
        behind = _behind_largest(logits)
        return behind.exp().sum(-1).log() - behind.gather(-1, labels[..., None]).squeeze(-1)

    def logit_gradient(
        self, logits: Float[Tensor, "*batch outputs"], labels: Int[Tensor, " *batch"]
    ) -> Float[Tensor, "*batch outputs"]:
        exponentials = _behind_largest(logits).exp()
        return subtract_one_hot(exponentials / exponentials.sum(-1, keepdim=True), labels).to(logits.dtype)

    def collapsed(self, logits: Float[Tensor, "*batch outputs"]) -> Bool[Tensor, " *batch"]:
        return absorbed(_behind_largest(logits))


def _behind_largest(logits: Float[Tensor, "*batch outputs"]) -> Float[Tensor, "*batch outputs"]:
    """Float16 logits minus their largest.

    Written out, here and above, because a library's own log_softmax is free to compute inside in float32: then nothing
    collapses before a lead of 17.
    """
    half = logits.clamp(-LARGEST, LARGEST).half()
    return half - half.amax(-1, keepdim=True)
