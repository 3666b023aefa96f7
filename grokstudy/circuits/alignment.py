"""Whether descent does nothing but scale the weights up."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from grokstudy.circuits._gradients import NO_GRADIENT, TrainLoss, flat, unless_start
from grokstudy.circuits._values import NOT_FINITE, known, undefined
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec

PROTOCOL = "loss=own;rows=train"
ZERO = "zero_weights"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Alignment(Measure):
    """Cosine between the descent direction -g and the weights w, g the gradient of the trial's loss on all train rows.

    `nlm_alignment` = <-g, w> / (|g| |w|) over all parameters: 1 if a step only scales the network up (naive loss
    minimization), negative if it shrinks it. `nlm_alignment.last_layer`: of the tensor that produces the logits.
    `gradient_norm` = |g|. Regularization is no part of g. Where g is exactly zero there is no direction: NULL.

    Source: Prieto et al. 2025 (arXiv 2501.04697), section 4.
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = ("nlm_alignment", "nlm_alignment.last_layer", "gradient_norm")
    default: ClassVar[bool] = False

    def applies(self, spec: TrialSpec) -> str | None:
        return None

    def measure(self, subject: Subject) -> list[MeasureValue]:
        if reason := unless_start(subject):
            return [undefined(name, reason, protocol=PROTOCOL, version=self.version) for name in self.names]
        problem, w = TrainLoss.of(subject), flat(subject.params)
        _, g = problem.loss_and_gradient(w)
        last = subject.spec.model.last_layer()
        last_g, last_w = problem.views(g)[last].flatten(), problem.views(w)[last].flatten()
        return [
            self._cosine("nlm_alignment", -g, w),
            self._cosine("nlm_alignment.last_layer", -last_g, last_w),
            known("gradient_norm", float(g.norm()), protocol=PROTOCOL, version=self.version),
        ]

    def _cosine(self, name: str, step: Float[Tensor, " n"], w: Float[Tensor, " n"]) -> MeasureValue:
        if not bool(step.any()):
            return undefined(name, NO_GRADIENT, protocol=PROTOCOL, version=self.version)
        why = NOT_FINITE if bool(w.any()) else ZERO
        return known(name, cosine(step, w), protocol=PROTOCOL, version=self.version, otherwise=why)


def cosine(x: Float[Tensor, " n"], y: Float[Tensor, " n"]) -> float:
    """Cosine of the angle between two vectors; NaN if one of them is zero.

    Scaled to a largest entry of 1 first: gradients of 1e-200 exist late in training, and their squares do not.
    """
    x, y = x / x.abs().max(), y / y.abs().max()
    return float(x @ y / (x.norm() * y.norm()))
