"""Key frequencies of the checkpoint itself."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from grokstudy.circuits import _keys
from grokstudy.circuits._applies import unless_periodic
from grokstudy.circuits._neurons import neuron_frequencies
from grokstudy.circuits._periodic import periodic
from grokstudy.circuits._values import NOT_FINITE, known, undefined
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec

COMPARED = "rules=neuron,w_e"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeyFreqs(Measure):
    """Key frequencies that this very checkpoint shows, by each rule; `value` is how many, `values` which.

    Not to be mixed up with the trial's keys (of the last generalised checkpoint), by which losses are restricted: here
    one sees when keys appear and whether the rules agree. NULL with the reason keys_saturated, and `keys_saturated` =
    1, if more than half of all frequencies are keys. `key_rules_disagree`: frequencies that are keys by the neuron rule
    or by the w_e rule but not by both; an embedding often shows one more than the neurons use.

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 4 and appendix C.2; TransformerLens' Grokking_Demo for w_e.
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = ("key_freqs", "keys_saturated", "key_rules_disagree")

    def applies(self, spec: TrialSpec) -> str | None:
        return unless_periodic(spec)

    def measure(self, subject: Subject) -> list[MeasureValue]:
        net = periodic(subject)
        if not (neuron_frequencies(net).finite and all(bool(x.isfinite().all()) for x in (net.W_E, net.W_L))):
            return self._unknown()
        keys = {rule: _keys.key_freqs(net, rule) for rule in _keys.RULES}
        differing = sorted(set(keys["neuron"]) ^ set(keys["w_e"]))
        return [
            *(value for rule in _keys.RULES for value in self._by(rule, keys[rule], net.p)),
            known("key_rules_disagree", len(differing), values=differing, protocol=COMPARED, version=self.version),
        ]

    def _by(self, rule: _keys.Rule, keys: tuple[int, ...], p: int) -> list[MeasureValue]:
        protocol, version = f"keys={rule}", self.version
        saturated = _keys.is_saturated(keys, p)
        return [
            undefined("key_freqs", _keys.SATURATED, protocol=protocol, version=version)
            if saturated
            else known("key_freqs", len(keys), values=keys, protocol=protocol, version=version),
            known("keys_saturated", float(saturated), protocol=protocol, version=version),
        ]

    def _unknown(self) -> list[MeasureValue]:
        names = [(name, f"keys={rule}") for rule in _keys.RULES for name in ("key_freqs", "keys_saturated")]
        return [
            undefined(name, NOT_FINITE, protocol=protocol, version=self.version)
            for name, protocol in (*names, ("key_rules_disagree", COMPARED))
        ]
