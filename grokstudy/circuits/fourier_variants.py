"""Restricted and excluded loss by other definitions than the default one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

from grokstudy.circuits._answer import Part, Spectrum, by_cube, by_neurons, by_terms, part_losses, parts
from grokstudy.circuits._applies import unless_periodic
from grokstudy.circuits._keys import NO_KEYS, Rule
from grokstudy.circuits._network import Network, losses
from grokstudy.circuits._periodic import periodic
from grokstudy.circuits._splits import SPLITS, by_split
from grokstudy.circuits._values import undefined
from grokstudy.models.transformer import Transformer
from grokstudy.spec.interfaces import Model
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec

LINEAR_TO_THE_LOGITS = ("off", "attn_pre", "attn_pre_qk", "attn_pre_v", "mlp_pre", "attn_mlp_pre")
"""Places of norms that leave the way from the last neurons to the logits linear."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FourierVariants(Measure):
    """Restricted and excluded loss in the variants that papers and notebooks use beside the default one.

    `_terms4`, `_terms8`: 4 directions per key (all products of cosines and sines of a and b, the paper's "20 terms" for
    5 keys) or 8 (and those of a or b alone). `_cube` (excluded only): without cos(w_k (answer - c)) itself instead of
    all class mixtures of cos and sin of w_k * answer, so less is removed. `_mlp`, of transformers: the neurons instead
    of the logits are projected; restricted drops what reaches the logits around the neurons, excluded keeps it.
    Restricted logits have every class's mean over the whole grid added back. Not to be compared with each other: on one
    network restricted losses may differ by five orders of magnitude.

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 5.1 and the notebook beside it; TransformerLens'
    Grokking_Demo for `_mlp`.
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = (
        *(f"restricted_loss_{way}.{split}" for way in ("terms4", "terms8", "mlp") for split in SPLITS),
        *(f"excluded_loss_{way}.{split}" for way in ("terms4", "terms8", "cube", "mlp") for split in SPLITS),
    )
    needs_end: ClassVar[bool] = True
    default: ClassVar[bool] = False
    rule: Rule = "neuron"
    """Rule that chose the keys."""

    def applies(self, spec: TrialSpec) -> str | None:
        return unless_periodic(spec)

    def measure(self, subject: Subject) -> list[MeasureValue]:
        keys = subject.key_freqs
        if not keys:
            return [self._undefined(name, subject.keys_reason or NO_KEYS) for name in self.names]
        net, why_no_mlp = periodic(subject), unless_linear_mlp(subject.spec.model)
        values = [
            value
            for way, spectra in variants(net, mlp=why_no_mlp is None).items()
            for value in self._both(net, parts(spectra, [keys])[0], way)
        ]
        measured = {value.measure for value in values}
        return [*values, *(self._undefined(name, str(why_no_mlp)) for name in self.names if name not in measured)]

    def _both(self, net: Network, part: Part, way: str) -> list[MeasureValue]:
        """The losses of one variant."""
        numbers = {f"excluded_loss_{way}": losses(net, net.logits - part.at())}
        if f"restricted_loss_{way}.all" in self.names:
            numbers[f"restricted_loss_{way}"] = part_losses(net, part, net.logits.mean(dim=0))
        return [
            value
            for family, by_name in numbers.items()
            for value in by_split(family, by_name, net, protocol=self._protocol(family), version=self.version)
        ]

    def _undefined(self, name: str, reason: str) -> MeasureValue:
        return undefined(name, reason, protocol=self._protocol(name), version=self.version)

    def _protocol(self, name: str) -> str:
        family, _, way = name.partition(".")[0].rpartition("_")
        mean = ";mean=class" if family.startswith("restricted") else ""
        return f"keys={self.rule};project={way}{mean}"


def variants(net: Network, *, mlp: bool) -> Mapping[str, list[Spectrum]]:
    """What is projected, by the variant's name."""
    ways = {"terms4": by_terms(net, 4), "terms8": by_terms(net, 8), "cube": [by_cube(net)]}
    return {**ways, "mlp": [by_neurons(net)]} if mlp else ways


def unless_linear_mlp(model: Model) -> str | None:
    """None for a transformer whose last neurons reach the logits through matrices alone, else why not."""
    if not isinstance(model, Transformer):
        return "defined for model=transformer"
    if model.attn_only:
        return "defined for transformers with MLPs, this one has model.attn_only"
    if model.norm_site not in LINEAR_TO_THE_LOGITS:
        return f"defined for transformers without a norm behind the MLP, model.norm_site is {model.norm_site}"
    return None
