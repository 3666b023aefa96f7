"""Which of two formulas the logits follow: the clock's or the pizza's."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokstudy.circuits._applies import unless_periodic
from grokstudy.circuits._fourier import basis, rows_of
from grokstudy.circuits._geometry import distance
from grokstudy.circuits._keys import NO_KEYS, Rule
from grokstudy.circuits._network import Network
from grokstudy.circuits._periodic import periodic
from grokstudy.circuits._values import known, undefined, unless_varied
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClockPizza(Measure):
    """How much of the logits' variance the clock and the pizza formula explain, over the key frequencies k.

        clock  Q_k = cos(w_k (s - c))          pizza  Q_k = |cos(w_k d / 2)| cos(w_k (s - c))

    with s the answer and d = a - b mod p (of a difference: a + b). `clock.r2`, `pizza.r2`: share of the variance that
    the best sum of Q_k over the keys explains (`clock.r2` is `fve`); `clock.fve`, `pizza.fve`: the same as the paper's
    number 2 r - 1, r the correlation. `clock.by_key`, `pizza.by_key`: 2 r - 1 of the part of the logits that has
    frequency k in c with Q_k alone, r with its sign; `value` = mean over the keys. `pizza_minus_clock` = pizza.r2 -
    clock.r2: above 0 for a pizza. The formulas are alike: a pure pizza has clock.r2 = 8 / pi^2 = 0.81 for large p,
    hence clock.fve = 0.80, and a pure clock the same of the pizza. A trained pizza network adds circles that make up
    for each other's weak distances, so that its whole logits may fit the clock: `circle_isolation` decides.

    Source: Zhong et al. 2023 (arXiv 2306.17844), section 3 and the authors' notebook (2 r - 1: explained variance of
    two standardised arrays). There every circle's logits come from the network without the others: `circle_isolation`.
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = (
        "clock.r2",
        "pizza.r2",
        "clock.fve",
        "pizza.fve",
        "clock.by_key",
        "pizza.by_key",
        "pizza_minus_clock",
    )
    needs_end: ClassVar[bool] = True
    rule: Rule = "neuron"
    """Rule that chose the keys."""

    def applies(self, spec: TrialSpec) -> str | None:
        return unless_periodic(spec)

    def measure(self, subject: Subject) -> list[MeasureValue]:
        if not subject.key_freqs:
            return self._undefined(subject.keys_reason or NO_KEYS)
        net = periodic(subject)
        variance = float(((net.logits - net.logits.mean()) ** 2).sum())
        if reason := unless_varied(variance, float((net.logits**2).sum())):
            return self._undefined(reason)
        found = fits(net, subject.key_freqs)
        clock, pizza = (float((fit.length**2).sum()) / variance for fit in found)
        clock_by_key, pizza_by_key = (paper_fve(fit.correlation).tolist() for fit in found)
        return [
            self._known("clock.r2", clock),
            self._known("pizza.r2", pizza),
            self._known("clock.fve", 2 * math.sqrt(clock) - 1),
            self._known("pizza.fve", 2 * math.sqrt(pizza) - 1),
            self._known("clock.by_key", _mean(clock_by_key), clock_by_key),
            self._known("pizza.by_key", _mean(pizza_by_key), pizza_by_key),
            self._known("pizza_minus_clock", pizza - clock),
        ]

    def _known(self, name: str, number: float, numbers: Sequence[float] | None = None) -> MeasureValue:
        return known(name, number, protocol=self._protocol(name), version=self.version, values=numbers)

    def _undefined(self, reason: str) -> list[MeasureValue]:
        return [undefined(name, reason, protocol=self._protocol(name), version=self.version) for name in self.names]

    def _protocol(self, name: str) -> str:
        form = "r2" if name.endswith(("r2", "minus_clock")) else "2r-1"
        part = "key" if name.endswith("by_key") else "whole"
        return f"keys={self.rule};form={form};logits={part}"


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Fit:
    """One formula against the logits, key by key."""

    length: Float[Tensor, " keys"]
    """Of the logits along the formula of each key: the formulas of different keys are orthogonal."""
    correlation: Float[Tensor, " keys"]
    """Between the formula and the logits' part of that frequency in c. NaN where there is no such part."""


def fits(net: Network, keys: Sequence[int]) -> tuple[Fit, Fit]:
    """Clock and pizza."""
    owner = torch.tensor([i for i, k in enumerate(keys) for _ in rows_of([k], net.p)])
    waves = basis(net.p)[rows_of(keys, net.p)]
    part = net.logits @ waves.T  # of every frequency in c: [rows, terms]
    at_answer = waves[:, net.answer].T
    along, squares = _by_key(part * at_answer, owner), _by_key(at_answer**2, owner)
    size = _by_key(part**2, owner).sum(dim=0).sqrt()
    # |cos| has the period pi: reduced modulo p before it becomes an angle, k d keeps its exactness.
    turns = (distance(net)[:, None] * torch.tensor(keys)[None, :]) % net.p
    pizza = ((math.pi / net.p) * turns.double()).cos().abs()
    clock_length = along.sum(dim=0) / squares.sum(dim=0).sqrt()
    pizza_length = (pizza * along).sum(dim=0) / (pizza**2 * squares).sum(dim=0).sqrt()
    return (
        Fit(length=clock_length, correlation=clock_length / size),
        Fit(length=pizza_length, correlation=pizza_length / size),
    )


def _by_key(terms: Float[Tensor, "rows terms"], owner: Int[Tensor, " terms"]) -> Float[Tensor, "rows keys"]:
    """Cosine and sine of each key added up."""
    sums = torch.zeros(len(terms), int(owner.max()) + 1, dtype=terms.dtype)
    return sums.index_add_(1, owner, terms)


def paper_fve(r: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Explained variance of two standardised arrays with correlation r, one taken as prediction of the other."""
    return 2 * r - 1


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)
