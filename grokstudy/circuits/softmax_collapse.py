"""Where softmax is out of digits."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import torch
from jaxtyping import Bool
from torch import Tensor

from grokstudy.circuits._gradients import TrainLoss, unless_start
from grokstudy.circuits._values import NOT_FINITE, known, undefined
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec

NO_SOFTMAX = "no_softmax"
PROTOCOL = "rows=train;precision=loss"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SoftmaxCollapse(Measure):
    """Share of train answers that softmax collapse and exact zeros have taken out of training.

    `softmax_collapse`: answers where sum_j exp(z_j - max z) rounds to 1 in the precision of the trial's own loss, z the
    logits that this loss reads (all outputs, times alpha): their gradient is exactly zero where the largest output is
    the right one. NULL for a loss without a softmax. `zero_terms`: rows all of whose answers
    have a loss of exactly zero, of any loss.

    A run that never generalises while the share goes to 1 is an artefact of arithmetic, not a phase.

    Source: Prieto et al. 2025 (arXiv 2501.04697), section 3.
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = ("softmax_collapse", "zero_terms")
    default: ClassVar[bool] = False

    def applies(self, spec: TrialSpec) -> str | None:
        return None

    def measure(self, subject: Subject) -> list[MeasureValue]:
        if reason := unless_start(subject):
            return self._nothing(reason)
        problem = TrainLoss.of(subject)
        with torch.no_grad():
            seen = problem.seen(subject.params)
        if not bool(seen.isfinite().all()):
            return self._nothing(NOT_FINITE)
        collapsed = problem.loss.collapsed(seen)
        zero = (problem.loss.per_row(seen, problem.labels) == 0).reshape(len(seen), -1).all(dim=1)
        return [
            undefined("softmax_collapse", NO_SOFTMAX, protocol=PROTOCOL, version=self.version)
            if collapsed is None
            else known("softmax_collapse", share(collapsed), protocol=PROTOCOL, version=self.version),
            known("zero_terms", share(zero), protocol=PROTOCOL, version=self.version),
        ]

    def _nothing(self, reason: str) -> list[MeasureValue]:
        return [undefined(name, reason, protocol=PROTOCOL, version=self.version) for name in self.names]


def share(true: Bool[Tensor, "*any"]) -> float:
    return float(true.double().mean())
