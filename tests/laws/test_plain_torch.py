"""The engine against PyTorch written down plainly: every position computed, autograd, torch.optim.AdamW, one network.

Both run in float64, where rounding (1e-16 per operation, some 1e6 operations deep) stays far below the 1e-9 asked for;
a term that is missing, counted twice or taken at the wrong step moves the losses of 50 steps by far more.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch

from grokstudy.models.transformer import Transformer
from grokstudy.optimizers.adamw import AdamW
from grokstudy.spec.interfaces import Shape
from grokstudy.spec.trial import TrialSpec
from tests.packs import run
from tests.plain import Params, Rule, plain_losses, plain_transformer
from tests.trials import TINY, trial

STEPS = 50
RELATIVE = 1e-9


def adamw(spec: TrialSpec, params: Params) -> Rule:
    assert isinstance(spec.optimizer, AdamW)
    lr, betas, eps = spec.optimizer.lr, spec.optimizer.betas, spec.optimizer.eps
    decay = spec.regularization["weight_decay"]
    optimizer = torch.optim.AdamW(params.values(), lr=lr, betas=betas, eps=eps, weight_decay=decay)
    warm_up = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(step / 10, 1))

    def update(step: int) -> None:
        optimizer.step()
        warm_up.step()

    return update


@pytest.mark.parametrize("l2", [0.0, 1e-4], ids=["", "l2"])
@pytest.mark.parametrize("loss", [{"name": "ce64"}, {"name": "mse_onehot", "reduction": "mean"}], ids=["ce64", "mse"])
@pytest.mark.parametrize(
    ("preset", "changes"),
    [
        ("quad23", {}),
        ("small31", {**TINY, "model.n_layers": 1}),
        ("small31", {**TINY, "model.n_layers": 2}),
        ("small31", {**TINY, "model.n_layers": 2, "model.d_head": 3}),
    ],
    ids=["quad_mlp", "1 layer", "2 layers", "d_head 3"],
)
def test_the_engine_trains_as_a_plain_pytorch_loop(
    preset: str, changes: dict[str, object], loss: dict[str, object], l2: float
) -> None:
    common = {"engine.dtype": "float64", "loss": loss, "regularization.l2": l2}
    common |= {"task.label_noise": 0.1, "init.scale": 0.9}
    spec = trial(preset, {**changes, **common}, seed=1)
    trained = run([spec], STEPS).trials[0]
    expected = np.array(plain_losses(spec, STEPS, adamw))
    np.testing.assert_allclose(trained.columns[:, 0], expected[trained.steps], rtol=RELATIVE)
    assert expected[-1] < 0.95 * expected[0], "hardly anything was learned, so hardly anything was compared"


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("d_head", [None, 5])
def test_logits_read_at_the_last_position_equal_those_of_all_positions(layers: int, d_head: int | None) -> None:
    model = Transformer(n_layers=layers, n_heads=2, d_model=12, d_head=d_head, d_mlp=20)
    shape = Shape(positions=2, vocab=7, classes=7)
    params = model.init(shape, seed=3)
    # Biases start at zero; a forward pass that forgets one must not look right.
    params = {name: tensor + 0.1 if name.endswith(("b_in", "b_out")) else tensor for name, tensor in params.items()}
    inputs = torch.cartesian_prod(torch.arange(7), torch.arange(7))
    torch.testing.assert_close(
        model.apply(params, inputs), plain_transformer(params, inputs)[:, -1], rtol=RELATIVE, atol=1e-12
    )
