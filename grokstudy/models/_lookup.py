"""First layers that read tokens: a one-hot input is never multiplied.

The first pre-activation of a row is a sum of rows of a table, one for each of its tokens; the table's gradient is a sum
of rows of the pre-activation's, one for each reader of an entry. Both are exact, and several times faster than products
with one-hot rows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from jaxtyping import Float, Int, Num

from grokstudy.models._layers import Layer
from grokstudy.models._mlp_gradient import chain_logits, write_chain
from grokstudy.models._nonlinearity import Hidden, NonLinearity, activate_
from grokstudy.spec.errors import BadInput
from grokstudy.spec.interfaces import Loss, Shape

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def check_tokens(model: str, shape: Shape) -> None:
    """Raises BadInput unless the task has tokens and one answer per row."""
    if not shape.vocab:
        raise BadInput(f"model: {model} reads tokens; this task has real inputs. Use model=mlp.")
    if shape.answers:
        raise BadInput(
            f"model: {model} answers for a row as a whole; this task's rows are sequences that hold their answers "
            f"({shape.answers}). Use model=transformer."
        )


def summed(
    table: Float[Tensor, "entries width"], inputs: Int[Tensor, "rows positions"], stride: int
) -> Float[Tensor, "rows width"]:
    """Sum over positions of the entries that a row's tokens read: token t at position i reads t + stride * i."""
    from torch.nn.functional import embedding

    total = embedding(inputs[:, 0], table)
    for i in range(1, inputs.shape[1]):
        total = total + embedding(inputs[:, i] + stride * i, table)
    return total


def embedded(
    table: Float[Tensor, "entries width"], inputs: Int[Tensor, "rows positions"], stride: int
) -> Float[Tensor, "rows positions width"]:
    """The entries that `summed` adds up."""
    import torch

    return table[inputs + stride * torch.arange(inputs.shape[1], device=inputs.device)]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LookupGradient:
    """`HandWritten` of a network whose first pre-activation is a sum of rows of a table: one per token of the input."""

    table: str
    """Name of the table [entries, width]."""
    entries: int
    stride: int
    """Token t at position i reads entry t + stride * i."""
    layers: tuple[Layer, ...]
    """Those after the table."""
    kind: NonLinearity

    def prepare(
        self, inputs: Int[Tensor, "members rows positions"], dtype: torch.dtype
    ) -> tuple[
        Int[Tensor, "members rows positions"], Int[Tensor, "members rows_positions"], Int[Tensor, "members entries"]
    ]:
        """The entries that each row reads; the rows that read each entry, entry by entry; where each entry's rows
        start."""
        import torch

        members, _, positions = inputs.shape
        entry = inputs + torch.arange(positions, device=inputs.device) * self.stride
        sorted_entries, order = entry.flatten(1).sort(dim=1, stable=True)
        every = torch.arange(self.entries, device=inputs.device).expand(members, -1).contiguous()
        return entry, order // positions, torch.searchsorted(sorted_entries, every)

    def logits(self, params: Mapping[str, Tensor], prepared: Sequence[Tensor]) -> Float[Tensor, "rows outputs"]:
        return chain_logits(params, self.layers, self._first(params, prepared), self.kind)

    def write_gradient(
        self,
        params: Mapping[str, Tensor],
        prepared: Sequence[Tensor],
        labels: Num[Tensor, "rows *outputs"],
        weights: Float[Tensor, " rows"],
        loss: Loss,
        out: Mapping[str, Tensor],
    ) -> None:
        hidden = self._first(params, prepared)
        self.write_table(prepared, write_chain(params, self.layers, hidden, self.kind, labels, weights, loss, out), out)

    def sums(self, params: Mapping[str, Tensor], prepared: Sequence[Tensor]) -> Float[Tensor, "rows width"]:
        """Of the entries that each row reads."""
        from torch.nn.functional import embedding_bag

        return embedding_bag(prepared[0], params[self.table], mode="sum")

    def write_table(
        self, prepared: Sequence[Tensor], d_sums: Float[Tensor, "rows width"], out: Mapping[str, Tensor]
    ) -> None:
        """Writes the table's gradient: an entry's is the sum over the rows that read it."""
        from torch.nn.functional import embedding_bag

        _, readers, starts = prepared
        out[self.table].copy_(embedding_bag(readers, d_sums, starts, mode="sum"))

    def _first(self, params: Mapping[str, Tensor], prepared: Sequence[Tensor]) -> Hidden:
        return activate_(self.kind, self.sums(params, prepared))
