"""The engine against PyTorch written down plainly: every position computed, autograd, torch.optim.AdamW, one network.

Both run in float64, where rounding (1e-16 per operation, some 1e6 operations deep) stays far below the 1e-9 asked for;
a term that is missing, counted twice or taken at the wrong step moves the losses of 50 steps by far more.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokstudy.models.transformer import Transformer
from grokstudy.spec.interfaces import Shape, TaskData
from grokstudy.spec.trial import TrialSpec
from tests.packs import run
from tests.trials import TINY, trial

STEPS = 50
RELATIVE = 1e-9
Forward = Callable[[Mapping[str, Tensor], Tensor], Tensor]


def plain_transformer(params: Mapping[str, Tensor], inputs: Int[Tensor, "rows 2"]) -> Float[Tensor, "rows 3 vocab"]:
    """Logits at every position of `a b =`, full causal attention in every layer."""
    equals = params["embed.W_E"].shape[0] - 1
    tokens = torch.cat([inputs, torch.full_like(inputs[:, :1], equals)], 1)
    x = params["embed.W_E"][tokens] + params["pos_embed.W_pos"]
    layers = sum(name.endswith("W_Q") for name in params)
    for layer in range(layers):
        w = {name.rpartition(".")[2]: tensor for name, tensor in params.items() if name.startswith(f"blocks.{layer}.")}
        q, k, v = (torch.einsum("rpm,hmd->rhpd", x, w[name]) for name in ("W_Q", "W_K", "W_V"))
        scores = q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])
        allowed = torch.tril(torch.ones(scores.shape[-2:], dtype=torch.bool))
        z = torch.where(allowed, scores, -torch.inf).softmax(-1) @ v
        x = x + torch.einsum("rhpd,hdm->rpm", z, w["W_O"])
        x = x + torch.relu(x @ w["W_in"] + w["b_in"]) @ w["W_out"] + w["b_out"]
    return x @ params["unembed.W_U"]


def plain_quad(params: Mapping[str, Tensor], inputs: Int[Tensor, "rows 2"]) -> Float[Tensor, "rows vocab"]:
    a, b = (torch.nn.functional.one_hot(column, params["U"].shape[0]).double() for column in inputs.T)
    return (a @ params["U"] + b @ params["V"]).square() @ params["W"]


def forward_of(spec: TrialSpec) -> Forward:
    if isinstance(spec.model, Transformer):
        return lambda params, inputs: plain_transformer(params, inputs)[:, -1]
    return plain_quad


def loss_of(name: str, logits: Tensor, labels: Tensor) -> Tensor:
    if name == "CrossEntropy64":
        return torch.nn.functional.cross_entropy(logits, labels)
    target = torch.nn.functional.one_hot(labels, logits.shape[-1]).double()
    return torch.nn.functional.mse_loss(logits, target)


def plain_losses(spec: TrialSpec, data: TaskData) -> list[float]:
    """Train loss after 0 .. STEPS updates of a plain loop."""
    start = spec.model.init(data.shape, spec.seeds.init)
    params = {name: (tensor * spec.init.scale).requires_grad_() for name, tensor in start.items()}
    optimizer = torch.optim.AdamW(
        params.values(),
        lr=spec.optimizer.lr,  # type: ignore[attr-defined]
        betas=spec.optimizer.betas,  # type: ignore[attr-defined]
        eps=spec.optimizer.eps,  # type: ignore[attr-defined]
        weight_decay=spec.regularization["weight_decay"],
    )
    warm_up = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(step / 10, 1))
    inputs, labels = torch.from_numpy(data.inputs[data.train]), torch.from_numpy(data.train_labels)
    forward, losses = forward_of(spec), []
    for _ in range(STEPS + 1):
        optimizer.zero_grad()
        loss = loss_of(type(spec.loss).__name__, forward(params, inputs), labels)
        losses.append(loss.item())
        l2 = sum(tensor.square().sum() for tensor in params.values())
        (loss + spec.regularization["l2"] / 2 * l2).backward()
        optimizer.step()
        warm_up.step()
    return losses


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
    expected = np.array(plain_losses(spec, spec.task.data(spec.seeds)))
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
