"""Fraction of the logits' variance that the trigonometric formula explains."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from grokstudy.circuits._answer import by_cube, cube_coefficients, cube_length, part_losses, parts
from grokstudy.circuits._applies import unless_periodic
from grokstudy.circuits._keys import NO_KEYS, Rule, random_key_sets
from grokstudy.circuits._network import Network
from grokstudy.circuits._periodic import periodic
from grokstudy.circuits._splits import SPLITS, by_split
from grokstudy.circuits._values import known, undefined, unless_varied
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FVE(Measure):
    """Fraction of variance of the logits explained by cos(w_k (answer - c)) over the key frequencies, by least squares.

    The regressors are orthogonal to each other, to every function of the row and to every function of the class; so the
    three ways of centring differ only in the variance to be explained: `fve` subtracts the global mean, `fve.per_input`
    each row's mean (what softmax ignores), `fve.double` the rows' and the classes' means. Control: 8 random key sets of
    equal size, averaged. The sign of a coefficient is not seen.

    `logit_alphas`: the coefficient alpha_k of every frequency k = 1 .. p // 2 (`values`; `value` is the largest), and
    `.unit`: the same for regressors of length 1 over rows and classes. A negative one means labels that are shifted.
    `ols_loss`: cross entropy of sum_k alpha_k cos(w_k (answer - c)) over the keys alone, nothing else.

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 4.2 and figure 14; the paper does not state its centring.
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = (
        "fve",
        "fve.per_input",
        "fve.double",
        "fve_random_keys",
        *(f"ols_loss.{split}" for split in SPLITS),
        "logit_alphas",
        "logit_alphas.unit",
    )
    needs_end: ClassVar[bool] = True
    rule: Rule = "neuron"
    """Rule that chose the keys."""

    def applies(self, spec: TrialSpec) -> str | None:
        return unless_periodic(spec)

    def measure(self, subject: Subject) -> list[MeasureValue]:
        net = periodic(subject)
        unit = cube_coefficients(net)
        return [*self._of_keys(subject, net, unit**2), *self._alphas(net, unit)]

    def _of_keys(self, subject: Subject, net: Network, power: Float[Tensor, " frequencies"]) -> list[MeasureValue]:
        keys = subject.key_freqs
        if not keys:
            reason, protocols = subject.keys_reason or NO_KEYS, self._protocols()
            return [undefined(name, reason, protocol=text, version=self.version) for name, text in protocols.items()]
        random_sets = random_key_sets(subject.spec.seeds.init, net.p, len(keys))
        explained, control = sum_over(power, keys), statistics.fmean(sum_over(power, some) for some in random_sets)
        whole, by_row, double = variances(net.logits)
        squares = float(net.logits.square().sum())
        shares = (
            ("fve", explained, whole),
            ("fve.per_input", explained, by_row),
            ("fve.double", explained, double),
            ("fve_random_keys", control, whole),
        )
        [formula] = parts([by_cube(net)], [keys])
        ols = part_losses(net, formula, torch.zeros(()))
        return [
            *(
                undefined(name, why, protocol=self._protocols()[name], version=self.version)
                if (why := unless_varied(variance, squares))
                else self._value(name, part / variance)
                for name, part, variance in shares
            ),
            *by_split("ols_loss", ols, net, protocol=self._protocols()["ols_loss.all"], version=self.version),
        ]

    def _alphas(self, net: Network, unit: Float[Tensor, " frequencies"]) -> list[MeasureValue]:
        numbers = {"logit_alphas": unit / cube_length(net.p), "logit_alphas.unit": unit}
        protocol = {"logit_alphas": "regressor=cos", "logit_alphas.unit": "regressor=unit"}
        return [
            known(name, float(x.max()), values=x.tolist(), protocol=protocol[name], version=self.version)
            for name, x in numbers.items()
        ]

    def _protocols(self) -> Mapping[str, str]:
        return {
            "fve": f"keys={self.rule};centre=global",
            "fve.per_input": f"keys={self.rule};centre=per_input",
            "fve.double": f"keys={self.rule};centre=double",
            "fve_random_keys": f"keys=random8;size={self.rule};centre=global",
            **{f"ols_loss.{split}": f"keys={self.rule};mean=none" for split in SPLITS},
        }

    def _value(self, name: str, number: float) -> MeasureValue:
        return known(name, number, protocol=self._protocols()[name], version=self.version)


def variances(logits: Float[Tensor, "rows p"]) -> tuple[float, float, float]:
    """Sums of squares less the global mean, less each row's mean, less rows' and classes' means."""
    whole = float((logits - logits.mean()).square_().sum())
    by_row = logits - logits.mean(dim=1, keepdim=True)
    return whole, float(by_row.square().sum()), float(by_row.sub_(by_row.mean(dim=0)).square_().sum())


def sum_over(power: Float[Tensor, " frequencies"], keys: Sequence[int]) -> float:
    return float(power[[k - 1 for k in keys]].sum())
