"""The pizza: angles are added by averaging."""

from __future__ import annotations

from typing import ClassVar

from grokstudy.circuits.detectors._averaging import averaging, unless_averaging
from grokstudy.circuits.detectors._detector import Detector
from grokstudy.circuits.detectors._guards import weakest
from grokstudy.circuits.detectors.fourier import fourier_score
from grokstudy.spec.measure import Subject
from grokstudy.spec.trial import TrialSpec


class Pizza(Detector):
    """Fourier logits |cos(w_k (a - b) / 2)| cos(w_k (a + b - c)) by a network that averages the waves of its inputs.

    The least of two pieces of evidence: the fourier detector's score, and that the network averages: its gradients with
    respect to both embeddings agree, and its waves fade with the distance of the inputs.

    Source: Zhong et al. 2023 (arXiv 2306.17844), sections 3 and 4.
    """

    evidence: ClassVar[str] = "fourier,averaging"
    refines: ClassVar[str | None] = "fourier"

    def applies(self, spec: TrialSpec) -> str | None:
        return unless_averaging(spec)

    def score(self, subject: Subject) -> float:
        known = fourier_score(subject)
        return weakest(known, averaging(subject)) if known > 0 else known
