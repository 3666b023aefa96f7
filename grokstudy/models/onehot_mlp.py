"""Fully connected network on concatenated one-hot tokens."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from jaxtyping import Float, Int

from grokstudy.models._layers import Chain, check_size, hidden_sites, run
from grokstudy.models._lookup import LookupGradient, check_tokens, embedded, summed
from grokstudy.models._nonlinearity import NonLinearity
from grokstudy.models._patch import EMBED, check_names, replaced
from grokstudy.spec.fields import setting
from grokstudy.spec.interfaces import HandWritten, Model, ReadMatrices, Shape

if TYPE_CHECKING:
    from torch import Tensor

TABLE = "layers.0.W"
"""[positions * vocab, width]: one row for each token at each position."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OneHotMLP(Model):
    """Concatenated one-hot tokens -> hidden layers -> answers, no biases; needs two hidden layers to generalise.

    Weights start uniform in +-1/sqrt(fan_in), torch's default; the first layer's fan_in is positions * vocab. It is
    computed as a sum of its rows, which is the same product with a one-hot input and exact.
    Source: Prieto et al. 2025 (arXiv 2501.04697), section 3 and the authors' repository.
    """

    depth: int = setting(3, help="layers of weights: hidden layers + 1")
    width: int = setting(200, help="neurons of every hidden layer")
    activation: NonLinearity = setting("relu", help="non-linearity of hidden layers: relu, gelu, silu, tanh, quad")

    def __post_init__(self) -> None:
        check_size("depth", self.depth, 2)
        check_size("width", self.width, 1)

    def check(self, shape: Shape) -> None:
        check_tokens("onehot_mlp", shape)

    def init(self, shape: Shape, seed: int) -> dict[str, Tensor]:
        return self._chain(shape.positions * shape.vocab, shape.classes).init(seed, "torch")

    def apply(
        self,
        params: Mapping[str, Tensor],
        inputs: Int[Tensor, "rows positions"],
        keep: Mapping[str, Tensor] | None = None,
        *,
        answers: int = 0,
    ) -> Float[Tensor, "rows outputs"]:
        return self._run(params, inputs, keep)["logits"]

    def activations(
        self,
        params: Mapping[str, Tensor],
        inputs: Int[Tensor, "rows positions"],
        *,
        answers: int = 0,
        patch: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """`hook_embed` are the rows of the first matrix that a row's tokens read."""
        patch, table = patch or {}, params[TABLE]
        check_names(patch, (EMBED, *self._hidden()))
        each = replaced(patch, EMBED, embedded(table, inputs, stride=table.shape[0] // inputs.shape[1]))
        layers = self._chain().layers()[1:]
        return {EMBED: each, **run(params, layers, each.sum(1), self.activation, None, patch)}

    def matrices(self, params: Mapping[str, Tensor], shape: Shape) -> ReadMatrices:
        blocks = params[TABLE].unflatten(0, (shape.positions, shape.vocab))
        return ReadMatrices(W_E=blocks.transpose(1, 2).flatten(0, 1), W_L=params[self.last_layer()].T)

    def last_layer(self) -> str:
        return f"layers.{self.depth - 1}.W"

    def dropout_sites(self, shape: Shape) -> Mapping[str, tuple[int, ...]]:
        return self._hidden()

    def hidden_matrices(self) -> Sequence[str]:
        return [f"layers.{i}.W" for i in range(1, self.depth - 1)]

    def gradient_by_hand(self, shape: Shape) -> HandWritten:
        return LookupGradient(
            table=TABLE,
            entries=shape.positions * shape.vocab,
            stride=shape.vocab,
            layers=self._chain().layers()[1:],
            kind=self.activation,
        )

    def _run(
        self, params: Mapping[str, Tensor], inputs: Int[Tensor, "rows positions"], keep: Mapping[str, Tensor] | None
    ) -> dict[str, Tensor]:
        table = params[TABLE]
        pre = summed(table, inputs, stride=table.shape[0] // inputs.shape[1])
        return run(params, self._chain().layers()[1:], pre, self.activation, keep)

    def _hidden(self) -> dict[str, tuple[int, ...]]:
        """Hidden layers by name, with their width."""
        return hidden_sites((self.width,) * (self.depth - 1))

    def _chain(self, entries: int = 0, outputs: int = 0) -> Chain:
        """The layers' names do not depend on the numbers of table entries and outputs."""
        return Chain(widths=(entries, *(self.width,) * (self.depth - 1), outputs), bias="none")
