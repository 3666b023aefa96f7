"""How degenerate the minimum is that a network sits in."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from grokstudy.circuits._gradients import Landscape, TrainLoss, flat, unless_start
from grokstudy.circuits._values import NOT_FINITE, known, undefined
from grokstudy.spec.draws import generator
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LLC(Measure):
    """Local learning coefficient of the trial's loss L on its train rows, estimated by Langevin dynamics around w*.

    `llc` = nbeta (mean of L over the chain - L(w*)), the mean over the chains, `values` = each chain's;
    `llc.standard_error`: over the chains. d/2 for a regular minimum of d parameters, less for a degenerate one; gamma
    counts too (`sgld`), so only values of one protocol compare. A negative value is kept: it says that w* is no minimum
    (early in training), or that epsilon is too large. Gradients are those of all train rows.

    Source: Lau et al. 2023 (arXiv 2308.12108), section 4; default settings as in devinterp's example of grokking.
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = ("llc", "llc.standard_error")
    default: ClassVar[bool] = False
    epsilon: float = 3e-3
    """Step size."""
    gamma: float = 5.0
    """Strength of the pull back to w*."""
    nbeta: float = 2.0
    """Inverse temperature times number of rows."""
    burn_in: int = 100
    """Steps of a chain that are not counted."""
    draws: int = 200
    """Steps that are."""
    chains: int = 2

    def applies(self, spec: TrialSpec) -> str | None:
        return None

    def measure(self, subject: Subject) -> list[MeasureValue]:
        if reason := unless_start(subject):
            return self._nothing(reason)
        problem, w = TrainLoss.of(subject), flat(subject.params)
        if not math.isfinite(problem.loss_and_gradient(w)[0]):
            return self._nothing(NOT_FINITE)
        names = [f"chain {i}" for i in range(self.chains)]
        found = [self._chain(problem, w, generator(subject.spec.seeds.noise, "llc", name)) for name in names]
        return [
            known("llc", sum(found) / len(found), values=found, protocol=self._protocol(), version=self.version),
            known("llc.standard_error", standard_error(found), protocol=self._protocol(), version=self.version),
        ]

    def _chain(self, problem: TrainLoss, w: Float[Tensor, " size"], draw: np.random.Generator) -> float:
        losses = sgld(problem, w, draw, epsilon=self.epsilon, gamma=self.gamma, nbeta=self.nbeta, steps=self._steps())
        return learning_coefficient(losses, problem.loss_and_gradient(w)[0], nbeta=self.nbeta, burn_in=self.burn_in)

    def _steps(self) -> int:
        return self.burn_in + self.draws

    def _nothing(self, reason: str) -> list[MeasureValue]:
        return [undefined(name, reason, protocol=self._protocol(), version=self.version) for name in self.names]

    def _protocol(self) -> str:
        chain = f"epsilon={self.epsilon:g};gamma={self.gamma:g};nbeta={self.nbeta:g}"
        return f"{chain};burn_in={self.burn_in};draws={self.draws};chains={self.chains};batch=full"


def sgld(
    problem: Landscape,
    centre: Float[Tensor, " size"],
    draw: np.random.Generator,
    *,
    epsilon: float,
    gamma: float,
    nbeta: float,
    steps: int,
) -> Float[Tensor, " steps"]:
    """Losses along one chain that starts at the centre w*, before each of its steps.

    w <- w - (epsilon / 2) (nbeta grad L(w) + gamma (w - w*)) + sqrt(epsilon) xi. On a quadratic sum_i h_i w_i^2 / 2 the
    chain is an autoregression with known variance: with a_i = epsilon (nbeta h_i + gamma) / 2,
    nbeta E[L] = sum_i nbeta h_i / ((nbeta h_i + gamma) (1 - a_i / 2)) / 2, that is d/2 for small gamma and epsilon.

    Source: Lau et al. 2023 (arXiv 2308.12108), algorithm 1; Welling and Teh 2011, equation 4.
    """
    w, losses = centre.clone(), torch.empty(steps).double()
    for step in range(steps):
        losses[step], gradient = problem.loss_and_gradient(w)
        noise = torch.from_numpy(draw.standard_normal(len(w)))
        w = w - (epsilon / 2) * (nbeta * gradient + gamma * (w - centre)) + math.sqrt(epsilon) * noise
    return losses


def learning_coefficient(losses: Float[Tensor, " steps"], least: float, *, nbeta: float, burn_in: int) -> float:
    """nbeta (mean loss of the steps after `burn_in` - loss at the centre)."""
    return nbeta * (float(losses[burn_in:].mean()) - least)


def standard_error(found: Sequence[float]) -> float:
    """Of the mean of independent estimates; NaN of a single one."""
    if len(found) < 2:
        return math.nan
    return float(torch.tensor(found, dtype=torch.float64).std()) / math.sqrt(len(found))
