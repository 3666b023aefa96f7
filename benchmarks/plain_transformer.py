"""Transformers as the papers' authors write them: a module that computes every position."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from grokstudy.models.transformer import Transformer
from grokstudy.spec.interfaces import Shape


class PlainTransformer(nn.Module):
    """Causal blocks at every position, read at the last or at the last few (Nanda et al. 2023, Power et al. 2022).

    Parameter names are those of the engine's model, but for norms, which are `nn.LayerNorm`.
    """

    fixed: Tensor

    def __init__(self, model: Transformer, shape: Shape) -> None:
        super().__init__()
        assert model.norm_site in ("off", "pre", "post")
        d = model.d_model
        self.answers = shape.answers
        self.equals = None if shape.answers or model.read == "last" else shape.vocab
        vocab, positions = shape.vocab + (self.equals is not None), shape.positions + (self.equals is not None)
        self.embed = nn.ParameterDict({"W_E": torch.empty(vocab, d)})
        if model.positions == "learned":
            self.pos_embed = nn.ParameterDict({"W_pos": torch.empty(positions, d)})
        else:
            assert model.positions == "sinusoidal"
            self.register_buffer("fixed", _sinusoids(positions, d), persistent=False)
        self.blocks = nn.ModuleList([_Block(model, positions) for _ in range(model.n_layers)])
        self.ln_final = nn.LayerNorm(d) if model.norm_site == "pre" else nn.Identity()
        self.unembed = nn.ParameterDict({"W_U": torch.empty(d, vocab)})

    def prepare(self, inputs: Int[Tensor, "rows positions"]) -> Int[Tensor, "rows tokens"]:
        """Tokens with "=" at the end, where the model has one."""
        if self.equals is None:
            return inputs
        return torch.cat([inputs, torch.full((len(inputs), 1), self.equals)], 1)

    def load(self, drawn: Mapping[str, Tensor]) -> None:
        """Sets the weights to those that the engine's model starts from."""
        norms = {"w": "weight", "b": "bias"}
        named = {name.rpartition("."): tensor for name, tensor in drawn.items()}
        self.load_state_dict({f"{module}.{norms.get(leaf, leaf)}": t for (module, _, leaf), t in named.items()})

    def forward(self, tokens: Int[Tensor, "rows tokens"]) -> Float[Tensor, "rows *answers vocab"]:
        x = self.embed["W_E"][tokens] + (self.pos_embed["W_pos"] if hasattr(self, "pos_embed") else self.fixed)
        for block in self.blocks:
            x = block(x)
        logits: Tensor = self.ln_final(x) @ self.unembed["W_U"]
        return logits[:, -self.answers :] if self.answers else logits[:, -1]


class _Block(nn.Module):
    """Causal attention and an MLP, each added to the residual stream."""

    causal: Tensor

    def __init__(self, model: Transformer, positions: int) -> None:
        super().__init__()
        d, heads, d_head, d_mlp = model.d_model, model.n_heads, model.d_head, model.d_mlp
        assert d_head is not None
        self.site, self.activation = model.norm_site, F.gelu if model.activation == "gelu" else F.relu
        self.attn = nn.ParameterDict({name: torch.empty(heads, d, d_head) for name in ("W_Q", "W_K", "W_V")})
        self.attn["W_O"] = torch.empty(heads, d_head, d)
        self.mlp = None
        if not model.attn_only:
            matrices = {"W_in": torch.empty(d, d_mlp), "W_out": torch.empty(d_mlp, d)}
            self.mlp = nn.ParameterDict(matrices | {"b_in": torch.empty(d_mlp), "b_out": torch.empty(d)})
        normed = model.norm_site != "off"
        self.ln1 = nn.LayerNorm(d) if normed else nn.Identity()
        self.ln2 = nn.LayerNorm(d) if normed and self.mlp is not None else nn.Identity()
        self.register_buffer("causal", torch.tril(torch.ones(positions, positions)).bool(), persistent=False)

    def forward(self, x: Float[Tensor, "rows positions d"]) -> Float[Tensor, "rows positions d"]:
        if self.site == "post":
            x = self.ln1(x + self._attention(x))
            return x if self.mlp is None else self.ln2(x + self._mlp(x))
        x = x + self._attention(self.ln1(x))
        return x if self.mlp is None else x + self._mlp(self.ln2(x))

    def _attention(self, x: Float[Tensor, "rows positions d"]) -> Float[Tensor, "rows positions d"]:
        q, k, v = (torch.einsum("npd,hde->nhpe", x, self.attn[name]) for name in ("W_Q", "W_K", "W_V"))
        scores = torch.einsum("nhqe,nhke->nhqk", q, k) / math.sqrt(q.shape[-1])
        pattern = scores.masked_fill(~self.causal, -1e10).softmax(-1)
        mixed = torch.einsum("nhqk,nhke->nhqe", pattern, v)
        return torch.einsum("nhqe,hed->nqd", mixed, self.attn["W_O"])

    def _mlp(self, x: Float[Tensor, "rows positions d"]) -> Float[Tensor, "rows positions d"]:
        assert self.mlp is not None
        out: Tensor = self.activation(x @ self.mlp["W_in"] + self.mlp["b_in"]) @ self.mlp["W_out"] + self.mlp["b_out"]
        return out


def _sinusoids(positions: int, d: int) -> Float[Tensor, "positions d"]:
    """Vaswani et al. 2017, each vector scaled to length 1, as in the engine's model."""
    angles = torch.arange(positions)[:, None] * 10_000.0 ** (-torch.arange(0, d, 2, dtype=torch.float64) / d)
    waves = torch.stack([angles.sin(), angles.cos()], 2).flatten(1)
    return (waves * math.sqrt(2 / d)).float()
