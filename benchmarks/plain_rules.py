"""Losses and update rules as the papers' authors write them: torch.optim, and what they do to gradients by hand."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from grokstudy.losses.ce64 import CrossEntropy64
from grokstudy.losses.hinge import Hinge
from grokstudy.losses.mse import MSE
from grokstudy.losses.mse_onehot import MSEOneHot
from grokstudy.optimizers.adam import Adam
from grokstudy.optimizers.adamw import AdamW
from grokstudy.optimizers.langevin import Langevin
from grokstudy.optimizers.muon import Muon
from grokstudy.optimizers.sgd import SGD
from grokstudy.spec.interfaces import TaskData
from grokstudy.spec.trial import TrialSpec

LossFunction: TypeAlias = Callable[[Tensor, Tensor], Tensor]
Rule: TypeAlias = Callable[[], None]
"""One update from the gradients in `.grad`."""
TINY = 1e-30


def plain_loss(spec: TrialSpec, data: TaskData) -> LossFunction:
    """(logits, labels) -> the loss trained on."""
    if isinstance(spec.loss, CrossEntropy64):
        return lambda logits, labels: F.nll_loss(F.log_softmax(logits.double(), -1).flatten(0, -2), labels.flatten())
    if isinstance(spec.loss, Hinge):  # torch divides the sum over classes by their number
        return lambda logits, labels: logits.shape[-1] * F.multi_margin_loss(logits, labels)
    if isinstance(spec.loss, MSE):
        assert data.weights is not None
        importance = torch.from_numpy(data.weights[0]).float()
        share = importance / importance.sum()
        return lambda out, labels: ((out - labels).square()[..., 0] @ share).mean()
    assert isinstance(spec.loss, MSEOneHot)
    if spec.loss.reduction == "half_sum":
        return lambda logits, labels: 0.5 * (logits - F.one_hot(labels, logits.shape[-1])).square().sum(-1).mean()
    return lambda logits, labels: F.mse_loss(logits, F.one_hot(labels, logits.shape[-1]).float())


def plain_rule(spec: TrialSpec, module: nn.Module) -> Rule:
    """What an author calls between `backward()` and `zero_grad()`."""
    filtered = _filter(spec, list(module.parameters()))
    optimizers, after = _optimizers(spec, module)
    warmup = getattr(spec.optimizer, "warmup", 0)
    schedulers = [
        torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(step / warmup, 1.0))
        for optimizer in (optimizers if warmup else [])
    ]

    def update() -> None:
        filtered()
        for optimizer in optimizers:
            optimizer.step()
        for scheduler in schedulers:
            scheduler.step()
        after()

    return update


def _optimizers(spec: TrialSpec, module: nn.Module) -> tuple[list[torch.optim.Optimizer], Rule]:
    """Those of torch, and what follows each of their steps."""
    rule, params = spec.optimizer, list(module.parameters())
    decay, l2 = spec.regularization["weight_decay"], spec.regularization["l2"]
    if isinstance(rule, AdamW):
        return [torch.optim.AdamW(params, lr=rule.lr, betas=rule.betas, eps=rule.eps, weight_decay=decay)], _nothing
    if isinstance(rule, Adam):
        return [torch.optim.Adam(params, lr=rule.lr, betas=rule.betas, eps=rule.eps, weight_decay=l2)], _nothing
    if isinstance(rule, SGD):
        lr = rule.lr / spec.model.output_scale**2 if rule.lr_over_scale2 else rule.lr
        return [torch.optim.SGD(params, lr=lr, momentum=rule.momentum, weight_decay=decay + l2)], _nothing
    if isinstance(rule, Langevin):
        amplitude = math.sqrt(2 * rule.lr * spec.noise.temperature)
        return [torch.optim.SGD(params, lr=rule.lr, weight_decay=decay)], lambda: _add_noise(params, amplitude)
    assert isinstance(rule, Muon)
    return _muon(spec, rule, module), _nothing


def _muon(spec: TrialSpec, rule: Muon, module: nn.Module) -> list[torch.optim.Optimizer]:
    """torch's Muon for the matrices, AdamW for the rest.

    Muon takes matrices [outputs, inputs] only, so that each head's is handed over as a transposed view of the module's
    own numbers and gradients.
    """
    named = dict(module.named_parameters())
    hidden = [named.pop(name) for name in spec.model.hidden_matrices()]
    for param in hidden:
        param.grad = torch.zeros_like(param)  # never freed, so that the views below stay those of the gradients
    matrices = []
    for param in hidden:
        assert param.grad is not None
        stacked, grads = (t.view(-1, *t.shape[-2:]) for t in (param.data, param.grad))
        for head, grad in zip(stacked, grads, strict=True):
            matrices.append(nn.Parameter(head.T))
            matrices[-1].grad = grad.T
    decay = spec.regularization["weight_decay"]
    muon = torch.optim.Muon(
        matrices, lr=rule.lr, weight_decay=decay, momentum=rule.momentum, nesterov=rule.nesterov, ns_steps=rule.ns_steps
    )
    adam = torch.optim.AdamW(
        named.values(),
        lr=rule.adam_lr,
        betas=rule.adam_betas,
        eps=rule.adam_eps,
        weight_decay=decay * rule.lr / rule.adam_lr,  # the engine's decay follows the matrices' learning rate
    )
    return [muon, adam]


def _filter(spec: TrialSpec, params: Sequence[nn.Parameter]) -> Rule:
    rule = spec.optimizer
    if rule.filter == "orthograd":
        return lambda: _orthogonalise(params)
    if rule.filter == "grokfast_ema":
        averages: list[Tensor] = []
        return lambda: _add_slow_gradients(params, averages, rule.filter_alpha, rule.filter_lamb)
    assert rule.filter == "none"
    return _nothing


@torch.no_grad()
def _orthogonalise(params: Sequence[nn.Parameter]) -> None:
    """The part of every gradient orthogonal to its weights, at the gradient's length (Prieto et al. 2025)."""
    for param in params:
        assert param.grad is not None
        w, g = param.view(-1), param.grad.view(-1)
        orthogonal = g - torch.dot(w, g) / (torch.dot(w, w) + TINY) * w
        g.copy_(orthogonal * (g.norm() / (orthogonal.norm() + TINY)))


@torch.no_grad()
def _add_slow_gradients(params: Sequence[nn.Parameter], averages: list[Tensor], alpha: float, lamb: float) -> None:
    """Lee et al. 2024, algorithm 2."""
    gradients = [param.grad for param in params if param.grad is not None]
    if not averages:
        averages += [gradient.clone() for gradient in gradients]
    else:
        for average, gradient in zip(averages, gradients, strict=True):
            average.mul_(alpha).add_(gradient, alpha=1 - alpha)
    for average, gradient in zip(averages, gradients, strict=True):
        gradient.add_(average, alpha=lamb)


@torch.no_grad()
def _add_noise(params: Sequence[nn.Parameter], amplitude: float) -> None:
    for param in params:
        param.add_(torch.randn_like(param), alpha=amplitude)


def _nothing() -> None:
    """Most rules need nothing around torch's own."""
