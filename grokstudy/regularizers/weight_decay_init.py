"""Decoupled decay towards the weights at the start."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from jaxtyping import Float

from grokstudy.spec.interfaces import Regularizer

if TYPE_CHECKING:
    from torch import Tensor


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WeightDecayInit(Regularizer):
    """theta -= lr_now * weight_decay_init * (theta - theta_start) on every tensor, before the optimizer's update.

    theta_start = the weights that training started from: drawn, or those of the parent in a fork.
    Source: Li et al. 2018, L2-SP (arXiv 1802.01483), here decoupled; Power et al. 2022 (arXiv 2201.02177).
    """

    exact_at_zero: ClassVar[bool] = False  # 0 * (inf - theta_start) is not a number
    needs_start: ClassVar[bool] = True

    def decay(
        self,
        params: Float[Tensor, "members size"],
        start: Float[Tensor, "members size"] | None,
        lr: Float[Tensor, "members 1"],
        strength: Float[Tensor, "members 1"],
    ) -> None:
        assert start is not None
        params.sub_((params - start).mul_((lr * strength).to(params.dtype)))
