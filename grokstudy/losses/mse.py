"""Mean squared error against real targets."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal

from jaxtyping import Float

from grokstudy.spec.errors import BadInput
from grokstudy.spec.fields import setting
from grokstudy.spec.interfaces import Loss, Shape

if TYPE_CHECKING:
    from torch import Tensor


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MSE(Loss):
    """Squared distance of the outputs to a real target, averaged or summed over outputs; for regression.

    `mean` averages over outputs, `sum_outputs` sums over them, `half_sum` is half of that sum, as in `mse_onehot`; the
    reduction scales the gradient, so it is part of a trial.
    Source: Liu et al. 2022, Omnigrok (arXiv 2210.01117), the teacher-student setup.
    """

    reduction: Literal["mean", "sum_outputs", "half_sum"] = setting("mean", help="how outputs are reduced")

    def check(self, shape: Shape) -> None:
        if not shape.real_targets:
            raise BadInput("loss: mse wants real targets, and this task has classes. Use loss=mse_onehot.")

    def per_row(
        self, logits: Float[Tensor, "*batch outputs"], labels: Float[Tensor, "*batch outputs"]
    ) -> Float[Tensor, " *batch"]:
        return (logits.double() - labels).square().sum(-1) * self._factor(logits.shape[-1])

    def logit_gradient(
        self, logits: Float[Tensor, "*batch outputs"], labels: Float[Tensor, "*batch outputs"]
    ) -> Float[Tensor, "*batch outputs"]:
        return (logits - labels.to(logits.dtype)) * (2 * self._factor(logits.shape[-1]))

    def _factor(self, outputs: int) -> float:
        return {"mean": 1 / outputs, "sum_outputs": 1.0, "half_sum": 0.5}[self.reduction]
