"""What single regularization terms do to a training."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from grokstudy.engine.evaluate import SUM_SQ, TRAIN_LOSS
from grokstudy.engine.signature import signature
from grokstudy.regularizers.l1 import L1
from grokstudy.regularizers.norm import Norm
from grokstudy.regularizers.weight_decay_init import WeightDecayInit
from grokstudy.spec.errors import BadInput
from tests.packs import assert_same_bits, run
from tests.trials import tiny, trial

SMALL = {"task.p": 11, "model.width": 16, "regularization.weight_decay": 0.0}


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64).unsqueeze(1)


def test_the_subgradient_of_l1_is_the_sign_and_zero_at_zero() -> None:
    addition = L1().gradient(torch.tensor([[-2.0, -0.0, 0.0, 1e-30, 3.0]]), column(0.5))
    assert addition is not None
    assert addition.tolist() == [[-0.5, 0.0, 0.0, 0.5, 0.5]]


def test_l1_makes_more_weights_small_than_l2_of_the_same_loss() -> None:
    """Kurtosis of the weights: the lasso's are sparse."""

    def kurtosis(changes: dict[str, float]) -> float:
        weights = run([trial("quad23", {**SMALL, **changes})], 400).trials[0].params.double()
        return float(weights.pow(4).mean() / weights.square().mean().square())

    sparse, dense = kurtosis({"regularization.l1": 3e-4}), kurtosis({"regularization.l2": 3e-4})
    assert sparse > dense


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_norm_is_held_to_rounding_from_the_first_update_on(dtype: str) -> None:
    specs = [
        trial("quad23", {**SMALL, "regularization.norm": norm, "engine.dtype": dtype, "init.scale": 1.5}, seed=seed)
        for seed, norm in enumerate((0.8, 1.0, 2.0))
    ]
    # Each weight is rounded once: the length is off by less than one rounding, its square by two.
    rounding = 2 * (2**-24 if dtype == "float32" else 2**-53) + 1e-15
    for spec, trained in zip(specs, run(specs, 25).trials, strict=True):
        squares = trained.columns[:, SUM_SQ]
        held = spec.regularization["norm"] ** 2 * squares[0]
        np.testing.assert_allclose(squares[1:], held, rtol=rounding)
        assert trained.columns[-1, TRAIN_LOSS] < trained.columns[1, TRAIN_LOSS]


def test_the_norm_scales_every_weight_alike() -> None:
    params, start = torch.randn(2, 2, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64).unbind()
    before = params.clone()
    Norm().project(params, start, column(0.5, 3.0))
    ratios = params / before
    torch.testing.assert_close(ratios, ratios[:, :1].expand_as(ratios), rtol=1e-14, atol=0)
    torch.testing.assert_close(params.norm(dim=1), torch.tensor([0.5, 3.0]) * start.norm(dim=1), rtol=1e-14, atol=0)


def test_decay_to_the_start_leaves_the_start_alone_and_pulls_back_to_it() -> None:
    start = torch.randn(1, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    at_start, away = start.clone(), start + 1
    WeightDecayInit().decay(at_start, start, column(0.1), column(2.0))
    WeightDecayInit().decay(away, start, column(0.1), column(2.0))
    assert torch.equal(at_start, start)
    torch.testing.assert_close(away - start, torch.full_like(start, 0.8), rtol=1e-14, atol=0)


def test_stronger_decay_to_the_start_stays_nearer_to_it() -> None:
    changes = {**SMALL, "optimizer.lr": 0.01}
    moved = []
    for strength in (0.0, 1.0, 10.0):
        trained = run([trial("quad23", {**changes, "regularization.weight_decay_init": strength})], 100).trials[0]
        start = torch.cat([tensor.flatten() for tensor in trained.checkpoints[0].values()])
        moved.append(float((trained.params - start).norm()))
    assert moved[0] > moved[1] > moved[2] > 0


def test_dropout_is_drawn_from_the_noise_seed_and_evaluations_drop_nothing() -> None:
    specs = [trial("quad23", {**SMALL, "regularization.dropout": 0.2, "seeds.noise": seed}) for seed in (0, 0, 1)]
    one, same, other = (run([spec], 25).trials[0] for spec in specs)
    assert_same_bits(one, same)
    assert not torch.equal(one.params, other.params)
    dry = run([trial("quad23", SMALL)], 25).trials[0]
    assert one.columns[0].tobytes() == dry.columns[0].tobytes()
    assert one.columns[-1, TRAIN_LOSS] != dry.columns[-1, TRAIN_LOSS]


def test_the_mean_gradient_under_dropout_of_a_linear_readout_is_the_gradient_plus_a_penalty() -> None:
    """One step of gradient descent from the same start, averaged over masks. W [neurons, classes] multiplies what is
    dropped, so for squared error dE/dW gains q / (1 - q) * diag(mean neurons^2) W (Srivastava et al. 2014)."""
    rate, draws = 0.3, 400
    base = {**SMALL, "optimizer": {"name": "sgd", "lr": 1.0}, "loss.reduction": "half_sum", "engine.dtype": "float64"}
    specs = [trial("quad23", {**base, "regularization.dropout": rate, "seeds.noise": i}) for i in range(draws)]
    assert len({signature(spec) for spec in specs}) == 1
    steps = torch.stack([t.checkpoints[1]["W"] - t.checkpoints[0]["W"] for t in run(specs, 1).trials])
    dry = run([trial("quad23", base)], 1).trials[0].checkpoints
    spec = specs[0]
    data = spec.task.data(spec.seeds)
    weights = {name: tensor.double() for name, tensor in dry[0].items()}
    neurons = spec.model.activations(weights, torch.from_numpy(data.inputs[data.train]))["neurons"]
    penalty = rate / (1 - rate) * neurons.square().mean(0)[:, None] * weights["W"]
    expected = (dry[1]["W"] - dry[0]["W"]) - penalty
    sigma = steps.std(0) / math.sqrt(draws)
    off = ((steps.mean(0) - expected) / sigma).square().mean()  # near 1 if the mean is right
    without = ((steps.mean(0) - expected - penalty) / sigma).square().mean()
    assert off < 1.5
    assert without > 5


def test_a_transformer_takes_dropout_too() -> None:
    spec = tiny({"regularization.dropout": 0.2})
    assert spec.model.dropout_sites(spec.task.shape())
    dry, wet = run([tiny()], 20).trials[0], run([spec], 20).trials[0]
    assert not torch.equal(dry.params, wet.params)
    assert_same_bits(wet, run([spec, tiny({"regularization.dropout": 0.6}, seed=1)], 20).trials[0])


@pytest.mark.parametrize("rate", [1.0, 1.5])
def test_nothing_can_drop_everything(rate: float) -> None:
    with pytest.raises(BadInput, match=r"regularization.dropout: got .* must be < 1"):
        trial("quad23", {"regularization.dropout": rate})
