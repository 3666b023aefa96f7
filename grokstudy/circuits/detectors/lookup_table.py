"""Memorised answers."""

from __future__ import annotations

from typing import ClassVar

from grokstudy.circuits._applies import unless_classes
from grokstudy.circuits._network import network
from grokstudy.circuits.detectors._detector import Detector
from grokstudy.circuits.detectors._guards import fit, generalisation, weakest
from grokstudy.spec.measure import Subject
from grokstudy.spec.trial import TrialSpec


class LookupTable(Detector):
    """Knows the answers it was trained on and no others: train accuracy high, test accuracy at chance.

    The two accuracies define memorisation, so this detector reads no weights. An untrained network knows no answers and
    scores 0.

    Source: Nanda 2022, 200 Concrete Open Problems in Mechanistic Interpretability, problem 3.24.
    """

    evidence: ClassVar[str] = "train,not_test"

    def applies(self, spec: TrialSpec) -> str | None:
        return unless_classes(spec)

    def score(self, subject: Subject) -> float:
        net = network(subject)
        return weakest(fit(net), 1 - generalisation(net))
