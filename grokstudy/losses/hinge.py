"""Multi-class hinge loss."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from jaxtyping import Float, Int

from grokstudy.spec.interfaces import Loss

if TYPE_CHECKING:
    from torch import Tensor


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Hinge(Loss):
    """max(0, 1 + max_{j != y} z_j - z_y): zero once the right logit leads every other by 1, computed in float64.

    With two outputs this is the hinge loss max(0, 1 - t f) of the margin f = z_1 - z_0 with t = +-1.
    The gradient is -1 at the label and +1 at the largest other output (the first of equal ones), or zero.
    Source: Crammer & Singer 2001 (JMLR 2), section 3; Merrill et al. 2023 (arXiv 2303.11873), for two classes.
    """

    def per_row(
        self, logits: Float[Tensor, "*batch outputs"], labels: Int[Tensor, " *batch"]
    ) -> Float[Tensor, " *batch"]:
        return (1 + _others(logits, labels).amax(-1) - _right(logits, labels)).relu()

    def logit_gradient(
        self, logits: Float[Tensor, "*batch outputs"], labels: Int[Tensor, " *batch"]
    ) -> Float[Tensor, "*batch outputs"]:
        import torch

        rival = _others(logits, labels).max(-1)
        short = (1 + rival.values - _right(logits, labels) > 0).to(logits.dtype)[..., None]
        gradient = torch.zeros_like(logits).scatter_add(-1, rival.indices[..., None], short)
        return gradient.scatter_add(-1, labels[..., None], -short)


def _right(logits: Float[Tensor, "*batch outputs"], labels: Int[Tensor, " *batch"]) -> Float[Tensor, " *batch"]:
    return logits.double().gather(-1, labels[..., None]).squeeze(-1)


def _others(logits: Float[Tensor, "*batch outputs"], labels: Int[Tensor, " *batch"]) -> Float[Tensor, "*batch outputs"]:
    """The logits with -inf at the label."""
    return logits.double().scatter(-1, labels[..., None], -float("inf"))
