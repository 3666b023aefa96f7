"""Whether the neuron-to-logit map holds the key frequencies alone, and what its key directions read."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from grokstudy.circuits._applies import unless_periodic
from grokstudy.circuits._fourier import basis, coefficients, rows_of
from grokstudy.circuits._keys import NO_KEYS, Rule
from grokstudy.circuits._network import Network, reads_before_square
from grokstudy.circuits._periodic import periodic
from grokstudy.circuits._values import NOT_FINITE, known, undefined
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec

SILENT = "silent_direction"
ZERO = "zero_matrix"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WLRank(Measure):
    """How much of W_L lies outside the key frequencies, and how well each of its key directions reads cos or sin.

    `w_l_outside_keys`: the Frobenius norm of the rows of F W_L that are no key's (the constant is none), as a share of
    W_L's. Near 0, W_L has rank 2 per key. `w_l_direction_fve`: u = F[row] W_L weighs the neurons; `values` are, for
    cos and sin of every key in turn, the share of the variance of neurons @ u over the rows that cos or sin of
    w_k * answer explains; `value` is their mean. For a quadratic MLP the neurons are those after the square.

    Source: Nanda et al. 2023 (arXiv 2301.05217), sections 4.2 and 4.3 (rank 10, residual below 0.55 %; table 1).
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = ("w_l_outside_keys", "w_l_direction_fve")
    needs_end: ClassVar[bool] = True
    rule: Rule = "neuron"
    """Rule that chose the keys."""

    def applies(self, spec: TrialSpec) -> str | None:
        return unless_periodic(spec)

    def measure(self, subject: Subject) -> list[MeasureValue]:
        keys, protocol = subject.key_freqs, f"keys={self.rule};dc=outside"
        if not keys:
            reason = subject.keys_reason or NO_KEYS
            return [undefined(name, reason, protocol=protocol, version=self.version) for name in self.names]
        net = periodic(subject)
        rows = rows_of(keys, net.p)
        read = read_by(net, rows, squares=reads_before_square(subject.spec))
        shares = direction_shares(net, read, rows)
        silent = SILENT if math.isfinite(float(read.square().sum())) else NOT_FINITE
        return [
            known(
                "w_l_outside_keys",
                outside(net.W_L, rows),
                protocol=protocol,
                version=self.version,
                otherwise=NOT_FINITE if bool(net.W_L.any()) else ZERO,
            ),
            known(
                "w_l_direction_fve",
                float(shares.mean()),
                values=shares.tolist(),
                protocol=protocol,
                version=self.version,
                otherwise=silent,
            ),
        ]


def outside(W_L: Float[Tensor, "p neurons"], rows: list[int]) -> float:
    """Share of the norm of W_L outside these rows of its transform; NaN for a zero matrix."""
    rest = basis(len(W_L)) @ W_L
    rest[rows] = 0
    return float(rest.norm() / W_L.norm())


def read_by(net: Network, rows: list[int], *, squares: bool) -> Float[Tensor, "inputs directions"]:
    """What the directions of W_L read of the neurons, or of their squares."""
    neurons = net.neurons.square() if squares else net.neurons
    return neurons @ (net.W_L.T @ basis(net.p)[rows].T)


def direction_shares(
    net: Network, read: Float[Tensor, "inputs directions"], rows: list[int]
) -> Float[Tensor, " directions"]:
    """Share of each column's variance on its own row's function of the answer; NaN for a column without any."""
    centred = read - read.mean(dim=0)
    on_own = coefficients(centred, net.answer, net.p)[rows, torch.arange(len(rows))]
    return on_own**2 / centred.square().sum(dim=0)
