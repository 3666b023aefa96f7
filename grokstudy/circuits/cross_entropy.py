"""Loss and accuracy over the p answers."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from grokstudy.circuits import _network as read
from grokstudy.circuits._applies import unless_modular
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
    answers.

    Source: Nanda et al. 2023 (arXiv 2301.05217), whose analysis drops the "=" output; Power et al. 2022 (arXiv
    2201.02177).
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = (
        "logit_scale",
        "ce_train",
        "acc_train",
        "ce_test",
        "acc_test",
        "ce_all",
        "acc_all",
    )

    def applies(self, spec: TrialSpec) -> str | None:
        return unless_modular(spec)

    def measure(self, subject: Subject) -> list[MeasureValue]:
        net = read.network(subject)
        values = [self._value("logit_scale", float(net.logits.square().mean().sqrt()))]
        for name, split in net.splits():
            if len(split.rows) == 0:
                missing = (f"ce_{name}", f"acc_{name}")
                values += [undefined(one, NO_ROWS, protocol=PROTOCOL, version=self.version) for one in missing]
                continue
            loss = read.cross_entropy(net.logits, split)
            values.append(self._value(f"ce_{name}", loss))
            # argmax of NaN is an index like any other: where the loss is undefined, so is the accuracy.
            values.append(self._value(f"acc_{name}", read.accuracy(net.logits, split) if loss == loss else loss))
        return values

    def _value(self, name: str, number: float) -> MeasureValue:
        return known(name, number, protocol=PROTOCOL, version=self.version)
