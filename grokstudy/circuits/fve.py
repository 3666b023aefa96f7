"""Fraction of the logits' variance that the trigonometric formula explains."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from grokstudy.circuits._applies import unless_fourier
from grokstudy.circuits._keys import NO_KEYS, Rule, random_key_sets
from grokstudy.circuits._network import Network, network
from grokstudy.circuits._values import known, undefined
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec

CONSTANT = "constant_logits"
ROUNDING = 1e-28
"""Variance below this share of the mean square is rounding of constant logits (float64: (1e-14)^2)."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FVE(Measure):
    """Fraction of variance of the logits explained by cos(w_k (answer - c)) over the key frequencies, by least squares.

    The regressors are orthogonal to each other, to every function of the row and to every function of the class; so the
    three ways of centring differ only in the variance to be explained: `fve` subtracts the global mean, `fve.per_input`
    each row's mean (what softmax ignores), `fve.double` the rows' and the classes' means. Control: 8 random key sets of
    equal size, averaged. The sign of a coefficient is not seen.

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 4.2; the paper does not state its centring.
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = ("fve", "fve.per_input", "fve.double", "fve_random_keys")
    rule: Rule = "neuron"
    """Rule that chose the keys."""

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
        power = regressor_power(net)
        by_row = net.logits - net.logits.mean(dim=1, keepdim=True)
        least = ROUNDING * squares(net.logits)
        random_sets = random_key_sets(subject.spec.seeds.init, net.p, len(keys))
        explained = sum_over(power, keys)
        control = statistics.fmean(sum_over(power, some) for some in random_sets)
        shares = (
            ("fve", explained, squares(net.logits - net.logits.mean())),
            ("fve.per_input", explained, squares(by_row)),
            ("fve.double", explained, squares(by_row - by_row.mean(dim=0))),
            ("fve_random_keys", control, squares(net.logits - net.logits.mean())),
        )
        return [
            undefined(name, CONSTANT, protocol=self._protocols()[name], version=self.version)
            if variance <= least
            else known(name, part / variance, protocol=self._protocols()[name], version=self.version)
            for name, part, variance in shares
        ]

    def _protocols(self) -> Mapping[str, str]:
        return {
            "fve": f"keys={self.rule};centre=global",
            "fve.per_input": f"keys={self.rule};centre=per_input",
            "fve.double": f"keys={self.rule};centre=double",
            "fve_random_keys": f"keys=random8;size={self.rule};centre=global",
        }


def regressor_power(net: Network) -> Float[Tensor, " frequencies"]:
    """Squared length of the logits' projection on cos(w_k (answer - c)), for k = 1 .. p // 2."""
    p = net.p
    # The regressors depend on d = answer - c alone: sum the logits over equal d first.
    d = (net.answer[:, None] - torch.arange(p)[None, :]) % p
    sums = torch.zeros(p, dtype=net.logits.dtype).index_add_(0, d.flatten(), net.logits.flatten())
    k = torch.arange(1, p // 2 + 1)
    regressors = torch.cos((2 * torch.pi / p) * ((k[:, None] * torch.arange(p)[None, :]) % p).double())
    # Every d occurs p * p times, hence the regressor's squared length over rows and classes.
    return (regressors @ sums) ** 2 / (p**2 * (regressors**2).sum(dim=1))


def sum_over(power: Float[Tensor, " frequencies"], keys: Sequence[int]) -> float:
    return float(power[[k - 1 for k in keys]].sum())


def squares(x: Float[Tensor, "rows p"]) -> float:
    return float((x**2).sum())
