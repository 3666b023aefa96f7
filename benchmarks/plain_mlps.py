"""Fully connected networks as the papers' authors write them: one-hot inputs, nn.Linear."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import torch
from jaxtyping import Float, Int, Num
from torch import Tensor, nn
from torch.nn import functional as F

from grokstudy.models.embed_mlp import EmbedMLP
from grokstudy.models.mlp import MLP
from grokstudy.models.onehot_mlp import OneHotMLP
from grokstudy.models.quad_mlp import QuadMLP
from grokstudy.models.tms import TMSNetwork
from grokstudy.spec.interfaces import Shape


class PlainQuadMLP(nn.Module):
    """Two one-hot inputs, square activation, no biases (Doshi et al. 2023, section 2)."""

    def __init__(self, model: QuadMLP, shape: Shape) -> None:
        super().__init__()
        self.vocab = shape.vocab
        self.U = nn.Parameter(torch.empty(shape.vocab, model.width))
        self.V = nn.Parameter(torch.empty(shape.vocab, model.width))
        self.W = nn.Parameter(torch.empty(model.width, shape.classes))

    def prepare(self, inputs: Int[Tensor, "rows 2"]) -> Float[Tensor, "rows 2 vocab"]:
        """One-hot tokens."""
        return F.one_hot(inputs, self.vocab).float()

    def load(self, drawn: Mapping[str, Tensor]) -> None:
        """Sets the weights to those that the engine's model starts from."""
        self.load_state_dict(dict(drawn))

    def forward(self, pairs: Float[Tensor, "rows 2 vocab"]) -> Float[Tensor, "rows classes"]:
        return (pairs[:, 0] @ self.U + pairs[:, 1] @ self.V) ** 2 @ self.W


class PlainLayers(nn.Module):
    """A chain of nn.Linear with ReLU between them, on real numbers or on concatenated one-hot tokens."""

    def __init__(self, model: MLP | OneHotMLP, shape: Shape) -> None:
        super().__init__()
        assert model.activation == "relu"
        self.vocab = shape.vocab
        bias = model.bias if isinstance(model, MLP) else "none"
        widths = [shape.positions * max(1, shape.vocab), *[model.width] * (model.depth - 1), shape.classes]
        last = model.depth - 1
        self.linear = nn.ModuleList(
            [
                nn.Linear(fan_in, fan_out, bias=bias == "all" or (bias == "hidden" and i < last))
                for i, (fan_in, fan_out) in enumerate(itertools.pairwise(widths))
            ]
        )

    def prepare(self, inputs: Num[Tensor, "rows positions"]) -> Float[Tensor, "rows features"]:
        """Features in float32."""
        return F.one_hot(inputs, self.vocab).flatten(1).float() if self.vocab else inputs.float()

    @torch.no_grad()
    def load(self, drawn: Mapping[str, Tensor]) -> None:
        """Sets the weights to those that the engine's model starts from."""
        for i, linear in enumerate(self.linear):
            assert isinstance(linear, nn.Linear)
            linear.weight.copy_(drawn[f"layers.{i}.W"].T)
            if f"layers.{i}.b" in drawn:
                linear.bias.copy_(drawn[f"layers.{i}.b"])

    def forward(self, x: Float[Tensor, "rows features"]) -> Float[Tensor, "rows classes"]:
        for linear in self.linear[:-1]:
            x = F.relu(linear(x))
        logits: Tensor = self.linear[-1](x)
        return logits


class PlainEmbedMLP(nn.Module):
    """Two embeddings side by side, one ReLU layer (Chughtai et al. 2023, section 4)."""

    def __init__(self, model: EmbedMLP, shape: Shape) -> None:
        super().__init__()
        assert model.embedding == "separate"
        assert model.combine == "concat"
        self.tables = nn.ModuleList([nn.Embedding(shape.vocab, model.d_embed) for _ in range(shape.positions)])
        self.hidden = nn.Linear(shape.positions * model.d_embed, model.width, bias=False)
        self.unembed = nn.Linear(model.width, shape.classes, bias=False)

    def prepare(self, inputs: Int[Tensor, "rows positions"]) -> Int[Tensor, "rows positions"]:
        """Tokens as they are."""
        return inputs

    @torch.no_grad()
    def load(self, drawn: Mapping[str, Tensor]) -> None:
        """Sets the weights to those that the engine's model starts from."""
        for table, weights in zip(self.tables, drawn["W_E"], strict=True):
            assert isinstance(table, nn.Embedding)
            table.weight.copy_(weights)
        self.hidden.weight.copy_(drawn["W_in"].T)
        self.unembed.weight.copy_(drawn["W_U"].T)

    def forward(self, tokens: Int[Tensor, "rows positions"]) -> Float[Tensor, "rows classes"]:
        x = torch.cat([table(tokens[:, i]) for i, table in enumerate(self.tables)], 1)
        logits: Tensor = self.unembed(F.relu(self.hidden(x)))
        return logits


class PlainTMS(nn.Module):
    """x' = ReLU(W^T W x + b) (Elhage et al. 2022, their notebook)."""

    def __init__(self, model: TMSNetwork, shape: Shape) -> None:
        super().__init__()
        assert model.activation == "relu"
        self.W = nn.Parameter(torch.empty(model.hidden, shape.positions))
        self.b = nn.Parameter(torch.empty(shape.positions))

    def prepare(self, inputs: Float[Tensor, "rows features"]) -> Float[Tensor, "rows features"]:
        """Features in float32."""
        return inputs.float()

    def load(self, drawn: Mapping[str, Tensor]) -> None:
        """Sets the weights to those that the engine's model starts from."""
        self.load_state_dict(dict(drawn))

    def forward(self, x: Float[Tensor, "rows features"]) -> Float[Tensor, "rows features 1"]:
        hidden = torch.einsum("rf,hf->rh", x, self.W)
        return F.relu(torch.einsum("rh,hf->rf", hidden, self.W) + self.b)[..., None]
