"""Networks on finite groups, untrained or built by hand from known representations, and their measured values."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from grokstudy.circuits.reference.irreps import irreps
from grokstudy.losses.ce64 import CrossEntropy64
from grokstudy.models.quad_mlp import QuadMLP
from grokstudy.optimizers.adamw import AdamW
from grokstudy.spec.interfaces import Model
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec
from grokstudy.tasks.group import FiniteGroup
from grokstudy.tasks.modular import Modular

# Sums of at most 24^3 float64 terms of size 10 err by less than 13,824 * 10 * 1.1e-16 = 1.5e-11.
EXACT = 1e-10


def subject(model: Model, params: Mapping[str, Tensor], task: FiniteGroup | Modular) -> Subject:
    spec = TrialSpec(task=task, model=model, optimizer=AdamW(), loss=CrossEntropy64())
    return Subject(spec=spec, data=task.data(spec.seeds), params=params, key_freqs=None, final=params)


def untrained(model: Model, group: str, seed: int = 0) -> Subject:
    task = FiniteGroup(group=group, frac_train=0.5)
    return subject(model, {k: x.double() for k, x in model.init(task.shape(), seed).items()}, task)


def place(group: str, name: str) -> int:
    """Among the nontrivial irreps, from 0."""
    return [irrep.name for irrep in irreps(FiniteGroup(group=group).elements())].index(name) - 1


def planted(group: str, strengths: Mapping[str, float]) -> Subject:
    """A quadratic MLP whose logits are sum_rho strength_rho trace rho(a b c^-1), by hand.

    For each i, j, k two neurons (rho_ij(a) +- rho_jk(b))^2 with the read-out +- rho_ik(c) / 4: 4 x y = (x + y)^2 - (x -
    y)^2.
    """
    by_name = {irrep.name: irrep.matrices for irrep in irreps(FiniteGroup(group=group).elements())}
    U, V, W = [], [], []
    for name, strength in strengths.items():
        R = by_name[name]
        for i, j, k in np.ndindex(*(R.shape[1],) * 3):
            for sign in (1, -1):
                U.append(R[:, i, j])
                V.append(sign * R[:, j, k])
                W.append(sign * strength * R[:, i, k] / 4)
    params = {"U": np.stack(U, axis=1), "V": np.stack(V, axis=1), "W": np.stack(W)}
    tensors = {name: torch.from_numpy(np.ascontiguousarray(x)) for name, x in params.items()}
    return subject(QuadMLP(width=len(U)), tensors, FiniteGroup(group=group, frac_train=0.5))


def measured(measure: Measure, of: Subject, protocol: str = "") -> dict[str, MeasureValue]:
    return {value.measure: value for value in measure.measure(of) if protocol in value.protocol}


def number(values: Mapping[str, MeasureValue], name: str) -> float:
    value = values[name].value
    assert value is not None, values[name]
    return value


def numbers(values: Mapping[str, MeasureValue], name: str) -> tuple[float, ...]:
    found = values[name].values
    assert found is not None, values[name]
    return found
