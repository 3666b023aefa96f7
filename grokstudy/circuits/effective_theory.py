"""How fast a representation can form: what the train pairs alone say of it."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from grokstudy.circuits._parallelograms import MOST_NUMBERS, hessian
from grokstudy.circuits._values import NOT_FINITE, known
from grokstudy.circuits.representation import NO_PARALLELOGRAMS, TOO_MANY, adds_pairs, trained_pairs
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec, plugin_name

NAME = "effective_lambda_3"
PROTOCOL = "sums=integers;pairs=trained"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EffectiveTheory(Measure):
    """`effective_lambda_3`: the third smallest eigenvalue of the Hessian of the effective loss; larger = faster.

    The loss is the mean of |E_i + E_n - E_j - E_m|^2 over parallelograms of two trained pairs. Embeddings on a line,
    evenly spaced, have none, so two eigenvalues are 0; the third says how fast everything else dies out: a line after
    about 1 / (lr lambda_3) updates, never if it is 0. A function of the split alone, the same at every checkpoint.

    Source: Liu et al. 2022 (arXiv 2205.10343), section 3.2.
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = (NAME,)
    default: ClassVar[bool] = False

    def applies(self, spec: TrialSpec) -> str | None:
        if adds_pairs(spec):
            return None
        return f"defined for sums of two numbers (task=sums, or modular with op=add), not task={plugin_name(spec.task)}"

    def measure(self, subject: Subject) -> list[MeasureValue]:
        value, reason = math.nan, NO_PARALLELOGRAMS
        if not all(bool(x.isfinite().all()) for x in subject.params.values()):
            reason = NOT_FINITE  # of a network that is lost nothing is said
        elif subject.data.shape.vocab > MOST_NUMBERS:
            reason = TOO_MANY
        else:
            value = third_eigenvalue(hessian(trained_pairs(subject.data)))
        return [known(NAME, value, protocol=PROTOCOL, version=self.version, otherwise=reason)]


def third_eigenvalue(matrix: Float[Tensor, "p p"]) -> float:
    """NaN if a number of `matrix` is NaN, or if it has fewer than three rows."""
    if len(matrix) < 3 or not bool(matrix.isfinite().all()):
        return math.nan
    return max(0.0, float(torch.linalg.eigvalsh(matrix)[2]))
