"""Attention of one block: read at the last position alone, or at the last few of a stack of positions."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from jaxtyping import Float, Int

from grokstudy.models._norm import QUERIES_AND_KEYS, VALUES, Norms
from grokstudy.models._positions import rotated

if TYPE_CHECKING:
    from torch import Tensor


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Source:
    """The residual stream at one position: a table over tokens with one index per row, or the rows themselves.

    A table of one entry without index is the same in every row ("=" before the first block).
    """

    values: Float[Tensor, "entries *size"]
    index: Int[Tensor, " rows"] | None

    def map(self, function: Callable[[Tensor], Tensor]) -> Source:
        """What acts on each vector alone acts on the table."""
        return Source(function(self.values), self.index)

    def rows(self) -> Float[Tensor, "rows *size"]:
        import torch

        if self.index is None:
            return self.values
        table = self.values.flatten(1)
        rows: Tensor = torch.nn.functional.embedding(self.index, table).unflatten(1, self.values.shape[1:])
        return rows


def stacked(sources: Sequence[Source]) -> Float[Tensor, "rows positions *size"]:
    """All positions of every row."""
    import torch

    each = [source.rows() for source in sources]
    rows = max(x.shape[0] for x in each)
    return torch.stack([x.expand(rows, *x.shape[1:]) for x in each], 1)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """pattern = rate * softmax(q k / sqrt(d_head)) + (1 - rate) over the positions that may be seen.

    The second term is the same for all of them, and is not divided by their number (Zhong et al. 2023, section 2.1).
    `w` holds the block's tensors by their names within it; without a softmax there are no W_Q and W_K.
    """

    d_head: int
    rate: float
    causal: bool
    rotary: bool
    norms: Norms

    def at_last(
        self, w: Mapping[str, Tensor], sources: Sequence[Source]
    ) -> tuple[Float[Tensor, "rows width"], Float[Tensor, "rows positions heads"]]:
        """Mixed values of the last position, heads side by side, and the pattern. It sees every position."""
        import torch

        if self.rate == 0:
            values = self._values(w, sources)
            mixed = torch.stack(torch.broadcast_tensors(*values)).sum(0)
            return mixed.flatten(1), torch.ones_like(mixed[:, None, :, 0]).expand(-1, len(values), -1)
        scores = self._scores_of_last(w, sources)
        rows = max(s.shape[0] for s in scores)
        aligned = torch.stack([s.expand(rows, -1) for s in scores], 1)
        pattern = self._blended(torch.softmax(aligned / math.sqrt(self.d_head), 1))
        total = sum(pattern[:, i, :, None] * value for i, value in enumerate(self._values(w, sources)))
        assert not isinstance(total, int)
        return total.flatten(1), pattern

    def at_end(
        self, w: Mapping[str, Tensor], x: Float[Tensor, "rows positions d_model"], count: int
    ) -> tuple[Float[Tensor, "rows count heads d_head"], Float[Tensor, "rows heads count positions"]]:
        """Mixed values of the last `count` positions, and the pattern."""
        import torch

        positions = x.shape[1]
        future = torch.ones(count, positions, dtype=torch.bool, device=x.device).triu(positions - count + 1)
        hidden = future if self.causal else torch.zeros_like(future)
        if self.rate == 0:
            pattern = (~hidden).to(x.dtype).expand(x.shape[0], w["attn.W_V"].shape[0], -1, -1)
        else:
            scores = self._scores_of_end(w, x, count) / math.sqrt(self.d_head)
            pattern = self._blended(torch.softmax(scores.masked_fill(hidden, -math.inf), -1))
            if self.rate != 1:
                pattern = pattern.masked_fill(hidden, 0)
        v = torch.einsum("npd,hde->nphe", self.norms.at(VALUES, "ln1", w, x), w["attn.W_V"])
        return torch.einsum("nhqk,nkhe->nqhe", pattern, v), pattern

    def _values(self, w: Mapping[str, Tensor], sources: Sequence[Source]) -> list[Float[Tensor, "rows heads d_head"]]:
        heads, W_V = w["attn.W_V"].shape[0], _side_by_side(w["attn.W_V"])
        read = [source.map(lambda x: self.norms.at(VALUES, "ln1", w, x) @ W_V) for source in sources]
        return [source.rows().unflatten(1, (heads, -1)) for source in read]

    def _scores_of_end(
        self, w: Mapping[str, Tensor], x: Float[Tensor, "rows positions d_model"], count: int
    ) -> Float[Tensor, "rows heads count positions"]:
        """Products of the last `count` queries with every key, before the division by sqrt(d_head)."""
        import torch

        x = self.norms.at(QUERIES_AND_KEYS, "ln1", w, x)
        first = x.shape[1] - count
        q = torch.einsum("npd,hde->nphe", x[:, first:] if first else x, w["attn.W_Q"])
        k = torch.einsum("npd,hde->nphe", x, w["attn.W_K"])
        if self.rotary:
            at = torch.arange(x.shape[1], device=x.device)
            q, k = rotated(q, at[first:]), rotated(k, at)
        return torch.einsum("nqhe,nkhe->nhqk", q, k)

    def _scores_of_last(self, w: Mapping[str, Tensor], sources: Sequence[Source]) -> list[Float[Tensor, "rows heads"]]:
        """Products of the last position's query with every key, before the division by sqrt(d_head)."""
        heads, W_Q, W_K = w["attn.W_Q"].shape[0], _side_by_side(w["attn.W_Q"]), _side_by_side(w["attn.W_K"])
        read = [source.map(lambda x: self.norms.at(QUERIES_AND_KEYS, "ln1", w, x)) for source in sources]
        query = self._turned((read[-1].values @ W_Q).unflatten(1, (heads, -1)), len(read) - 1)
        keys = [
            Source(self._turned((s.values @ W_K).unflatten(1, (heads, -1)), i), s.index) for i, s in enumerate(read)
        ]
        if read[-1].index is None and query.shape[0] == 1:  # one query for all rows: scores are tables too
            return [key.map(lambda k: (query * k).sum(2)).rows() for key in keys]
        queries = Source(query, read[-1].index).rows()
        return [(queries * key.rows()).sum(2) for key in keys]

    def _turned(self, x: Float[Tensor, "entries heads d_head"], position: int) -> Float[Tensor, "entries heads d_head"]:
        import torch

        if not self.rotary:
            return x
        return rotated(x[:, None], torch.tensor([position], device=x.device))[:, 0]

    def _blended(self, pattern: Tensor) -> Tensor:
        return pattern if self.rate == 1 else self.rate * pattern + (1 - self.rate)


def _side_by_side(W: Float[Tensor, "heads d_model d_head"]) -> Float[Tensor, "d_model width"]:
    return W.transpose(0, 1).flatten(1)
