"""Weights held on a sphere."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, ClassVar

from jaxtyping import Float

from grokstudy.spec.interfaces import Regularizer

if TYPE_CHECKING:
    from torch import Tensor


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Norm(Regularizer):
    """Rescales all weights after every update to `norm` times the Euclidean norm that training started with.

    One norm over all tensors. With init.scale alpha and norm 1 the weights stay at alpha times the usual start.
    Source: Liu et al. 2023, Omnigrok (arXiv 2210.01117); repository KindXiaoming/Omnigrok.
    """

    exact_at_zero: ClassVar[bool] = False  # 0 stands for no constraint, not for a sphere of radius 0
    needs_start: ClassVar[bool] = True

    def project(
        self,
        params: Float[Tensor, "members size"],
        start: Float[Tensor, "members size"] | None,
        strength: Float[Tensor, "members 1"],
    ) -> None:
        assert start is not None
        # Member by member in memory of its own, as libraries choose kernels of a sum by alignment; in float64, so that
        # only the weights themselves are rounded.
        for lane in range(len(params)):
            weights = params[lane].double().clone()
            params[lane] = weights * (strength[lane] * _length(start[lane].double().clone()) / _length(weights))


def _length(weights: Float[Tensor, " size"]) -> Float[Tensor, ""]:
    return weights.dot(weights).sqrt()
