"""How many directions the neurons' activity uses."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from grokstudy.circuits._applies import unless_classes
from grokstudy.circuits._network import network
from grokstudy.circuits.effective_rank import ranks
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NeuronRank(Measure):
    """Effective and stable rank of the neurons' activations [rows, neurons] on all inputs, as `effective_rank`.

    Neurons are read where the neuron measures read them: after their non-linearity, of the quadratic MLP before it.

    Source: Roy and Vetterli 2007 (EUSIPCO), definition 1; Rudelson and Vershynin 2007 (arXiv math/0503442), section 1.
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = ("effective_rank.neurons", "stable_rank.neurons")
    default: ClassVar[bool] = False

    def applies(self, spec: TrialSpec) -> str | None:
        return unless_classes(spec)

    def measure(self, subject: Subject) -> list[MeasureValue]:
        return ranks("neurons", network(subject).neurons, self.version)
