"""Mean squared error against one-hot labels."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal

from jaxtyping import Float, Int

from grokstudy.spec.fields import setting
from grokstudy.spec.interfaces import Loss

if TYPE_CHECKING:
    from torch import Tensor


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MSEOneHot(Loss):
    """Squared distance of the logits to the one-hot label, averaged or summed over outputs.

    `mean` averages over outputs (Doshi et al. 2023), `sum_outputs` sums over them, `half_sum` is half of that sum
    (Kumar et al. 2024); the reduction scales the gradient by the number of outputs, so it is part of a trial.
    Source: Gromov 2023 (arXiv 2301.02679); Doshi et al. 2023 (arXiv 2310.13061).
    """

    reduction: Literal["mean", "sum_outputs", "half_sum"] = setting("mean", help="how outputs are reduced")

    def per_row(
        self, logits: Float[Tensor, "*batch outputs"], labels: Int[Tensor, " *batch"]
    ) -> Float[Tensor, " *batch"]:
        return self._residual(logits, labels).double().square().sum(-1) * self._factor(logits.shape[-1])

    def logit_gradient(
        self, logits: Float[Tensor, "*batch outputs"], labels: Int[Tensor, " *batch"]
    ) -> Float[Tensor, "*batch outputs"]:
        return self._residual(logits, labels).mul_(2 * self._factor(logits.shape[-1]))

    def _residual(self, logits: Tensor, labels: Tensor) -> Tensor:
        return logits.scatter_add(-1, labels[..., None], logits.new_full((*labels.shape, 1), -1.0))

    def _factor(self, outputs: int) -> float:
        return {"mean": 1 / outputs, "sum_outputs": 1.0, "half_sum": 0.5}[self.reduction]
