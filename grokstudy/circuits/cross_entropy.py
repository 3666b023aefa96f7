"""Loss and accuracy over the p answers."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

from grokstudy.circuits._applies import unless_classes
from grokstudy.circuits._network import Network, accuracies, losses, network
from grokstudy.circuits._values import NO_ROWS, known, undefined
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec

PROTOCOL = "classes=answers"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CrossEntropy(Measure):
    """Cross entropy (nats, float64) and accuracy on train, test and all rows over the p answers, and the logits' size.

    Curves use the trial's own loss over all outputs; these numbers are comparable between models and losses. Train rows
    are judged by the labels trained on, the others by clean labels. `logit_scale` is the root mean square over rows and
    answers, `logit_std` the standard deviation, `uniform_loss` = ln p the loss of equal logits: read losses of ablated
    networks beside these two.

    Source: Nanda et al. 2023 (arXiv 2301.05217), whose analysis drops the "=" output; Power et al. 2022 (arXiv
    2201.02177).
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = (
        "logit_scale",
        "logit_std",
        "uniform_loss",
        "ce_train",
        "acc_train",
        "ce_test",
        "acc_test",
        "ce_all",
        "acc_all",
    )

    def applies(self, spec: TrialSpec) -> str | None:
        return unless_classes(spec)

    def measure(self, subject: Subject) -> list[MeasureValue]:
        net = network(subject)
        loss, right = losses(net, net.logits), accuracies(net, net.logits)
        values = self._size(net)
        for name, split in net.splits():
            if len(split.rows) == 0:
                missing = (f"ce_{name}", f"acc_{name}")
                values += [undefined(one, NO_ROWS, protocol=PROTOCOL, version=self.version) for one in missing]
            else:
                values += [self._value(f"ce_{name}", loss[name]), self._value(f"acc_{name}", right[name])]
        return values

    def _size(self, net: Network) -> list[MeasureValue]:
        square, mean = float(net.logits.square().mean()), float(net.logits.mean())
        return [
            self._value("logit_scale", math.sqrt(square)),
            self._value("logit_std", math.sqrt(float((net.logits - mean).square_().mean()))),
            self._value("uniform_loss", math.log(net.p) if math.isfinite(square) else math.nan),
        ]

    def _value(self, name: str, number: float) -> MeasureValue:
        return known(name, number, protocol=PROTOCOL, version=self.version)
