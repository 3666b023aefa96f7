"""How sharply the loss bends along the direction of descent."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from grokstudy.circuits._gradients import NO_GRADIENT, TrainLoss, flat, unless_start
from grokstudy.circuits._values import known, undefined
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec

PROTOCOL = "loss=own;rows=train;along=gradient"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Curvature(Measure):
    """Second derivative of the trial's loss on all train rows along its gradient, per unit of squared length.

    `curvature.gradient` = g^T H g / |g|^2, H the Hessian. Plain gradient descent overshoots along g once it exceeds
    2 / lr: there a slingshot starts. The gradient stands for the update, as an adaptive optimizer's own direction is
    not kept in a checkpoint. In a loss computed in float16 or float32 second derivatives have that precision too.

    Source: Thilak et al. 2022, the slingshot mechanism (arXiv 2206.04817), section 3.
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = ("curvature.gradient",)
    default: ClassVar[bool] = False

    def applies(self, spec: TrialSpec) -> str | None:
        return None

    def measure(self, subject: Subject) -> list[MeasureValue]:
        (name,) = self.names
        if reason := unless_start(subject):
            return [undefined(name, reason, protocol=PROTOCOL, version=self.version)]
        problem, w = TrainLoss.of(subject), flat(subject.params)
        _, g = problem.loss_and_gradient(w)
        if not bool(g.any()):
            return [undefined(name, NO_GRADIENT, protocol=PROTOCOL, version=self.version)]
        return [known(name, curvature(problem, w, g), protocol=PROTOCOL, version=self.version)]


def curvature(problem: TrainLoss, w: Float[Tensor, " size"], u: Float[Tensor, " size"]) -> float:
    """u^T H u / |u|^2."""
    unit = u / u.norm()
    return float(unit @ problem.curvature_along(w, unit))
