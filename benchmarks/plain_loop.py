"""The loop to beat: one trial as the papers' authors train it, a module over every position and torch.optim.AdamW.

It starts from the weights and the split of the trial that the engine trains, so that both can be checked to agree.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from grokstudy.losses.ce64 import CrossEntropy64
from grokstudy.losses.mse_onehot import MSEOneHot
from grokstudy.models.quad_mlp import QuadMLP
from grokstudy.models.transformer import Transformer
from grokstudy.optimizers.adamw import AdamW
from grokstudy.spec.interfaces import Shape
from grokstudy.spec.trial import TrialSpec


def plain_step(spec: TrialSpec) -> Callable[[], float]:
    """A function that makes one full-batch update of the trial and returns the train loss before it."""
    data, shape = spec.task.data(spec.seeds), spec.task.shape()
    model = _module(spec, shape)
    loss_of = _loss(spec)
    assert isinstance(spec.optimizer, AdamW)
    warmup = spec.optimizer.warmup
    optimizer = torch.optim.AdamW(
        model.parameters(),
        lr=spec.optimizer.lr,
        betas=spec.optimizer.betas,
        eps=spec.optimizer.eps,
        weight_decay=spec.regularization["weight_decay"],
    )
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(step / warmup, 1.0) if warmup else 1.0)
    inputs, labels = torch.from_numpy(data.inputs[data.train]), torch.from_numpy(data.train_labels)
    if isinstance(model, PlainTransformer):
        inputs = torch.cat([inputs, torch.full((len(inputs), 1), shape.vocab)], 1)
    else:
        inputs = F.one_hot(inputs, shape.vocab).float()

    def step() -> float:
        loss = loss_of(model(inputs), labels)
        loss.backward()
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        return loss.item()

    return step


class PlainTransformer(nn.Module):
    """One layer without LayerNorm, computed at every position and read at the last (Nanda et al. 2023, their code)."""

    def __init__(self, model: Transformer, shape: Shape) -> None:
        super().__init__()
        assert model.n_layers == 1
        d, vocab, positions = model.d_model, shape.vocab + 1, shape.positions + 1
        assert model.d_head is not None
        self.embed = nn.ParameterDict({"W_E": torch.empty(vocab, d)})
        self.pos_embed = nn.ParameterDict({"W_pos": torch.empty(positions, d)})
        self.blocks = nn.ModuleList([_Block(d, model.n_heads, model.d_head, model.d_mlp, positions)])
        self.unembed = nn.ParameterDict({"W_U": torch.empty(d, vocab)})

    def forward(self, tokens: Int[Tensor, "rows positions"]) -> Float[Tensor, "rows vocab"]:
        x = self.embed["W_E"][tokens] + self.pos_embed["W_pos"]
        for block in self.blocks:
            x = block(x)
        logits: Tensor = x @ self.unembed["W_U"]
        return logits[:, -1]


class _Block(nn.Module):
    """Causal attention and a ReLU MLP, each added to the residual stream."""

    causal: Tensor

    def __init__(self, d: int, heads: int, d_head: int, d_mlp: int, positions: int) -> None:
        super().__init__()
        self.attn = nn.ParameterDict({name: torch.empty(heads, d, d_head) for name in ("W_Q", "W_K", "W_V")})
        self.attn["W_O"] = torch.empty(heads, d_head, d)
        self.mlp = nn.ParameterDict(
            {
                "W_in": torch.empty(d, d_mlp),
                "b_in": torch.empty(d_mlp),
                "W_out": torch.empty(d_mlp, d),
                "b_out": torch.empty(d),
            }
        )
        self.register_buffer("causal", torch.tril(torch.ones(positions, positions)).bool(), persistent=False)

    def forward(self, x: Float[Tensor, "rows positions d"]) -> Float[Tensor, "rows positions d"]:
        q, k, v = (torch.einsum("npd,hde->nhpe", x, self.attn[name]) for name in ("W_Q", "W_K", "W_V"))
        scores = torch.einsum("nhqe,nhke->nhqk", q, k) / math.sqrt(q.shape[-1])
        pattern = scores.masked_fill(~self.causal, -1e10).softmax(-1)
        mixed = torch.einsum("nhqk,nhke->nhqe", pattern, v)
        x = x + torch.einsum("nhqe,hed->nqd", mixed, self.attn["W_O"])
        neurons = F.relu(x @ self.mlp["W_in"] + self.mlp["b_in"])
        out: Tensor = x + neurons @ self.mlp["W_out"] + self.mlp["b_out"]
        return out


class PlainQuadMLP(nn.Module):
    """Two one-hot inputs, square activation, no biases (Doshi et al. 2023, section 2)."""

    def __init__(self, model: QuadMLP, shape: Shape) -> None:
        super().__init__()
        self.U = nn.Parameter(torch.empty(shape.vocab, model.width))
        self.V = nn.Parameter(torch.empty(shape.vocab, model.width))
        self.W = nn.Parameter(torch.empty(model.width, shape.classes))

    def forward(self, pairs: Float[Tensor, "rows 2 vocab"]) -> Float[Tensor, "rows classes"]:
        return (pairs[:, 0] @ self.U + pairs[:, 1] @ self.V) ** 2 @ self.W


def _module(spec: TrialSpec, shape: Shape) -> PlainTransformer | PlainQuadMLP:
    """The trial's network with the trial's initial weights; parameter names are those of the engine's model."""
    module: PlainTransformer | PlainQuadMLP
    if isinstance(spec.model, Transformer):
        module = PlainTransformer(spec.model, shape)
    else:
        assert isinstance(spec.model, QuadMLP)
        module = PlainQuadMLP(spec.model, shape)
    drawn = spec.model.init(shape, spec.seeds.init)
    module.load_state_dict({name: tensor.float() * spec.init.scale for name, tensor in drawn.items()})
    return module


def _loss(spec: TrialSpec) -> Callable[[Tensor, Tensor], Tensor]:
    if isinstance(spec.loss, CrossEntropy64):
        return lambda logits, labels: F.nll_loss(F.log_softmax(logits.double(), -1), labels)
    assert isinstance(spec.loss, MSEOneHot)
    assert spec.loss.reduction == "mean"
    return lambda logits, labels: F.mse_loss(logits, F.one_hot(labels, logits.shape[-1]).float())
