"""Coupled weight decay: a term of the loss."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from jaxtyping import Float

from grokstudy.spec.interfaces import Regularizer

if TYPE_CHECKING:
    from torch import Tensor


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class L2(Regularizer):
    """Adds (l2 / 2) * sum of squares of all weights to the loss, so its gradient passes through the optimizer.

    Source: Loshchilov & Hutter 2019 (arXiv 1711.05101), section 2 ("L2 regularization").
    """

    exact_at_zero: ClassVar[bool] = False  # -0.0 + 0 * theta loses the sign of zero

    def gradient(self, params: Tensor, strength: Float[Tensor, "members 1"]) -> Tensor | None:
        return params * strength.to(params.dtype)

    def energy(
        self, params: Float[Tensor, "members size"], strength: Float[Tensor, "members 1"]
    ) -> Float[Tensor, "members 1"]:
        return params.double().square().sum(1, keepdim=True) * strength / 2
