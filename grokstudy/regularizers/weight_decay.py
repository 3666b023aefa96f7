"""Decoupled weight decay."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from jaxtyping import Float

from grokstudy.spec.interfaces import Regularizer

if TYPE_CHECKING:
    from torch import Tensor


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WeightDecay(Regularizer):
    """theta -= lr_now * weight_decay * theta on every tensor, before the optimizer's update.

    Source: Loshchilov & Hutter 2019 (arXiv 1711.05101).
    """

    exact_at_zero: ClassVar[bool] = True  # multiplies by exactly 1

    def energy(
        self, params: Float[Tensor, "members size"], strength: Float[Tensor, "members 1"]
    ) -> Float[Tensor, "members 1"]:
        """As a term of the energy it is what plain gradient descent makes of it: half the sum of squares."""
        return params.double().square().sum(1, keepdim=True) * strength / 2

    def decay(
        self,
        params: Float[Tensor, "members size"],
        start: Float[Tensor, "members size"] | None,
        lr: Float[Tensor, "members 1"],
        strength: Float[Tensor, "members 1"],
    ) -> None:
        params.mul_((1 - lr * strength).to(params.dtype))
