"""Restricted and excluded loss of logits that follow the formula exactly: what they must be is known."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import torch

from grokstudy.circuits._answer import by_terms, part_losses, parts
from grokstudy.circuits._applies import unless_periodic
from grokstudy.circuits._keys import random_key_sets
from grokstudy.circuits._network import losses
from grokstudy.circuits._periodic import periodic
from grokstudy.circuits._values import known
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec

FREQUENCIES = 5
AMPLITUDE = 4.0
"""Of every cosine: logits as large as a trained network's."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FormulaLosses(Measure):
    """Restricted and excluded loss of the pure formula L_c = 4 sum_k cos(w_k (answer - c)) at this trial's p and split.

    A guard for [fourier_losses], which does the same to the network's logits: without its frequencies nothing is left
    of the formula, so that the excluded loss is ln p (`formula_chance`); and with only them all of it is, so that the
    restricted loss is the whole one. The five frequencies are drawn by `seeds.init`; of the network nothing is read but
    whether its logits are numbers.

    Source: the definitions of Nanda et al. 2023 (arXiv 2301.05217), section 5.1.
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = (
        "formula_loss",
        "formula_restricted_loss",
        "formula_excluded_loss",
        "formula_chance",
    )
    default: ClassVar[bool] = False

    def applies(self, spec: TrialSpec) -> str | None:
        return unless_periodic(spec)

    def measure(self, subject: Subject) -> list[MeasureValue]:
        net = periodic(subject)
        keys = random_key_sets(subject.spec.seeds.init, net.p, min(FREQUENCIES, net.p // 2))[0]
        apart = net.answer[:, None] - torch.arange(net.p)
        waves = (torch.cos(2 * math.pi * k * apart.double() / net.p) for k in keys)
        planted = dataclasses.replace(net, logits=AMPLITUDE * sum(waves, torch.zeros(()).double()))
        (part,) = parts(by_terms(planted, 2), [keys])
        broken = math.nan if net.logits.isnan().any() else 0.0  # nothing is said beside a network that has no logits
        found = {
            "formula_loss": losses(planted, planted.logits)["all"],
            "formula_restricted_loss": part_losses(planted, part, planted.logits.mean(dim=0))["all"],
            "formula_excluded_loss": losses(planted, planted.logits - part.at())["all"],
            "formula_chance": math.log(net.p),
        }
        protocol = f"keys=random;n={len(keys)};amplitude={AMPLITUDE:g}"
        return [known(name, value + broken, protocol=protocol, version=self.version) for name, value in found.items()]
