"""Whether the correct logit depends on how far apart the inputs are."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

from jaxtyping import Float, Int
from torch import Tensor

from grokstudy.circuits._applies import unless_periodic
from grokstudy.circuits._geometry import distance
from grokstudy.circuits._periodic import periodic
from grokstudy.circuits._values import known, unless_varied
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec

EQUAL = "equal"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DistanceIrrelevance(Measure):
    """Mean over distances d of the correct logit's standard deviation at d, over that of all correct logits.

    d = a - b mod p (of a difference: a + b); standard deviations are of populations, over the p inputs of a distance
    and over all p^2. 0: the distance alone decides (pizza networks: 0 to 0.4); 1: it tells nothing (clocks: 0.4 to 1,
    and untrained networks). Equal correct logits have 0. For odd p the inputs of a distance have p different answers,
    as in the paper; for even p every other answer, each twice.

    The logits are raw: a number added to all logits of an input changes the value, though not the network's answers.

    Source: Zhong et al. 2023 (arXiv 2306.17844), section 4; the released csv instead has the best wrong logit.
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = ("distance_irrelevance",)

    def applies(self, spec: TrialSpec) -> str | None:
        return unless_periodic(spec)

    def measure(self, subject: Subject) -> list[MeasureValue]:
        net = periodic(subject)
        correct = net.logits.gather(1, net.answer[:, None])[:, 0]
        number = distance_irrelevance(correct, distance(net))
        return [known("distance_irrelevance", number, protocol="logit=correct;std=population", version=self.version)]


def distance_irrelevance(values: Float[Tensor, " rows"], at: Int[Tensor, " rows"]) -> float:
    """mean_d std(values at d) / std(values), 0 if all are equal; every d holds equally many rows. NaN if not finite."""
    variance = values.var(correction=0)
    if reason := unless_varied(float(variance), float((values**2).mean()), EQUAL):
        return 0.0 if reason == EQUAL else math.nan
    by_distance = values[at.argsort()].unflatten(0, (int(at.max()) + 1, -1))
    return float(by_distance.std(dim=1, correction=0).mean() / variance.sqrt())
