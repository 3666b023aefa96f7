"""Optimizers, filters and decoupled terms against plain loops, and the laws that single ones obey."""

from __future__ import annotations

import dataclasses
import math
from collections import deque
from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from grokstudy.optimizers.langevin import Langevin
from grokstudy.optimizers.muon import COEFFICIENTS, Muon, orthogonalised
from grokstudy.spec.errors import BadInput
from grokstudy.spec.trial import TrialSpec
from tests.packs import assert_same_bits, run
from tests.plain import Params, Rule, plain_losses
from tests.trials import TINY, trial
from tests.updates import step_of

STEPS = 50
RELATIVE = 1e-9
"""In float64, as in test_plain_torch.py."""
Change = Callable[[], None]


# ---- plain loops


def optimizer_of(spec: TrialSpec, params: Params) -> torch.optim.Optimizer:
    """PyTorch's optimizer of the same name, without decay or warm-up."""
    o, kind = spec.optimizer, type(spec.optimizer).__name__
    if kind in ("SGD", "Langevin"):
        momentum, nesterov = getattr(o, "momentum", 0.0), getattr(o, "nesterov", False)
        return torch.optim.SGD(params.values(), lr=lr_of(spec), momentum=momentum, nesterov=nesterov)
    betas, eps = o.betas, o.eps  # type: ignore[attr-defined]
    if kind == "AdamW":
        decay = spec.strengths()["weight_decay"]
        return torch.optim.AdamW(params.values(), lr=lr_of(spec), betas=betas, eps=eps, weight_decay=decay)
    return torch.optim.Adam(params.values(), lr=lr_of(spec), betas=betas, eps=eps)


def lr_of(spec: TrialSpec) -> float:
    return spec.lr / (spec.model.output_scale**2 if getattr(spec.optimizer, "lr_over_scale2", False) else 1)


def gradients(params: Params) -> dict[str, Tensor]:
    grads = {name: tensor.grad for name, tensor in params.items()}
    return {name: grad for name, grad in grads.items() if grad is not None}


def plain(spec: TrialSpec, params: Params) -> Rule:
    optimizer = optimizer_of(spec, params)
    return lambda step: optimizer.step()


def decaying(spec: TrialSpec, params: Params) -> Rule:
    """Momentum with decoupled decay, which torch.optim.SGD does not have."""
    optimizer = optimizer_of(spec, params)

    def update(step: int) -> None:
        for tensor in params.values():
            tensor.mul_(1 - lr_of(spec) * spec.strengths()["weight_decay"])
        optimizer.step()

    return update


def grokfast_ema(spec: TrialSpec, params: Params) -> Rule:
    optimizer, alpha, lamb = optimizer_of(spec, params), spec.optimizer.filter_alpha, spec.optimizer.filter_lamb
    slow: dict[str, Tensor] = {}

    def update(step: int) -> None:
        for name, grad in gradients(params).items():
            slow[name] = alpha * slow.get(name, grad.clone()) + (1 - alpha) * grad
            grad.add_(lamb * slow[name])
        optimizer.step()

    return update


def grokfast_ma(spec: TrialSpec, params: Params) -> Rule:
    optimizer, window, lamb = optimizer_of(spec, params), spec.optimizer.filter_window, spec.optimizer.filter_lamb
    queues: dict[str, deque[Tensor]] = {name: deque(maxlen=window) for name in params}

    def update(step: int) -> None:
        for name, grad in gradients(params).items():
            queues[name].append(grad.clone())
            if len(queues[name]) == window:
                grad.add_(lamb * torch.stack(list(queues[name])).mean(0))
        optimizer.step()

    return update


def orthograd(spec: TrialSpec, params: Params) -> Rule:
    optimizer = optimizer_of(spec, params)

    def update(step: int) -> None:
        for name, grad in gradients(params).items():
            w = params[name]
            across = grad - (w * grad).sum() / (w * w).sum() * w
            grad.copy_(across * grad.norm() / across.norm())
        optimizer.step()

    return update


def towards_the_start(spec: TrialSpec, params: Params) -> Rule:
    optimizer, start = optimizer_of(spec, params), {name: x.detach().clone() for name, x in params.items()}

    def update(step: int) -> None:
        for name, tensor in params.items():
            tensor.sub_(lr_of(spec) * spec.regularization["weight_decay_init"] * (tensor - start[name]))
        optimizer.step()

    return update


def on_a_sphere(spec: TrialSpec, params: Params) -> Rule:
    optimizer, radius = optimizer_of(spec, params), spec.regularization["norm"] * length(params)

    def update(step: int) -> None:
        optimizer.step()
        factor = radius / length(params)
        for tensor in params.values():
            tensor.mul_(factor)

    return update


def length(params: Mapping[str, Tensor]) -> float:
    return math.sqrt(sum(tensor.detach().square().sum().item() for tensor in params.values()))


def muon(spec: TrialSpec, params: Params) -> Rule:
    """Head by head and matrix by matrix; AdamW for the rest; decay by Muon's learning rate everywhere."""
    o = spec.optimizer
    assert isinstance(o, Muon)
    hidden = spec.model.hidden_matrices()
    rest = [tensor for name, tensor in params.items() if name not in hidden]
    adam = torch.optim.Adam(rest, lr=o.adam_lr, betas=o.adam_betas, eps=o.adam_eps)
    buffers = {name: torch.zeros_like(params[name]) for name in hidden}

    def update(step: int) -> None:
        grads = gradients(params)
        for tensor in params.values():
            tensor.mul_(1 - o.lr * spec.regularization["weight_decay"])
        for name, buffer in buffers.items():
            buffer.mul_(o.momentum).add_((1 - o.momentum) * grads[name])
            ahead = (1 - o.momentum) * grads[name] + o.momentum * buffer if o.nesterov else buffer
            heads = ahead.reshape(-1, *ahead.shape[-2:])
            steps = torch.stack([newton_schulz(head, o.ns_steps) for head in heads]).reshape(ahead.shape)
            params[name].sub_(o.lr * math.sqrt(max(1, ahead.shape[-1] / ahead.shape[-2])) * steps)
        adam.step()

    return update


def newton_schulz(matrix: Float[Tensor, "rows columns"], steps: int) -> Float[Tensor, "rows columns"]:
    a, b, c = COEFFICIENTS
    x = matrix / matrix.norm()
    for _ in range(steps):
        x = a * x + b * x @ x.T @ x + c * x @ x.T @ x @ x.T @ x
    return x


SGD = {"name": "sgd", "lr": 5.0}
ADAM = {"name": "adam", "lr": 0.01}
ADAMW = {"name": "adamw", "lr": 0.01, "warmup": 0}
LOOPS: Mapping[str, tuple[Callable[[TrialSpec, Params], Rule], dict[str, object], dict[str, object]]] = {
    # name: (rule, optimizer, other settings)
    "adam": (plain, ADAM, {}),
    "adam with l2": (plain, ADAM, {"regularization.l2": 1e-4}),
    "adamw": (plain, ADAMW, {"regularization.weight_decay": 1.0}),
    "adamw with fix_lr_wd": (plain, {**ADAMW, "fix_lr_wd": 0.02}, {}),
    "l1": (plain, ADAMW, {"regularization.l1": 1e-4}),
    "sgd": (plain, SGD, {}),
    "sgd with momentum": (plain, {**SGD, "momentum": 0.9}, {}),
    "sgd with nesterov": (plain, {**SGD, "momentum": 0.9, "nesterov": True}, {}),
    "sgd with decay": (decaying, {**SGD, "momentum": 0.9}, {"regularization.weight_decay": 0.001}),
    "sgd with lr / alpha^2": (plain, {**SGD, "lr_over_scale2": True}, {"model.output_scale": 1.7}),
    "sgd with scaled logits": (plain, SGD, {"model.output_scale": 1.7}),
    "langevin at zero temperature": (plain, {"name": "langevin", "lr": 5.0}, {}),
    "grokfast_ema": (grokfast_ema, {**ADAMW, "filter": "grokfast_ema", "filter_alpha": 0.9}, {}),
    "grokfast_ma": (grokfast_ma, {**ADAMW, "filter": "grokfast_ma", "filter_window": 7}, {}),
    "grokfast_ma with sgd": (grokfast_ma, {**SGD, "filter": "grokfast_ma", "filter_window": 7}, {}),
    "orthograd": (orthograd, {**ADAMW, "filter": "orthograd"}, {}),
    "orthograd with sgd": (orthograd, {**SGD, "filter": "orthograd"}, {}),
    "weight_decay_init": (towards_the_start, ADAMW, {"regularization.weight_decay_init": 3.0}),
    "norm": (on_a_sphere, ADAMW, {"regularization.norm": 1.2}),
}
QUAD = {"task.p": 13, "model.width": 24, "regularization.weight_decay": 0.0, "engine.dtype": "float64"}


def assert_trains_as(spec: TrialSpec, rule: Callable[[TrialSpec, Params], Rule]) -> None:
    trained = run([spec], STEPS).trials[0]
    expected = np.array(plain_losses(spec, STEPS, rule))
    np.testing.assert_allclose(trained.columns[:, 0], expected[trained.steps], rtol=RELATIVE)
    assert expected[-1] < 0.98 * expected[0], "hardly anything was learned, so hardly anything was compared"


@pytest.mark.parametrize(("rule", "optimizer", "changes"), LOOPS.values(), ids=LOOPS)
def test_it_trains_as_a_plain_loop(
    rule: Callable[[TrialSpec, Params], Rule], optimizer: dict[str, object], changes: dict[str, object]
) -> None:
    assert_trains_as(trial("quad23", {**QUAD, **changes, "optimizer": optimizer}, seed=1), rule)


@pytest.mark.parametrize("nesterov", [True, False])
def test_muon_trains_as_a_plain_loop(nesterov: bool) -> None:
    changes = {**TINY, "engine.dtype": "float64", "regularization.weight_decay": 0.5}
    spec = trial("small31", {**changes, "optimizer": {"name": "muon", "nesterov": nesterov}}, seed=1)
    assert len({len(shape) for name, shape in shapes_of(spec) if name in spec.model.hidden_matrices()}) == 2, (
        "2d and heads"
    )
    assert_trains_as(spec, muon)


def shapes_of(spec: TrialSpec) -> list[tuple[str, torch.Size]]:
    return [(name, tensor.shape) for name, tensor in spec.model.init(spec.task.shape(), 0).items()]


# ---- Muon


@pytest.mark.parametrize("shape", [(16, 16), (12, 40), (40, 12)], ids=str)
def test_muon_takes_the_step_of_torch_optim_muon(shape: tuple[int, int]) -> None:
    """PyTorch iterates in bfloat16, whose roundings (2^-9) the iteration does not amplify for equal singular values:
    it ends 15 products later, so they differ by some percent of the step at most."""
    inputs, outputs = shape
    draw = torch.Generator().manual_seed(0)
    gradient = torch.linalg.qr(torch.randn(max(shape), min(shape), generator=draw))[0]
    gradient = gradient if inputs >= outputs else gradient.T
    theirs = torch.nn.Parameter(torch.zeros(outputs, inputs))  # a Linear layer keeps [outputs, inputs]
    theirs.grad = gradient.T.contiguous()
    torch.optim.Muon([theirs], lr=0.02, weight_decay=0.0, momentum=0.95, nesterov=True).step()
    ours = torch.zeros(1, inputs * outputs)
    Muon().update(step_of(Muon(), ours, gradient.reshape(1, -1).clone(), lr=0.02, matrix=shape))
    off = (ours.view(shape) - theirs.detach().T).norm() / theirs.detach().norm()
    assert theirs.detach().norm() > 0.05
    assert off < 0.03


@pytest.mark.parametrize("shape", [(16, 16), (12, 40), (40, 12), (3, 16, 8)], ids=str)
def test_newton_schulz_keeps_singular_vectors_and_evens_singular_values(shape: tuple[int, ...]) -> None:
    draw = torch.Generator().manual_seed(0)
    matrix = torch.randn(shape, generator=draw, dtype=torch.float64)
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    inner = u.mT @ orthogonalised(matrix, steps=5) @ v.mT
    values = inner.diagonal(dim1=-2, dim2=-1)
    torch.testing.assert_close(inner, torch.diag_embed(values), rtol=0, atol=1e-9)
    # The published iteration ends within 0.7 .. 1.2 for values above 0.02 of the norm, which random ones are.
    assert ((values > 0.6) & (values < 1.25)).all()


def test_muon_refuses_a_model_without_hidden_matrices() -> None:
    with pytest.raises(BadInput, match=r"optimizer: muon .* none.* optimizer=adamw"):
        trial("quad23", {"optimizer": {"name": "muon"}})


# ---- what does not go together

REFUSED: Mapping[str, tuple[dict[str, object], str]] = {
    "adam with decoupled decay": ({"optimizer": ADAM}, r"weight_decay: got 1.0.*optimizer=adamw"),
    "adam with fix_lr_wd": (
        {"optimizer": {**ADAM, "fix_lr_wd": 0.01}, "regularization.weight_decay": 0.0},
        r"optimizer=adamw",
    ),
    "nesterov without momentum": ({"optimizer": {**SGD, "nesterov": True}}, r"optimizer.nesterov: .*momentum=0"),
    "two homes of lr": (
        {"optimizer": {**SGD, "lr_over_scale2": True, "fix_lr_wd": 0.1}, "regularization.weight_decay": 0.0},
        r"fix_lr_wd",
    ),
    "langevin with a filter": ({"optimizer": {"name": "langevin", "filter": "orthograd"}}, r"filter: .*energy"),
    "langevin with dropout": (
        {"optimizer": {"name": "langevin"}, "regularization.dropout": 0.1},
        r"regularization.dropout: .*energy",
    ),
    "langevin on a sphere": ({"optimizer": {"name": "langevin"}, "regularization.norm": 1.0}, r"norm: .*energy"),
    "metropolis with mini-batches": ({"optimizer": {"name": "metropolis"}, "batch_size": 10}, r"batch_size: got 10"),
    "metropolis with dropout": (
        {"optimizer": {"name": "metropolis"}, "regularization.dropout": 0.1},
        r"dropout: has no energy",
    ),
    "metropolis with noise": (
        {"optimizer": {"name": "metropolis"}, "noise.temperature": 0.1},
        r"noise.temperature: .*learning rate",
    ),
    "metropolis with a filter": ({"optimizer": {"name": "metropolis", "filter": "orthograd"}}, r"no gradient"),
    "metropolis that cools to nothing": ({"optimizer": {"name": "metropolis", "horizon": 9}}, r"optimizer.end"),
    "dropout of everything": ({"regularization.dropout": 1.0}, r"dropout: got 1.0.* < 1"),
}


@pytest.mark.parametrize(("changes", "message"), REFUSED.values(), ids=REFUSED)
def test_what_would_do_nothing_or_mean_nothing_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        trial("quad23", changes)


def test_langevin_takes_every_term_that_is_a_force() -> None:
    changes = {"regularization.l1": 1e-3, "regularization.l2": 1e-3, "regularization.weight_decay_init": 0.1}
    spec = trial("quad23", {**changes, "optimizer": {"name": "langevin"}})
    assert isinstance(spec.optimizer, Langevin)


# ---- resuming

LONG: Mapping[str, dict[str, object]] = {
    "sgd": {"optimizer": {"name": "sgd", "lr": 40.0, "momentum": 0.9}, "regularization.weight_decay": 1e-4},
    "grokfast_ema": {"optimizer": {"name": "adamw", "lr": 0.01, "filter": "grokfast_ema"}},
    "grokfast_ma": {"optimizer": {"name": "adamw", "lr": 0.01, "filter": "grokfast_ma", "filter_window": 9}},
    "annealed": {"noise": {"temperature": 0.01, "schedule": "cosine", "horizon": 400, "end": 0.0}},
    "towards the start": {"regularization.weight_decay_init": 0.2},
}


@pytest.mark.slow
@pytest.mark.parametrize("changes", LONG.values(), ids=LONG)
def test_600_updates_equal_300_and_a_kill_and_300(changes: dict[str, object]) -> None:
    specs = [trial("quad23", changes, seed=seed) for seed in (4, 5)]
    first = run(specs, 600, kill_at=300)
    resumed = run(specs[1:], 600, resume=(300, [first.lane(specs[1])])).trials[0]
    whole = run(specs[1:], 600).trials[0]
    same = {"checkpoints": whole.checkpoints, "transition": whole.transition}
    assert_same_bits(whole, dataclasses.replace(resumed, **same))
