"""How far the loss can rise within a small box around the weights."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import minimize
from torch import Tensor

from grokstudy.circuits._gradients import Landscape, TrainLoss, flat, unless_start
from grokstudy.circuits._values import NOT_FINITE, known, undefined
from grokstudy.spec.draws import generator
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sharpness(Measure):
    """Largest relative rise of the trial's loss on its train rows in a box of a random subspace, in percent.

    `sharpness` = phi = 100 (max L - L(w)) / (1 + L(w)). The box: w + A y with |y_i| <= epsilon (|(A+ w)_i| + 1), the
    rows of A+ random unit vectors, A its pseudo-inverse. The maximum is what `iterations` of L-BFGS-B reach from a
    random point of the box; from the centre, where a trained network's gradient vanishes, they would reach nothing.

    Source: Keskar et al. 2017 (arXiv 1609.04836), section 2.2.2; Power et al. 2022 (arXiv 2201.02177), and its code.
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = ("sharpness",)
    default: ClassVar[bool] = False
    epsilon: float = 1e-3
    """Half the box's width in units of |(A+ w)_i| + 1."""
    dimensions: int = 10
    """Of the subspace."""
    iterations: int = 10

    def applies(self, spec: TrialSpec) -> str | None:
        return None

    def measure(self, subject: Subject) -> list[MeasureValue]:
        if reason := unless_start(subject):
            return [undefined("sharpness", reason, protocol=self._protocol(), version=self.version)]
        problem, w = TrainLoss.of(subject), flat(subject.params)
        if not math.isfinite(problem.loss_and_gradient(w)[0]):
            return [undefined("sharpness", NOT_FINITE, protocol=self._protocol(), version=self.version)]
        draw = generator(subject.spec.seeds.init, "sharpness")
        box = random_box(w, draw, dimensions=self.dimensions, epsilon=self.epsilon)
        phi = sharpness(problem, w, box, draw, iterations=self.iterations)
        return [known("sharpness", phi, protocol=self._protocol(), version=self.version)]

    def _protocol(self) -> str:
        return f"epsilon={self.epsilon:g};dimensions={self.dimensions};iterations={self.iterations};rows=train"


def random_box(
    w: Float[Tensor, " size"], draw: np.random.Generator, *, dimensions: int, epsilon: float
) -> Float[Tensor, "size dimensions"]:
    """The box around w as a matrix B: its points are w + B t with every |t_i| <= 1."""
    rows = torch.from_numpy(draw.uniform(-1.0, 1.0, (dimensions, len(w))))
    rows /= rows.norm(dim=1, keepdim=True)
    half_widths = epsilon * ((rows @ w).abs() + 1)
    box: Tensor = torch.linalg.pinv(rows) * half_widths
    return box


def sharpness(
    problem: Landscape,
    w: Float[Tensor, " size"],
    box: Float[Tensor, "size dimensions"],
    draw: np.random.Generator,
    *,
    iterations: int,
) -> float:
    """100 (max - L(w)) / (1 + L(w)), the maximum over w + box t, |t_i| <= 1, found by local ascent."""

    def slope(t: Float[np.ndarray, " dimensions"]) -> tuple[float, Float[np.ndarray, " dimensions"]]:
        loss, gradient = problem.loss_and_gradient(w + box @ torch.from_numpy(t))
        return loss, (box.T @ gradient).numpy()

    def descent(t: Float[np.ndarray, " dimensions"]) -> tuple[float, Float[np.ndarray, " dimensions"]]:
        loss, gradient = slope(t)
        return -loss / unit, -gradient / unit

    centre, _ = problem.loss_and_gradient(w)
    start = draw.uniform(-1.0, 1.0, box.shape[1])
    # L-BFGS-B first tries a step of length 1: in units of the first slope that is about the size of the box.
    unit = float(np.linalg.norm(slope(start)[1])) or 1.0
    tight = {"maxiter": iterations, "ftol": 0.0, "gtol": 0.0}
    found = minimize(descent, start, jac=True, method="L-BFGS-B", bounds=[(-1.0, 1.0)] * len(start), options=tight)
    # The centre is a point of the box too: phi is never negative.
    return 100 * (max(-float(found.fun) * unit, centre) - centre) / (1 + centre)
