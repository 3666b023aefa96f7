"""Noise after updates: its size, its schedule, and what it may depend on."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from grokstudy.engine.draws import keep_masks, normal, uniform
from grokstudy.engine.signature import signature
from grokstudy.spec.trial import Noise, TrialSpec
from tests.packs import assert_same_bits, run
from tests.trials import trial

LR = 0.1
SGD = {"optimizer": {"name": "sgd", "lr": LR}, "regularization.weight_decay": 0.0, "engine.dtype": "float64"}
SCHEDULES = ("const", "linear", "exponential", "cosine")


def noisy(seed: int = 0, **noise: object) -> TrialSpec:
    return trial("quad23", {**SGD, "noise": noise}, seed=seed)


def first_noise(spec: TrialSpec) -> Float[Tensor, " size"]:
    """What the first update differs by from that without noise."""
    quiet = dataclasses.replace(spec, noise=Noise())
    return run([spec], 1).trials[0].params - run([quiet], 1).trials[0].params


def schedule(kind: str, temperature: float, horizon: int, end: float) -> dict[str, object]:
    if kind == "const":
        return {"temperature": temperature}
    return {"temperature": temperature, "schedule": kind, "horizon": horizon, "end": end}


def test_noise_is_normal_with_variance_2_lr_temperature() -> None:
    temperature = 0.02
    xi = first_noise(noisy(temperature=temperature)) / math.sqrt(2 * LR * temperature)
    n = len(xi)
    assert n > 8000
    # 4 sigma each: the mean of n normals, of their squares (variance 2), of their fourth powers (96).
    assert abs(xi.mean()) < 4 / math.sqrt(n)
    assert abs(xi.square().mean() - 1) < 4 * math.sqrt(2 / n)
    assert abs(xi.pow(4).mean() - 3) < 4 * math.sqrt(96 / n)
    neighbours = (xi[1:] * xi[:-1]).mean()
    assert abs(neighbours) < 4 / math.sqrt(n)


def test_noise_is_drawn_anew_for_every_update_and_seed() -> None:
    like = torch.zeros(1, 9000)
    draws = [normal([seed], purpose, number, like)[0] for seed, purpose, number in DRAWS]
    correlations = torch.corrcoef(torch.stack(draws)) - torch.eye(len(draws))
    assert correlations.abs().max() < 5 / math.sqrt(9000)


DRAWS = [(0, "noise", 0), (0, "noise", 1), (1, "noise", 0), (0, "proposal", 0), (10, "noise", 0), (1, "noise", 10)]


def test_cells_of_one_seed_share_their_noise() -> None:
    """A draw depends on seeds.noise and the step alone: temperatures and learning rates are compared in pairs."""
    one = first_noise(noisy(temperature=0.02)) / math.sqrt(2 * LR * 0.02)
    other = first_noise(trial("quad23", {**SGD, "optimizer.lr": 0.4, "noise.temperature": 1.0}))
    # Differences of weights of size 1 hold 1e-16, of noise of size .06.
    torch.testing.assert_close(other / math.sqrt(2 * 0.4), one, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("kind", "middle"), [("const", 0.8), ("linear", 0.45), ("exponential", math.sqrt(0.08)), ("cosine", 0.45)]
)
def test_schedules_start_at_the_temperature_and_are_at_the_end_from_horizon_on(kind: str, middle: float) -> None:
    noise = noisy(**schedule(kind, 0.8, 100, 0.1)).noise
    end = 0.8 if kind == "const" else 0.1
    values = [noise.at(step) for step in (0, 50, 100, 101, 10_000)]
    np.testing.assert_allclose(values, [0.8, middle, end, end, end], rtol=1e-12)
    along = [noise.at(step) for step in range(101)]
    assert along == sorted(along, reverse=True)


@pytest.mark.parametrize("kind", ["linear", "cosine"])
def test_after_cooling_to_zero_nothing_is_added(kind: str) -> None:
    """From step 3 on a trial goes on as one without noise would."""
    spec = noisy(**schedule(kind, 0.01, 3, 0.0))
    cold = run([spec], 3)
    after = run([spec], 9, resume=(3, [cold.lane(spec)])).trials[0]
    quiet = dataclasses.replace(spec, noise=Noise())
    assert torch.equal(run([quiet], 9, resume=(3, [cold.lane(spec)])).trials[0].params, after.params)
    assert not torch.equal(run([quiet], 9).trials[0].params, after.params)


@pytest.mark.parametrize("kind", SCHEDULES)
def test_packmates_and_kills_never_change_a_trials_noise(kind: str) -> None:
    noises = [schedule(kind, 0.001 * (i + 1), 10 + i, 1e-5) for i in range(4)]
    specs = [trial("quad23", {"noise": n, "optimizer.lr": 0.01 / (i + 1)}, seed=i) for i, n in enumerate(noises)]
    assert len({signature(spec) for spec in specs}) == 1
    first = run(specs, 25, kill_at=11)
    order = [specs[2], specs[0]]
    resumed = run(order, 25, resume=(11, [first.lane(spec) for spec in order]))
    together = run(specs, 25)
    for spec, second in zip(order, resumed.trials, strict=True):
        whole = run([spec], 25).trials[0]
        assert_same_bits(whole, together.trials[specs.index(spec)])
        assert_same_bits(whole, dataclasses.replace(second, checkpoints=whole.checkpoints))


def test_without_a_temperature_a_trial_draws_nothing() -> None:
    spec = trial("quad23", {"noise.temperature": 0.0})
    assert spec == trial("quad23")
    assert signature(spec) != signature(noisy(temperature=0.1))
    seeded = trial("quad23", {"seeds.noise": 7})
    one, other = run([spec], 25).trials[0], run([seeded], 25).trials[0]
    assert_same_bits(one, other)
    assert not torch.equal(first_noise(noisy(temperature=0.1)), first_noise(noisy(seed=1, temperature=0.1)))


def test_warm_up_scales_noise_with_the_learning_rate() -> None:
    """AdamW's first update has lr 0, so nothing moves at all; noise begins with the second."""
    weights = run([trial("quad23", {"noise.temperature": 0.01})], 2).trials[0].checkpoints
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert not any(torch.equal(weights[1][name], weights[2][name]) for name in weights[0])


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_masks_drop_their_share_and_keep_the_mean(rate: float) -> None:
    rates = torch.tensor([[rate], [0.3]], dtype=torch.float64)
    like = torch.zeros(1)
    masks = keep_masks([3, 3], rates, "neurons", 5, (200, 300), like)
    n = 200 * 300
    for mask, share in zip(masks, (rate, 0.3), strict=True):
        assert set(mask.unique().tolist()) == {0.0, torch.tensor(1.0).div(1 - share).item()}
        assert abs((mask == 0).double().mean() - share) < 4 * math.sqrt(share * (1 - share) / n)
    assert ((masks[0] == 0) <= (masks[1] == 0)).all() == (rate <= 0.3), "cells of one seed share what they drop"
    alone = keep_masks([3], rates[:1], "neurons", 5, (200, 300), like)
    assert torch.equal(alone[0], masks[0])
    assert not torch.equal(keep_masks([3], rates[:1], "other", 5, (200, 300), like), alone)
    assert not torch.equal(keep_masks([3], rates[:1], "neurons", 6, (200, 300), like), alone)


def test_uniform_numbers_are_one_per_member_and_independent_of_packmates() -> None:
    seeds = list(range(2000))
    numbers = uniform(seeds, "accept", 0, torch.device("cpu"))
    assert numbers.dtype == torch.float64
    assert ((numbers >= 0) & (numbers < 1)).all()
    assert abs(numbers.mean() - 0.5) < 4 * math.sqrt(1 / 12 / len(seeds))
    assert numbers[7] == uniform([7], "accept", 0, torch.device("cpu"))
