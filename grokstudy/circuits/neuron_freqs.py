"""Which neurons work at one frequency, and at which."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from grokstudy.circuits._applies import unless_periodic
from grokstudy.circuits._network import reads_before_square
from grokstudy.circuits._neurons import EXPLAINED, neuron_frequencies
from grokstudy.circuits._periodic import periodic
from grokstudy.circuits._values import NOT_FINITE, known, undefined
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec

NO_LIVE_NEURONS = "no_live_neurons"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NeuronFreqs(Measure):
    """Share of live neurons of which one frequency explains over 0.85 of the variance, and how many at each frequency.

    `neuron_freqs`: `values` are such neurons at k = 1 .. p // 2, `value` their number. Dead neurons (no variance over
    the inputs) are counted in `dead_neurons` and nowhere else. The quadratic MLP's neurons are read before the square.

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 4.3 (433 of 512 neurons).
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = ("neuron_freq_fraction", "neuron_freqs", "dead_neurons")

    def applies(self, spec: TrialSpec) -> str | None:
        return unless_periodic(spec)

    def measure(self, subject: Subject) -> list[MeasureValue]:
        net = periodic(subject)
        read = "pre" if reads_before_square(subject.spec) else "post"
        protocol, version = f"block=3x3;frac={EXPLAINED};read={read}", self.version
        neurons = neuron_frequencies(net)
        if not neurons.finite:
            names = ("neuron_freq_fraction", "neuron_freqs", "dead_neurons")
            return [undefined(name, NOT_FINITE, protocol=protocol, version=version) for name in names]
        share, counts = float(neurons.explained.double().mean()), neurons.histogram(net.p).tolist()
        return [
            known("neuron_freq_fraction", share, protocol=protocol, version=version, otherwise=NO_LIVE_NEURONS),
            known("neuron_freqs", sum(counts), values=counts, protocol=protocol, version=version),
            known("dead_neurons", neurons.dead, protocol=protocol, version=version),
        ]
