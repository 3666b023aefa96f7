"""Which algorithm the network runs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import ClassVar

from grokstudy.circuits._applies import unless_classes
from grokstudy.circuits._labels import LABELS
from grokstudy.circuits._values import NO_ROWS, NOT_FINITE, known, undefined
from grokstudy.circuits.detectors._detector import detectors
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec

CONFIDENT = 0.5
"""A detector whose score is larger names the algorithm."""
LABEL = "algorithm_label"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DetectorScores(Measure):
    """How well the network fits each known algorithm, and the one that fits best.

    `detector.<name>` is a score in [0, 1], the least of the pieces of evidence that its protocol lists (see the
    detector's docstring); all have a guard or a control that untrained and memorising networks do not pass. NULL where
    the algorithm is not defined. `algorithm_label` is an index into `LABELS`: the largest score above 0.5, where clock
    and pizza, being kinds of fourier, go before it; else 0, "unknown".

    Source: each detector's own.
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = (*(f"detector.{name}" for name in detectors()), LABEL)
    default: ClassVar[bool] = False

    def applies(self, spec: TrialSpec) -> str | None:
        return unless_classes(spec)

    def measure(self, subject: Subject) -> list[MeasureValue]:
        if not len(subject.data.test):
            return [self._null(name, NO_ROWS) for name in self.names]
        reasons = {name: detector.applies(subject.spec) for name, detector in detectors().items()}
        scores = {name: detectors()[name].score(subject) for name, reason in reasons.items() if reason is None}
        values = [
            self._known(f"detector.{name}", scores[name]) if reason is None else self._null(f"detector.{name}", reason)
            for name, reason in reasons.items()
        ]
        return [*values, self._label(scores)]

    def _label(self, scores: Mapping[str, float]) -> MeasureValue:
        if any(map(math.isnan, scores.values())):
            return self._null(LABEL, NOT_FINITE)
        return self._known(LABEL, LABELS.index(label(scores)))

    def _known(self, measure: str, number: float) -> MeasureValue:
        return known(measure, number, protocol=_protocol(measure), version=self.version)

    def _null(self, measure: str, reason: str) -> MeasureValue:
        return undefined(measure, reason, protocol=_protocol(measure), version=self.version)


def label(scores: Mapping[str, float]) -> str:
    """The algorithm of the largest score above 0.5, a kind of it if that is above 0.5 too, else "unknown"."""
    sure = {name: score for name, score in scores.items() if score > CONFIDENT}
    refined = {detectors()[name].refines for name in sure}
    finest = {name: score for name, score in sure.items() if name not in refined}
    return max(finest, key=lambda name: finest[name], default=LABELS[0])


def _protocol(measure: str) -> str:
    return "labels=1" if measure == LABEL else f"least={detectors()[measure.removeprefix('detector.')].evidence}"
