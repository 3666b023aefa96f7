"""Dropout at the model's own sites."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from jaxtyping import Float

from grokstudy.spec.errors import BadInput
from grokstudy.spec.interfaces import Regularizer
from grokstudy.spec.trial import TrialSpec, plugin_name

if TYPE_CHECKING:
    from torch import Tensor


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Dropout(Regularizer):
    """Zeroes this share of activations at random in every update; the rest is divided by 1 - dropout.

    Masks are drawn anew for every row, site and update from seeds.noise; evaluations drop nothing.
    Source: Srivastava et al. 2014 (JMLR 15), section 10 (scaled while training).
    """

    exact_at_zero: ClassVar[bool] = False  # a pack with dropout derives its gradient in another way

    def check(self, spec: TrialSpec, strength: float) -> None:
        if strength >= 1:
            raise BadInput(f"regularization.dropout: got {strength}, a share of activations must be < 1.")
        if not spec.model.dropout_sites(spec.task.shape()):
            raise BadInput(
                f"regularization.dropout: got {strength}, but model={plugin_name(spec.model)} has no place to drop "
                "activations at with these settings; set it to 0."
            )

    def drop_rate(self, strength: Float[Tensor, "members 1"]) -> Float[Tensor, "members 1"]:
        return strength
