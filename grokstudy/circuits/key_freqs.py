"""Key frequencies of the checkpoint itself."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from grokstudy.circuits import _keys
from grokstudy.circuits._applies import unless_fourier
from grokstudy.circuits._network import network
from grokstudy.circuits._values import NOT_FINITE, known, undefined
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeyFreqs(Measure):
    """Key frequencies that this very checkpoint shows, by each rule; `value` is how many, `values` which.

    Not to be mixed up with the trial's keys (of the last generalised checkpoint), by which losses are restricted: here
    one sees when keys appear and whether the rules agree. NULL with the reason keys_saturated, and `keys_saturated` =
    1, if more than half of all frequencies are keys.

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 4 and appendix C.2; TransformerLens' Grokking_Demo for w_e.
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = ("key_freqs", "keys_saturated")

    def applies(self, spec: TrialSpec) -> str | None:
        return unless_fourier(spec)

    def measure(self, subject: Subject) -> list[MeasureValue]:
        return [value for rule in _keys.RULES for value in self._by(rule, subject)]

    def _by(self, rule: _keys.Rule, subject: Subject) -> list[MeasureValue]:
        net = network(subject)
        protocol, version = f"keys={rule}", self.version
        if not all(bool(x.isfinite().all()) for x in (net.neurons, net.W_E, net.W_L)):
            names = ("key_freqs", "keys_saturated")
            return [undefined(name, NOT_FINITE, protocol=protocol, version=version) for name in names]
        keys = _keys.key_freqs(net, rule)
        saturated = _keys.is_saturated(keys, net.p)
        return [
            undefined("key_freqs", _keys.SATURATED, protocol=protocol, version=version)
            if saturated
            else known("key_freqs", len(keys), values=keys, protocol=protocol, version=version),
            known("keys_saturated", float(saturated), protocol=protocol, version=version),
        ]
