"""Restricted and excluded loss."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal

from jaxtyping import Float
from torch import Tensor

from grokstudy.circuits._applies import unless_fourier
from grokstudy.circuits._fourier import project
from grokstudy.circuits._keys import NO_KEYS, Rule, random_key_sets
from grokstudy.circuits._network import Network, Split, cross_entropy, network
from grokstudy.circuits._values import NO_ROWS, known, undefined
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec

Terms = Literal[2, 4, 8]
SPLITS = ("train", "test", "all")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FourierLosses(Measure):
    """Loss with only the key frequencies kept in the logits (restricted) and with only them removed (excluded).

    P is the projection of the logits, as functions of the rows, on cos and sin of w_k * answer for the keys k.
    Restricted logits are P plus every class's mean over the whole grid; excluded logits are L - P. Projections always
    use the whole grid; `train`, `test` and `all` say on which rows the loss is averaged (train: labels trained on).
    Excluded losses may exceed ln p by far. Controls: the same numbers with 8 random key sets of equal size, averaged.

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 5.1, and its code (10 directions for 5 keys, not "20 terms").
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = (
        "restricted_loss.train",
        "restricted_loss.test",
        "restricted_loss.all",
        "excluded_loss.train",
        "excluded_loss.test",
        "excluded_loss.all",
        "excluded_loss_by_freq",
        "restricted_loss_random_keys.all",
        "excluded_loss_random_keys.train",
    )
    rule: Rule = "neuron"
    """Rule that chose the keys."""
    terms: Terms = 2
    """Directions per key: 2 (of the answer), 4 (all products of cos and sin), 8 (and those of a or b alone)."""

    def applies(self, spec: TrialSpec) -> str | None:
        return unless_fourier(spec)

    def measure(self, subject: Subject) -> list[MeasureValue]:
        keys = subject.key_freqs
        if not keys:
            reason = subject.keys_reason or NO_KEYS
            return [
                undefined(name, reason, protocol=text, version=self.version) for name, text in self._protocols().items()
            ]
        net = network(subject)
        part, mean = self._part(net, keys), net.logits.mean(dim=0)
        by_freq = [cross_entropy(net.logits - self._part(net, [k]), net.train) for k in keys]
        random_parts = [
            self._part(net, chosen) for chosen in random_key_sets(subject.spec.seeds.init, net.p, len(keys))
        ]
        return [
            *(self._loss(f"restricted_loss.{name}", part + mean, split) for name, split in net.splits()),
            *(self._loss(f"excluded_loss.{name}", net.logits - part, split) for name, split in net.splits()),
            self._value("excluded_loss_by_freq", max(by_freq), by_freq),
            self._value(
                "restricted_loss_random_keys.all",
                statistics.fmean(cross_entropy(other + mean, net.all) for other in random_parts),
            ),
            self._value(
                "excluded_loss_random_keys.train",
                statistics.fmean(cross_entropy(net.logits - other, net.train) for other in random_parts),
            ),
        ]

    def _protocols(self) -> Mapping[str, str]:
        """Every measure of this family with its protocol.

        excluded_loss_by_freq is the loss without each single key (`values`, in the order of the keys) and the largest
        of them (`value`).
        """
        excluded = f"keys={self.rule};terms={self.terms}"
        restricted = f"{excluded};mean=class"
        return {
            **{f"restricted_loss.{split}": restricted for split in SPLITS},
            **{f"excluded_loss.{split}": excluded for split in SPLITS},
            "excluded_loss_by_freq": f"{excluded};rows=train",
            "restricted_loss_random_keys.all": f"keys=random8;size={self.rule};terms={self.terms};mean=class",
            "excluded_loss_random_keys.train": f"keys=random8;size={self.rule};terms={self.terms}",
        }

    def _loss(self, name: str, logits: Float[Tensor, "rows p"], split: Split) -> MeasureValue:
        if len(split.rows) == 0:
            return undefined(name, NO_ROWS, protocol=self._protocols()[name], version=self.version)
        return self._value(name, cross_entropy(logits, split))

    def _value(self, name: str, number: float, values: Sequence[float] | None = None) -> MeasureValue:
        return known(name, number, values=values, protocol=self._protocols()[name], version=self.version)

    def _part(self, net: Network, keys: Sequence[int]) -> Float[Tensor, "rows p"]:
        """The part of the logits in the directions of these keys."""
        part = project(net.logits, net.answer, keys, net.p)
        if self.terms >= 4:
            # The other diagonal: a - b for addition, a + b for subtraction. At k = p / 2 both diagonals are one
            # function.
            partner = (2 * net.a - net.answer) % net.p
            part = part + project(net.logits, partner, [k for k in keys if 2 * k != net.p], net.p)
        if self.terms == 8:
            part = part + project(net.logits, net.a, keys, net.p) + project(net.logits, net.b, keys, net.p)
        return part
