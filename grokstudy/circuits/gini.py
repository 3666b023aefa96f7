"""Concentration of the embedding and of the neuron-to-logit map in few frequencies."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from grokstudy.circuits._applies import unless_modular
from grokstudy.circuits._fourier import frequency_power, gini, transform_1d
from grokstudy.circuits._periodic import periodic
from grokstudy.circuits._values import NOT_FINITE, known
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec

ZERO = "zero_matrix"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Gini(Measure):
    """Gini coefficient of the Fourier norms of W_E and W_L: how few frequencies hold the weights.

    Norms (not squared) over the width of every cosine and sine component, the constant left out; `.merged` takes cosine
    and sine of a frequency together. For mul and div modulo a prime the residues are taken in the order of their
    logarithms, 0 left out; for other operations as they are. The untrained network's value is not 0: compare with
    step 0.

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 5.1; the paper does not say whether the constant counts.
    """

    version: ClassVar[int] = 2
    names: ClassVar[tuple[str, ...]] = ("gini_W_E", "gini_W_E.merged", "gini_W_L", "gini_W_L.merged")

    def applies(self, spec: TrialSpec) -> str | None:
        return unless_modular(spec)

    def measure(self, subject: Subject) -> list[MeasureValue]:
        net = periodic(subject)
        values = []
        for name, matrix in (("gini_W_E", net.W_E), ("gini_W_L", net.W_L.T)):
            components = transform_1d(matrix).T
            single = components.norm(dim=1)[1:]
            merged = frequency_power(components).sum(dim=1).sqrt()
            for suffix, count, norms in (("", "2K", single), (".merged", "K", merged)):
                protocol = f"components={count};dc=no"
                empty = ZERO if bool((norms == 0).all()) else NOT_FINITE
                value = known(name + suffix, gini(norms), protocol=protocol, version=self.version, otherwise=empty)
                values.append(value)
        return values
