"""The predictor alpha * (f - f0) that a loss sees instead of the network's own logits f."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from jaxtyping import Float, Num

from grokstudy.spec.interfaces import Loss
from grokstudy.spec.trial import TrialSpec

if TYPE_CHECKING:
    from torch import Tensor


def is_scaled(spec: TrialSpec) -> bool:
    """Whether the loss sees anything but the logits."""
    return spec.model.output_scale != 1 or spec.model.subtract_start


def predictor(
    logits: Float[Tensor, "*batch outputs"], scale: Float[Tensor, ""], start: Float[Tensor, "*batch outputs"] | None
) -> Float[Tensor, "*batch outputs"]:
    """alpha * (f - f0)."""
    return (logits if start is None else logits - start) * scale


@dataclasses.dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class ScaledLoss(Loss):
    """A loss of alpha * (f - f0) as a function of f.

    Source: Chizat et al. 2019 (arXiv 1812.07956), equation 2; Kumar et al. 2024 (arXiv 2310.06110), section 3.
    """

    loss: Loss
    scale: Float[Tensor, ""]
    """alpha, in the dtype of the logits."""
    start: Float[Tensor, "*batch outputs"] | None
    """f0 of the same rows; None = nothing is subtracted."""

    def per_row(
        self, logits: Float[Tensor, "*batch outputs"], labels: Num[Tensor, "*batch"]
    ) -> Float[Tensor, " *batch"]:
        return self.loss.per_row(predictor(logits, self.scale, self.start), labels)

    def logit_gradient(
        self, logits: Float[Tensor, "*batch outputs"], labels: Num[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch outputs"]:
        return self.loss.logit_gradient(predictor(logits, self.scale, self.start), labels) * self.scale
