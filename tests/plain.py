"""Trainings written down plainly: every position computed, autograd, PyTorch's own losses, one network.

What the engine does is compared with these loops; nothing here is shared with it but the drawn weights and rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokstudy.models.transformer import Transformer
from grokstudy.spec.trial import TrialSpec

Forward = Callable[[Mapping[str, Tensor], Tensor], Tensor]
Params = dict[str, Tensor]
Rule = Callable[[int], None]
"""Makes the update after `step` updates from the gradients in `.grad`."""


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


def plain_losses(spec: TrialSpec, steps: int, rule_of: Callable[[TrialSpec, Params], Rule]) -> list[float]:
    """Train loss after 0 .. steps updates; coupled terms enter through the loss, everything else is the rule's."""
    data = spec.task.data(spec.seeds)
    start = spec.model.init(data.shape, spec.seeds.init)
    params = {name: (tensor * spec.init.scale).requires_grad_() for name, tensor in start.items()}
    rule = rule_of(spec, params)
    inputs, labels = torch.from_numpy(data.inputs[data.train]), torch.from_numpy(data.train_labels)
    forward, losses = forward_of(spec), []
    for step in range(steps + 1):
        loss = loss_of(type(spec.loss).__name__, spec.model.output_scale * forward(params, inputs), labels)
        losses.append(loss.item())
        squares = torch.stack([tensor.square().sum() for tensor in params.values()]).sum()
        absolute = torch.stack([tensor.abs().sum() for tensor in params.values()]).sum()
        strengths = spec.regularization
        for tensor in params.values():
            tensor.grad = None
        (loss + strengths["l2"] / 2 * squares + strengths["l1"] * absolute).backward()
        with torch.no_grad():
            rule(step)
    return losses
