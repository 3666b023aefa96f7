"""Size of the weights."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from grokstudy.circuits._applies import unless_modular
from grokstudy.circuits._values import known
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Norms(Measure):
    """Sum of squares of all parameters: biases, position and "=" embeddings included.

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 5.1.
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = ("sum_sq_weights",)

    def applies(self, spec: TrialSpec) -> str | None:
        return unless_modular(spec)

    def measure(self, subject: Subject) -> list[MeasureValue]:
        total = sum(float(tensor.double().square().sum()) for tensor in subject.params.values())
        return [known("sum_sq_weights", total, protocol="params=all", version=self.version)]
