"""The gradient of a transformer of any depth, written out for one member.

Exact up to rounding, and faster than automatic differentiation: every product goes through oneDNN, on the rows of all
positions at once, and nothing is kept but what a derivative reads. The first block computes norm, queries, keys and
values of every token at every position and not of every row; the last one computes queries, MLP and logits only at the
positions read.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from jaxtyping import Float, Int

from grokstudy.models._block import of_block
from grokstudy.models._block_gradient import BlockGradient, Passed, project
from grokstudy.models._norm import BEFORE_UNEMBEDDING
from grokstudy.models._norm_gradient import Normed, normed, pull_back_norm
from grokstudy.models._positions import Positions, position_vectors
from grokstudy.models._products import product_over_rows
from grokstudy.spec.interfaces import Loss

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DeepGradient:
    """`HandWritten` of a transformer of any depth, without rotary positions and with an unembedding of its own."""

    n_layers: int
    positions: Positions
    block: BlockGradient
    equals: int | None
    """The token that is appended to every row; None = none is."""
    answers: int
    """As in `Shape`."""

    def prepare(
        self, inputs: Int[Tensor, "members rows positions"], dtype: torch.dtype
    ) -> tuple[Int[Tensor, "members positions rows"]]:
        """The tokens, "=" included."""
        import torch

        if self.equals is not None:
            inputs = torch.nn.functional.pad(inputs, (0, 1), value=self.equals)
        return (inputs.transpose(1, 2).contiguous(),)

    def logits(
        self, params: Mapping[str, Tensor], prepared: Sequence[Tensor]
    ) -> Float[Tensor, "rows *answers outputs"]:
        x = self._embedded(params, prepared[0])
        for layer in range(self.n_layers):
            x = self._pass(params, layer, x, prepared[0]).post
        return self._logits(params, self._read(params, x))

    def write_gradient(
        self,
        params: Mapping[str, Tensor],
        prepared: Sequence[Tensor],
        labels: Int[Tensor, "rows *answers"],
        weights: Float[Tensor, "rows *answers"],
        loss: Loss,
        out: Mapping[str, Tensor],
    ) -> None:
        import torch

        tokens, passes = prepared[0], list[Passed]()
        x = self._embedded(params, tokens)
        for layer in range(self.n_layers):
            passes.append(self._pass(params, layer, x, tokens))
            x = passes[-1].post
        read = self._read(params, x)
        d_logits = loss.logit_gradient(self._logits(params, read), labels).mul_(weights[..., None])
        d = self._write_unembedding(params, out, read, d_logits)
        for layer in reversed(range(self.n_layers)):
            w, d_w = of_block(params, layer), of_block(out, layer)
            d = self.block.write_gradient(w, d_w, passes.pop(), None if layer else tokens, d)
        torch.sum(d, 0, out=out["embed.W_E"])
        if self.positions == "learned":
            torch.sum(d, 1, out=out["pos_embed.W_pos"])

    def _embedded(
        self, params: Mapping[str, Tensor], tokens: Int[Tensor, "positions rows"]
    ) -> Float[Tensor, "positions vocab d_model"]:
        """The residual stream of every token at every position."""
        W_E = params["embed.W_E"]
        at = position_vectors(self.positions, params, len(tokens))
        return W_E.expand(len(tokens), -1, -1) if at is None else W_E + at[:, None]

    def _pass(
        self,
        params: Mapping[str, Tensor],
        layer: int,
        x: Float[Tensor, "positions entries d_model"],
        tokens: Int[Tensor, "positions rows"],
    ) -> Passed:
        count = len(tokens) if layer < self.n_layers - 1 else max(self.answers, 1)
        return self.block.forward(of_block(params, layer), x, None if layer else tokens, count)

    def _read(self, params: Mapping[str, Tensor], x: Float[Tensor, "count rows d_model"]) -> Normed:
        """What the unembedding reads."""
        return normed(self.block.norms, BEFORE_UNEMBEDDING, "ln_final", params, x)

    def _logits(self, params: Mapping[str, Tensor], read: Normed) -> Float[Tensor, "rows *answers outputs"]:
        logits = project(read.y, params["unembed.W_U"])
        return logits.transpose(0, 1) if self.answers else logits[0]

    def _write_unembedding(
        self,
        params: Mapping[str, Tensor],
        out: Mapping[str, Tensor],
        read: Normed,
        d_logits: Float[Tensor, "rows *answers outputs"],
    ) -> Float[Tensor, "count rows d_model"]:
        """Writes the gradients of the unembedding and the norm before it; returns that of the residual stream."""
        d_logits = d_logits.transpose(0, 1).contiguous() if self.answers else d_logits[None]
        out["unembed.W_U"].copy_(product_over_rows(read.y.flatten(0, 1), d_logits.flatten(0, 1)))
        return pull_back_norm("ln_final", params, out, project(d_logits, params["unembed.W_U"].T), read)
