"""How linear the embedding of numbers is, and how many directions it uses."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from grokstudy.circuits._embedding import unless_one_table
from grokstudy.circuits._geometry import entropy_rank
from grokstudy.circuits._network import network
from grokstudy.circuits._parallelograms import HOLDS, MOST_NUMBERS, effective_loss, holding, reached
from grokstudy.circuits._values import NO_ROWS, NOT_FINITE, known
from grokstudy.circuits.circularity import NO_VARIANCE
from grokstudy.spec.interfaces import TaskData
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec, plugin_name
from grokstudy.tasks.integer import Integer
from grokstudy.tasks.max_of_k import MaxOfK
from grokstudy.tasks.modular import Modular
from grokstudy.tasks.multi_op import MultiOp
from grokstudy.tasks.recurrence import Recurrence
from grokstudy.tasks.sort import Sort
from grokstudy.tasks.sums import Sums

NUMBERS = (Modular, MultiOp, Recurrence, MaxOfK, Sort, Integer, Sums)
"""Tasks whose first tokens are the numbers 0, 1 ..., as many as there are classes, or all tokens are."""
NO_PARALLELOGRAMS = "no_parallelograms"
NOT_A_SUM = "answers_are_no_sums"
TOO_MANY = "too_many_parallelograms"
PREDICTIONS = ("predicted_accuracy.all", "predicted_accuracy.test", "effective_loss")

_SHAPE = f"sums=integers;error<{HOLDS}"
PROTOCOLS: Mapping[str, str] = {
    "rqi": _SHAPE,
    "rqi.parallelograms": _SHAPE,
    "predicted_accuracy.all": f"{_SHAPE};closure=1;over=pairs",
    "predicted_accuracy.test": f"{_SHAPE};closure=1;over=untrained",
    "effective_loss": "sums=integers;pairs=trained",
    "effective_dimension": "weights=variances",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Representation(Measure):
    """Parallelograms of the embedding E [numbers, width], what they predict, and the dimension it spans.

    Numbers i < j <= m < n with i + n = j + m (as integers, not modulo p) are a parallelogram; it holds if the mean over
    dimensions of (E_i + E_n - E_j - E_m)^2 is below 0.01, E normalised per dimension. `rqi` = share that holds
    (`rqi.parallelograms` = how many), 1 for numbers on a line; p = 10 has 70. **Circles do not score** (see
    circularity).

    For sums: D = pairs i <= j trained on in either order, D+ = D and the pairs that a holding parallelogram links to D.
    `predicted_accuracy.all` = |D+| / (p (p + 1) / 2) as in the paper, `.test` = |D+ - D| / untrained pairs as in its
    code, both one step of the closure; `effective_loss` = mean of |E_i + E_n - E_j - E_m|^2 over parallelograms of D,
    over the sum of |E_i|^2. `effective_dimension` = exp(-sum p_i ln p_i) of p_i = shares of variance of the principal
    components. Above 256 numbers only that is computed.

    Source: Liu et al. 2022 (arXiv 2205.10343), sections 3.1 to 3.3 and appendix; the authors' train_add.py.
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = tuple(PROTOCOLS)

    def applies(self, spec: TrialSpec) -> str | None:
        if not isinstance(spec.task, NUMBERS):
            names = "modular, multi_op, recurrence, max_of_k, sort, integer, sums"
            return f"defined for tokens that are numbers (task={names}), this trial has task={plugin_name(spec.task)}"
        return unless_one_table(spec)

    def measure(self, subject: Subject) -> list[MeasureValue]:
        net = network(subject)
        E = net.W_E[:, : net.p].T
        if not bool(E.isfinite().all()):
            return [self._value(name, math.nan, NOT_FINITE) for name in self.names]
        if not bool((E[0] != E).any()):
            return [self._value(name, math.nan, NO_VARIANCE) for name in self.names]
        return [
            *(self._parallelograms(subject, E) if len(E) <= MOST_NUMBERS else self._too_many()),
            self._value("effective_dimension", effective_dimension(E)),
        ]

    def _parallelograms(self, subject: Subject, E: Float[Tensor, "p width"]) -> list[MeasureValue]:
        holds = holding(E)
        structure = [
            self._value("rqi", float(holds.double().mean()), NO_PARALLELOGRAMS),
            self._value("rqi.parallelograms", int(holds.sum())),
        ]
        if not adds_pairs(subject.spec):
            return [*structure, *(self._value(name, math.nan, NOT_A_SUM) for name in PREDICTIONS)]
        trained = trained_pairs(subject.data)
        seen, pairs = int(trained.sum()), len(E) * (len(E) + 1) // 2
        found = int(reached(holds, trained).sum())
        return [
            *structure,
            self._value("predicted_accuracy.all", (seen + found) / pairs),
            self._value("predicted_accuracy.test", found / (pairs - seen) if pairs > seen else math.nan, NO_ROWS),
            self._value("effective_loss", effective_loss(E, trained), NO_PARALLELOGRAMS),
        ]

    def _too_many(self) -> list[MeasureValue]:
        return [self._value(name, math.nan, TOO_MANY) for name in self.names if name != "effective_dimension"]

    def _value(self, name: str, number: float, otherwise: str = NOT_FINITE) -> MeasureValue:
        """NULL with the reason `otherwise` for NaN."""
        return known(name, number, protocol=PROTOCOLS[name], version=self.version, otherwise=otherwise)


def adds_pairs(spec: TrialSpec) -> bool:
    """Whether answers are sums of two numbers, modulo p or not."""
    return isinstance(spec.task, Sums) or (isinstance(spec.task, Modular) and spec.task.op == "add")


def trained_pairs(data: TaskData) -> Bool[Tensor, "p p"]:
    """For i <= j: whether (i, j) or (j, i) is trained on."""
    pairs = torch.from_numpy(data.inputs[data.train]).long().sort(dim=1).values
    trained = torch.zeros(data.shape.vocab, data.shape.vocab, dtype=torch.bool)
    trained[pairs[:, 0], pairs[:, 1]] = True
    return trained


def effective_dimension(E: Float[Tensor, "numbers width"]) -> float:
    """exp of the entropy of the principal components' variances: 1 for points on a line, 2 for a circle."""
    return entropy_rank(torch.linalg.svdvals(E - E.mean(dim=0)) ** 2)
