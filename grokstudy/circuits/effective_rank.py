"""How many directions the weights use."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from grokstudy.circuits._applies import unless_classes
from grokstudy.circuits._geometry import entropy_rank, stable_rank
from grokstudy.circuits._network import network
from grokstudy.circuits._values import NOT_FINITE, known, undefined
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec

ZERO = "zero_matrix"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveRank(Measure):
    """Effective and stable rank of the embedding W_E and of the neuron-to-logit map W_L.

    With singular values s_i: effective rank = exp(-sum p_i ln p_i) of p_i = s_i / sum s, between 1 and the rank; stable
    rank = sum s_i^2 / max s_i^2. Nothing is centred. At the grokking transition both still stand well above the values
    that they converge to (by 3 to 5 times in MLPs, arXiv 2607.06639): compare networks at equal multiples of t_gen.

    Source: Roy and Vetterli 2007 (EUSIPCO), definition 1; Rudelson and Vershynin 2007 (arXiv math/0503442), section 1.
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = (
        "effective_rank.W_E",
        "effective_rank.W_L",
        "stable_rank.W_E",
        "stable_rank.W_L",
    )

    def applies(self, spec: TrialSpec) -> str | None:
        return unless_classes(spec)

    def measure(self, subject: Subject) -> list[MeasureValue]:
        net = network(subject)
        return [*ranks("W_E", net.W_E, self.version), *ranks("W_L", net.W_L, self.version)]


def ranks(name: str, matrix: Float[Tensor, "rows columns"], version: int) -> list[MeasureValue]:
    """Both ranks of one matrix."""
    names, protocol = (f"effective_rank.{name}", f"stable_rank.{name}"), "centre=no"
    if not bool(matrix.isfinite().all()):
        return [undefined(each, NOT_FINITE, protocol=protocol, version=version) for each in names]
    if not bool(matrix.any()):
        return [undefined(each, ZERO, protocol=protocol, version=version) for each in names]
    singular = torch.linalg.svdvals(matrix)
    numbers = (entropy_rank(singular), stable_rank(singular))
    return [
        known(each, number, protocol=protocol, version=version) for each, number in zip(names, numbers, strict=True)
    ]
