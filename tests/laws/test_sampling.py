"""Langevin and Metropolis: what they sample, and how Metropolis moves and cools."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from grokstudy.optimizers.metropolis import Metropolis
from grokstudy.optimizers.metropolis import temperature as temperature_at
from grokstudy.spec.trial import TrialSpec
from tests.packs import Trained, run
from tests.trials import trial
from tests.updates import step_of


def test_langevin_weights_that_no_row_reads_have_the_temperature() -> None:
    """Decay alone acts on embeddings of tokens outside the train set: theta^2 = T / (lambda (1 - lr lambda / 2)),
    here a third above T / lambda."""
    temperature, lr, decay = 0.01, 0.5, 1.0
    changes = {"task.p": 11, "task.frac_train": 0.05, "model.width": 64, "regularization.weight_decay": decay}
    changes |= {"optimizer": {"name": "langevin", "lr": lr}, "noise.temperature": temperature}
    specs = [trial("quad23", changes, seed=seed) for seed in range(6)]
    free = torch.cat([unread(spec, trained) for spec, trained in zip(specs, run(specs, 100).trials, strict=True)])
    expected = temperature / (decay * (1 - lr * decay / 2))
    assert len(free) > 3000
    assert abs(free.mean()) < 4 * math.sqrt(expected / len(free))
    assert abs(free.square().mean() / expected - 1) < 4 * math.sqrt(2 / len(free)), "4 sigma of a mean of squares"


def unread(spec: TrialSpec, trained: Trained) -> Float[Tensor, " weights"]:
    """Weights of tokens that no train row has in that place."""
    data, width = spec.task.data(spec.seeds), spec.model.width  # type: ignore[attr-defined]
    tables = trained.params.double().split([11 * width, 11 * width, width * 11])[:2]
    rows = []
    for table, read in zip(tables, data.inputs[data.train].T, strict=True):
        rows += [table.view(11, width)[token] for token in range(11) if token not in read]
    return torch.cat(rows)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_metropolis_samples_the_boltzmann_distribution(dtype: torch.dtype) -> None:
    """Energy |theta|^2 / 2 per member: every weight is normal with variance T."""
    temperature, members = 0.25, 4000
    optimizer = Metropolis(temperature=temperature, proposal=0.5)
    params = torch.zeros(members, 2, dtype=dtype)
    step = step_of(optimizer, params, torch.zeros_like(params))
    for _ in range(200):
        optimizer.update(step)
    squares = params.double().square().flatten()
    assert abs(squares.mean() / temperature - 1) < 4 * math.sqrt(2 / len(squares))
    assert abs((squares.square().mean() / temperature**2) / 3 - 1) < 4 * math.sqrt(96 / 9 / len(squares))


def test_metropolis_at_almost_no_temperature_never_goes_uphill() -> None:
    spec = trial("quad23", {"optimizer": {"name": "metropolis", "temperature": 1e-300}, "task.p": 5, "model.width": 8})
    losses = run([spec], 20).trials[0]
    energy = losses.columns[:, 0] + losses.columns[:, 4] / 2  # weight decay 1 in the energy
    assert (np.diff(energy) <= 1e-12).all()
    assert energy[-1] < energy[0]


def test_metropolis_cools_geometrically_to_its_end() -> None:
    params = torch.zeros(1, 1)
    cooling = Metropolis(temperature=1e-2, horizon=100, end=1e-6)
    values = [temperature_at(step_of(cooling, params, params, number=s)).item() for s in (0, 50, 100, 500)]
    np.testing.assert_allclose(values, [1e-2, 1e-4, 1e-6, 1e-6], rtol=1e-12)
    constant = Metropolis(temperature=1e-2)
    assert temperature_at(step_of(constant, params, params, number=77)).item() == 1e-2


def test_a_move_of_one_tensor_leaves_the_others() -> None:
    optimizer = Metropolis(temperature=1e6, moves="one_tensor")  # so hot that every move is kept
    spec = trial("quad23", {"optimizer": optimizer, "task.p": 5, "model.width": 8, "regularization.weight_decay": 0.0})
    weights = run([spec], 10).trials[0].checkpoints
    moved = {name for name in weights[0] if not torch.equal(weights[0][name], weights[1][name])}
    assert len(moved) == 1
    assert {name for name in weights[0] if not torch.equal(weights[0][name], weights[10][name])} == set(weights[0])


@pytest.mark.slow
def test_metropolis_solves_addition_modulo_5_without_a_gradient() -> None:
    optimizer = {"name": "metropolis", "temperature": 1e-3, "horizon": 4000, "end": 1e-6, "proposal": 0.02}
    changes = {"task.p": 5, "model.width": 16, "regularization.weight_decay": 0.0, "task.frac_train": 1.0}
    specs = [trial("quad23", {**changes, "optimizer": optimizer}, seed=seed) for seed in range(3)]
    for trained in run(specs, 6000).trials:
        assert trained.columns[0, 2] < 0.5
        assert trained.columns[-1, 2] == 1.0
