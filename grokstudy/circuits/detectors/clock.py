"""The clock: angles are added by multiplying."""

from __future__ import annotations

from typing import ClassVar

from grokstudy.circuits.detectors._averaging import averaging, unless_averaging
from grokstudy.circuits.detectors._detector import Detector
from grokstudy.circuits.detectors._guards import weakest
from grokstudy.circuits.detectors.fourier import fourier_score
from grokstudy.spec.measure import Subject
from grokstudy.spec.trial import TrialSpec


class Clock(Detector):
    """Fourier logits cos(w_k (a + b - c)) by a network that multiplies the waves of its inputs.

    The least of two pieces of evidence: the fourier detector's score, and that the network does not average: its
    gradients with respect to both embeddings differ, or its waves do not fade with the distance of the inputs.

    Source: Zhong et al. 2023 (arXiv 2306.17844), sections 3 and 4; Nanda et al. 2023 (arXiv 2301.05217).
    """

    evidence: ClassVar[str] = "fourier,not_averaging"
    refines: ClassVar[str | None] = "fourier"

    def applies(self, spec: TrialSpec) -> str | None:
        return unless_averaging(spec)

    def score(self, subject: Subject) -> float:
        known = fourier_score(subject)
        return weakest(known, 1 - averaging(subject)) if known > 0 else known
