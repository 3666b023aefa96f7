"""Size of the weights, and how far they went."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from grokstudy.circuits._gradients import NO_START
from grokstudy.circuits._values import known, undefined
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec

PROTOCOL = "params=all"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Norms(Measure):
    """Euclidean norms of the weights w: biases, position and "=" embeddings included, every tensor counted once.

    `sum_sq_weights` = |w|^2, its `values` the sum of squares of each tensor in the model's order; `norm.last_layer`: of
    the tensor that produces the logits; `norm.ratio_to_start` = |w| / |w0|; `norm.movement` = |w - w0| / |w0|, w0 the
    weights at step 0 (small: lazy training).

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 5.1; Thilak et al. 2022 (arXiv 2206.04817), last layer; Liu et
    al. 2022 (arXiv 2210.01117), the ratio alpha; Kumar et al. 2024 (arXiv 2310.06110), movement.
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = ("sum_sq_weights", "norm.last_layer", "norm.ratio_to_start", "norm.movement")

    def applies(self, spec: TrialSpec) -> str | None:
        return None

    def measure(self, subject: Subject) -> list[MeasureValue]:
        params, last = subject.params, subject.spec.model.last_layer()
        squares = [_sum_of_squares(tensor) for tensor in params.values()]
        total = known("sum_sq_weights", sum(squares), values=squares, protocol=PROTOCOL, version=self.version)
        return [
            total,
            known("norm.last_layer", norm({last: params[last]}), protocol="params=last_layer", version=self.version),
            *self._since_start(params, subject.start),
        ]

    def _since_start(self, params: Mapping[str, Tensor], start: Mapping[str, Tensor] | None) -> list[MeasureValue]:
        if start is None:
            names = ("norm.ratio_to_start", "norm.movement")
            return [undefined(name, NO_START, protocol=PROTOCOL, version=self.version) for name in names]
        found = (
            ("norm.ratio_to_start", ratio(norm(params), norm(start))),
            ("norm.movement", ratio(norm(difference(params, start)), norm(start))),
        )
        return [known(name, number, protocol=PROTOCOL, version=self.version) for name, number in found]


def norm(params: Mapping[str, Tensor]) -> float:
    """Euclidean norm of all tensors taken together."""
    return math.sqrt(sum(map(_sum_of_squares, params.values())))


def difference(params: Mapping[str, Tensor], start: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """w - w0, tensor by tensor."""
    return {name: tensor.double() - start[name] for name, tensor in params.items()}


def ratio(length: float, start: float) -> float:
    """length / start; NaN for a start of zeros, which has no scale."""
    return length / start if start != 0 else math.nan


def _sum_of_squares(tensor: Tensor) -> float:
    return float(tensor.double().square().sum())
