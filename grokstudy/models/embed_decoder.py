"""A decoder on the sum of few-dimensional embeddings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from jaxtyping import Float, Int, Num

from grokstudy.models._layers import Chain, affine, check_size, hidden_sites, run
from grokstudy.models._lookup import LookupGradient, check_tokens, embedded, summed
from grokstudy.models._mlp_gradient import chain_logits, hidden_layer, write_chain, write_layer
from grokstudy.models._nonlinearity import Hidden, NonLinearity
from grokstudy.models._patch import EMBED, check_names, replaced
from grokstudy.models._products import product
from grokstudy.spec.draws import generator
from grokstudy.spec.errors import BadInput
from grokstudy.spec.fields import setting
from grokstudy.spec.interfaces import HandWritten, Loss, Model, ReadMatrices, Shape

if TYPE_CHECKING:
    import torch
    from torch import Tensor

TABLE = "W_E"
"""[vocab, d_embed]: one table for all positions."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EmbedDecoder(Model):
    """sum over positions i of E[token i] -> fully connected layers with biases -> answers.

    With numbers as tokens and one dimension, what generalises is that they lie on a line, in order and evenly spaced
    (`rqi`). The embedding starts uniform in +-embed_range, layers uniform in +-1/sqrt(fan_in), as torch.nn.Linear.
    Source: Liu et al. 2022 (arXiv 2205.10343), section 3 (1 dimension, decoder 1-200-200, tanh).
    """

    d_embed: int = setting(1, help="dimensions of the embedding")
    depth: int = setting(3, help="layers of weights of the decoder: hidden layers + 1")
    width: int = setting(200, help="neurons of every hidden layer")
    activation: NonLinearity = setting("tanh", help="non-linearity of hidden layers: relu, gelu, silu, tanh, quad")
    embed_range: float = setting(0.5, per_member=True, help="the embedding starts uniform in +- this")

    def __post_init__(self) -> None:
        check_size("d_embed", self.d_embed, 1)
        check_size("depth", self.depth, 2)
        check_size("width", self.width, 1)
        if self.embed_range <= 0:
            raise BadInput(f"model.embed_range: got {self.embed_range}, must be > 0.")

    def check(self, shape: Shape) -> None:
        check_tokens("embed_decoder", shape)

    def init(self, shape: Shape, seed: int) -> dict[str, Tensor]:
        import torch

        size = (shape.vocab, self.d_embed)
        table = generator(seed, "init", TABLE).uniform(-self.embed_range, self.embed_range, size)
        return {TABLE: torch.from_numpy(table), **self._chain(shape.classes).init(seed, "torch")}

    def apply(
        self,
        params: Mapping[str, Tensor],
        inputs: Int[Tensor, "rows positions"],
        keep: Mapping[str, Tensor] | None = None,
        *,
        answers: int = 0,
    ) -> Float[Tensor, "rows outputs"]:
        return self._decoded(params, summed(params[TABLE], inputs, stride=0), keep)["logits"]

    def activations(
        self,
        params: Mapping[str, Tensor],
        inputs: Int[Tensor, "rows positions"],
        *,
        answers: int = 0,
        patch: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        patch = patch or {}
        check_names(patch, (EMBED, *self._hidden()))
        each = replaced(patch, EMBED, embedded(params[TABLE], inputs, stride=0))
        return {EMBED: each, **self._decoded(params, each.sum(1), None, patch)}

    def matrices(self, params: Mapping[str, Tensor], shape: Shape) -> ReadMatrices:
        return ReadMatrices(W_E=params[TABLE].T, W_L=params[self.last_layer()].T)

    def last_layer(self) -> str:
        return f"layers.{self.depth - 1}.W"

    def dropout_sites(self, shape: Shape) -> Mapping[str, tuple[int, ...]]:
        return self._hidden()

    def hidden_matrices(self) -> Sequence[str]:
        return [f"layers.{i}.W" for i in range(1, self.depth - 1)]

    def embeddings(self) -> Sequence[str]:
        return [TABLE]

    def gradient_by_hand(self, shape: Shape) -> HandWritten:
        lookup = LookupGradient(table=TABLE, entries=shape.vocab, stride=0, layers=(), kind=self.activation)
        return _Gradient(lookup=lookup, chain=self._chain(), kind=self.activation)

    def _decoded(
        self,
        params: Mapping[str, Tensor],
        x: Float[Tensor, "rows d_embed"],
        keep: Mapping[str, Tensor] | None,
        patch: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        first, *later = self._chain().layers()
        return run(params, later, affine(params, first, x), self.activation, keep, patch)

    def _hidden(self) -> dict[str, tuple[int, ...]]:
        """Hidden layers by name, with their width."""
        return hidden_sites((self.width,) * (self.depth - 1))

    def _chain(self, outputs: int = 0) -> Chain:
        """The layers' names do not depend on the number of outputs."""
        return Chain(widths=(self.d_embed, *(self.width,) * (self.depth - 1), outputs), bias="all")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Gradient:
    """The gradient of the decoder, handed on to the rows of the table that its input is the sum of."""

    lookup: LookupGradient
    chain: Chain
    kind: NonLinearity

    def prepare(self, inputs: Int[Tensor, "members rows positions"], dtype: torch.dtype) -> tuple[Tensor, ...]:
        return self.lookup.prepare(inputs, dtype)

    def logits(self, params: Mapping[str, Tensor], prepared: Sequence[Tensor]) -> Float[Tensor, "rows outputs"]:
        _, hidden = self._first(params, prepared)
        return chain_logits(params, self.chain.layers()[1:], hidden, self.kind)

    def write_gradient(
        self,
        params: Mapping[str, Tensor],
        prepared: Sequence[Tensor],
        labels: Num[Tensor, "rows *outputs"],
        weights: Float[Tensor, " rows"],
        loss: Loss,
        out: Mapping[str, Tensor],
    ) -> None:
        first, *later = self.chain.layers()
        x, hidden = self._first(params, prepared)
        d_pre = write_chain(params, later, hidden, self.kind, labels, weights, loss, out)
        write_layer(first, x, d_pre, out)
        self.lookup.write_table(prepared, product(d_pre, params[first.W].T), out)

    def _first(self, params: Mapping[str, Tensor], prepared: Sequence[Tensor]) -> tuple[Tensor, Hidden]:
        """Sums of embeddings, and the first layer of neurons."""
        x = self.lookup.sums(params, prepared)
        return x, hidden_layer(params, self.chain.layers()[0], x, self.kind)
