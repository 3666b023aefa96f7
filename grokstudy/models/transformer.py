"""Decoder-only transformer without normalisation, read at its last position."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from jaxtyping import Float, Int

from grokstudy.models._transformer_gradient import OneLayerGradient
from grokstudy.spec.draws import generator
from grokstudy.spec.errors import BadInput
from grokstudy.spec.fields import setting
from grokstudy.spec.interfaces import HandWritten, Model, ReadMatrices, Shape

if TYPE_CHECKING:
    from torch import Tensor


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Transformer(Model):
    """Tokens a b = through causal attention and ReLU MLPs, no LayerNorm, logits over p + 1 tokens at "=".

    Learned positions, untied unembedding, biases in the MLPs only (zero at the start). Every weight starts normal with
    standard deviation 1/sqrt(d_model), W_U with 1/sqrt(d_vocab). At p = 113 the defaults have 226,816 parameters.

    Logits are read at one position, so the last layer computes its query, MLP and unembedding only there; in a
    one-layer network keys and values are computed once per (token, position) instead of once per row. Both are exact.

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 3 and the authors' `transformers.py`.
    """

    n_layers: int = setting(1, help="attention + MLP blocks")
    n_heads: int = setting(4, help="attention heads")
    d_model: int = setting(128, help="width of the residual stream")
    d_head: int | None = setting(None, help="width of a head; null = d_model / n_heads")
    d_mlp: int = setting(512, help="neurons of each MLP")

    def __post_init__(self) -> None:
        for name in ("n_layers", "n_heads", "d_model", "d_mlp"):
            if getattr(self, name) < 1:
                raise BadInput(f"model.{name}: got {getattr(self, name)}, must be >= 1.")
        if self.d_head is None:
            if self.d_model % self.n_heads:
                fits = [h for h in range(1, self.d_model + 1) if self.d_model % h == 0]
                near = min(fits, key=lambda h: abs(h - self.n_heads))
                raise BadInput(
                    f"model.n_heads: got {self.n_heads}, must divide model.d_model={self.d_model} (nearest: {near}), "
                    "or give model.d_head."
                )
            object.__setattr__(self, "d_head", self.d_model // self.n_heads)
        elif self.d_head < 1:
            raise BadInput(f"model.d_head: got {self.d_head}, must be >= 1.")

    def check(self, shape: Shape) -> None:
        if shape.vocab == 0:
            raise BadInput("model: transformer reads tokens; this task has real-valued inputs. Use mlp.")

    def init(self, shape: Shape, seed: int) -> dict[str, Tensor]:
        import torch

        vocab, d = shape.vocab + 1, self.d_model
        assert self.d_head is not None
        shapes: dict[str, tuple[int, ...]] = {"embed.W_E": (vocab, d), "pos_embed.W_pos": (shape.positions + 1, d)}
        for layer in range(self.n_layers):
            block = f"blocks.{layer}"
            for name in ("W_Q", "W_K", "W_V"):
                shapes[f"{block}.attn.{name}"] = (self.n_heads, d, self.d_head)
            shapes[f"{block}.attn.W_O"] = (self.n_heads, self.d_head, d)
            shapes |= {f"{block}.mlp.W_in": (d, self.d_mlp), f"{block}.mlp.b_in": (self.d_mlp,)}
            shapes |= {f"{block}.mlp.W_out": (self.d_mlp, d), f"{block}.mlp.b_out": (d,)}
        shapes["unembed.W_U"] = (d, vocab)
        params = {}
        for name, size in shapes.items():
            if name.rpartition(".")[2].startswith("b_"):
                params[name] = torch.zeros(size, dtype=torch.float64)
            else:
                std = 1 / math.sqrt(vocab if name == "unembed.W_U" else d)
                params[name] = torch.from_numpy(generator(seed, "init", name).normal(0.0, std, size))
        return params

    def apply(
        self, params: Mapping[str, Tensor], inputs: Int[Tensor, "rows positions"]
    ) -> Float[Tensor, "rows outputs"]:
        return self.activations(params, inputs)["logits"] if self.n_layers > 1 else self._one_layer(params, inputs)

    def activations(self, params: Mapping[str, Tensor], inputs: Int[Tensor, "rows positions"]) -> dict[str, Tensor]:
        sources = self._embedded(params, inputs)
        for layer in range(self.n_layers - 1):
            sources = self._block(params, layer, [source.rows() for source in sources])
        block = f"blocks.{self.n_layers - 1}"
        mixed, pattern = self._attend_from_last(params, self.n_layers - 1, sources)
        resid = sources[-1].values + mixed @ params[f"{block}.attn.W_O"].flatten(0, 1)
        neurons = (resid @ params[f"{block}.mlp.W_in"] + params[f"{block}.mlp.b_in"]).relu()
        final = resid + neurons @ params[f"{block}.mlp.W_out"] + params[f"{block}.mlp.b_out"]
        return {
            f"{block}.attn.hook_pattern": pattern,
            f"{block}.hook_resid_mid": resid,
            f"{block}.mlp.hook_post": neurons,
            f"{block}.hook_resid_post": final,
            "neurons": neurons,
            "logits": final @ params["unembed.W_U"],
        }

    def matrices(self, params: Mapping[str, Tensor], shape: Shape) -> ReadMatrices:
        W_out = params[f"blocks.{self.n_layers - 1}.mlp.W_out"]
        return ReadMatrices(
            W_E=params["embed.W_E"][: shape.vocab].T, W_L=(W_out @ params["unembed.W_U"][:, : shape.classes]).T
        )

    def last_layer(self) -> str:
        return "unembed.W_U"

    def gradient_by_hand(self, shape: Shape) -> HandWritten | None:
        """Of one layer only: deeper, every position of every row is computed."""
        return OneLayerGradient(vocab=shape.vocab) if self.n_layers == 1 else None

    def _one_layer(
        self, params: Mapping[str, Tensor], inputs: Int[Tensor, "rows positions"]
    ) -> Float[Tensor, "rows outputs"]:
        """Logits without a residual stream per row: "=" starts alike in all rows, so what is linear in a row's mixed
        values composes to products of weights, as in `_transformer_gradient`."""
        import torch

        sources = self._embedded(params, inputs)
        mixed, _ = self._attend_from_last(params, 0, sources)
        last, W_O, W_U = sources[-1].values, params["blocks.0.attn.W_O"].flatten(0, 1), params["unembed.W_U"]
        W_in, b_in, W_out, b_out = (params[f"blocks.0.mlp.{name}"] for name in ("W_in", "b_in", "W_out", "b_out"))
        neurons = torch.addmm(last @ W_in + b_in, mixed, W_O @ W_in).relu_()
        direct = torch.addmm((last + b_out) @ W_U, mixed, W_O @ W_U)
        return torch.addmm(direct, neurons, W_out @ W_U)

    def _embedded(self, params: Mapping[str, Tensor], inputs: Int[Tensor, "rows positions"]) -> list[_Source]:
        """The residual stream at every position, as a table over tokens; the last position holds "=" in every row."""
        W_E, W_pos = params["embed.W_E"], params["pos_embed.W_pos"]
        tokens, last = inputs.shape[1], W_E.shape[0] - 1
        embedded = [_Source(W_E[:last] + W_pos[i], inputs[:, i]) for i in range(tokens)]
        return [*embedded, _Source((W_E[last] + W_pos[tokens])[None], None)]

    def _attend_from_last(
        self, params: Mapping[str, Tensor], layer: int, sources: list[_Source]
    ) -> tuple[Float[Tensor, "rows width"], Float[Tensor, "rows positions heads"]]:
        """Attention read at the last position: mixed values, heads side by side, and the pattern."""
        import torch

        x = sources[-1].values
        W = {name: params[f"blocks.{layer}.attn.{name}"].transpose(0, 1).flatten(1) for name in ("W_Q", "W_K", "W_V")}
        query = (x @ W["W_Q"]).unflatten(1, (self.n_heads, -1))
        keys = [_Source((s.values @ W["W_K"]).unflatten(1, (self.n_heads, -1)), s.index) for s in sources]
        if query.shape[0] == 1:  # one query for all rows: scores are tables too
            scores = [_Source((query * k.values).sum(2), k.index).rows() for k in keys]
        else:
            scores = [(query * k.rows()).sum(2) for k in keys]
        rows = max(s.shape[0] for s in scores)
        stacked = torch.stack([s.expand(rows, -1) for s in scores], 1)
        pattern = torch.softmax(stacked / math.sqrt(self.d_head or 1), 1)
        values = [_Source(s.values @ W["W_V"], s.index).rows().unflatten(1, (self.n_heads, -1)) for s in sources]
        mixed = sum(pattern[:, i, :, None] * value for i, value in enumerate(values))
        assert not isinstance(mixed, int)
        return mixed.flatten(1), pattern

    def _block(self, params: Mapping[str, Tensor], layer: int, stream: list[Tensor]) -> list[_Source]:
        """A whole block at every position, for layers below the last."""
        import torch

        rows = max(x.shape[0] for x in stream)
        x = torch.stack([s.expand(rows, -1) for s in stream], 1)
        q, k, v = (
            torch.einsum("npd,hde->nphe", x, params[f"blocks.{layer}.attn.{name}"]) for name in ("W_Q", "W_K", "W_V")
        )
        scores = torch.einsum("nqhe,nkhe->nhqk", q, k) / math.sqrt(self.d_head or 1)
        positions = x.shape[1]
        future = torch.ones(positions, positions, dtype=torch.bool, device=x.device).triu(1)
        pattern = torch.softmax(scores.masked_fill(future, -math.inf), -1)
        mixed = torch.einsum("nhqk,nkhe->nqhe", pattern, v)
        x = x + torch.einsum("nqhe,hed->nqd", mixed, params[f"blocks.{layer}.attn.W_O"])
        hidden = (x @ params[f"blocks.{layer}.mlp.W_in"] + params[f"blocks.{layer}.mlp.b_in"]).relu()
        x = x + hidden @ params[f"blocks.{layer}.mlp.W_out"] + params[f"blocks.{layer}.mlp.b_out"]
        return [_Source(x[:, i], None) for i in range(positions)]


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class _Source:
    """The residual stream at one position: a table over tokens with one index per row, or the rows themselves."""

    values: Tensor
    index: Tensor | None

    def rows(self) -> Tensor:
        import torch

        if self.index is None:
            return self.values
        table = self.values.flatten(1)
        rows: Tensor = torch.nn.functional.embedding(self.index, table).unflatten(1, self.values.shape[1:])
        return rows
