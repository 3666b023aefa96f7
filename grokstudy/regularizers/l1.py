"""The sum of absolute weights: a term of the loss."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from jaxtyping import Float

from grokstudy.spec.interfaces import Regularizer

if TYPE_CHECKING:
    from torch import Tensor


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class L1(Regularizer):
    """Adds l1 * sum of absolute values of all weights to the loss; its subgradient is l1 * sign, zero at zero.

    Source: Tibshirani 1996 (the lasso); on grokking: Nanda et al. 2023 (arXiv 2301.05217).
    """

    exact_at_zero: ClassVar[bool] = False  # -0.0 + 0 * sign loses the sign of zero

    def gradient(self, params: Tensor, strength: Float[Tensor, "members 1"]) -> Tensor | None:
        return params.sign() * strength.to(params.dtype)

    def energy(
        self, params: Float[Tensor, "members size"], strength: Float[Tensor, "members 1"]
    ) -> Float[Tensor, "members 1"]:
        return params.double().abs().sum(1, keepdim=True) * strength
