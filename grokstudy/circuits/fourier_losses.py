"""Restricted and excluded loss."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from typing import ClassVar

from grokstudy.circuits._answer import (
    Terms,
    by_terms,
    excluded_train_losses,
    part_accuracies,
    part_losses,
    parts,
)
from grokstudy.circuits._applies import unless_periodic
from grokstudy.circuits._keys import NO_KEYS, Rule, random_key_sets
from grokstudy.circuits._network import Network, accuracies, losses
from grokstudy.circuits._periodic import periodic
from grokstudy.circuits._splits import SPLITS, by_split
from grokstudy.circuits._values import known, undefined
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FourierLosses(Measure):
    """Loss with only the key frequencies kept in the logits (restricted) and with only them removed (excluded).

    P is the projection of the logits, as functions of the rows, on cos and sin of w_k * answer for the keys k.
    Restricted logits are P plus every class's mean over the whole grid; excluded logits are L - P. Projections always
    use the whole grid; `train`, `test` and `all` say on which rows loss and accuracy are averaged (train: labels
    trained on). Excluded losses may exceed ln p by far. Controls: the same numbers with 8 random key sets of equal
    size, averaged.

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 5.1, and its code (10 directions for 5 keys, not "20 terms").
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = (
        *(f"restricted_loss.{split}" for split in SPLITS),
        *(f"excluded_loss.{split}" for split in SPLITS),
        *(f"restricted_acc.{split}" for split in SPLITS),
        *(f"excluded_acc.{split}" for split in SPLITS),
        "excluded_loss_by_freq",
        "restricted_loss_random_keys.all",
        "excluded_loss_random_keys.train",
    )
    needs_end: ClassVar[bool] = True
    rule: Rule = "neuron"
    """Rule that chose the keys."""
    terms: Terms = 2
    """Directions per key: 2 (of the answer), 4 (all products of cos and sin), 8 (and those of a or b alone)."""

    def applies(self, spec: TrialSpec) -> str | None:
        return unless_periodic(spec)

    def measure(self, subject: Subject) -> list[MeasureValue]:
        keys = subject.key_freqs
        if not keys:
            reason = subject.keys_reason or NO_KEYS
            return [
                undefined(name, reason, protocol=text, version=self.version) for name, text in self._protocols().items()
            ]
        net = periodic(subject)
        random_sets = random_key_sets(subject.spec.seeds.init, net.p, len(keys))
        part, *others = parts(by_terms(net, self.terms), [keys, *([k] for k in keys), *random_sets])
        singles, controls = others[: len(keys)], others[len(keys) :]
        without = part.at().sub_(net.logits).neg_()
        by_freq = excluded_train_losses(net, singles)
        mean = net.logits.mean(dim=0)
        kept = [part_losses(net, control, mean)["all"] for control in controls]
        return [
            *self._by_split("restricted_loss", part_losses(net, part, mean), net),
            *self._by_split("excluded_loss", losses(net, without), net),
            *self._by_split("restricted_acc", part_accuracies(net, part, mean), net),
            *self._by_split("excluded_acc", accuracies(net, without), net),
            self._value("excluded_loss_by_freq", max(by_freq), by_freq),
            self._value("restricted_loss_random_keys.all", statistics.fmean(kept)),
            self._value("excluded_loss_random_keys.train", statistics.fmean(excluded_train_losses(net, controls))),
        ]

    def _protocols(self) -> Mapping[str, str]:
        """Every measure of this family with its protocol.

        excluded_loss_by_freq is the loss without each single key (`values`, in the order of the keys) and the largest
        of them (`value`).
        """
        excluded = f"keys={self.rule};terms={self.terms}"
        restricted = f"{excluded};mean=class"
        return {
            **{f"restricted_{what}.{split}": restricted for what in ("loss", "acc") for split in SPLITS},
            **{f"excluded_{what}.{split}": excluded for what in ("loss", "acc") for split in SPLITS},
            "excluded_loss_by_freq": f"{excluded};rows=train",
            "restricted_loss_random_keys.all": f"keys=random8;size={self.rule};terms={self.terms};mean=class",
            "excluded_loss_random_keys.train": f"keys=random8;size={self.rule};terms={self.terms}",
        }

    def _by_split(self, family: str, numbers: Mapping[str, float], net: Network) -> list[MeasureValue]:
        protocol = self._protocols()[f"{family}.all"]
        return by_split(family, numbers, net, protocol=protocol, version=self.version)

    def _value(self, name: str, number: float, values: Sequence[float] | None = None) -> MeasureValue:
        return known(name, number, values=values, protocol=self._protocols()[name], version=self.version)
