"""One block of a transformer, forwards and backwards, for one member.

Positions come first, so that the last positions, where queries and the MLP are computed, lie side by side. What reads
one position alone (norm, queries, keys, values) is computed of every entry of the residual stream: in the first block
an entry is a token at a position, in the others a row at a position.

`w` and `d_w` hold a block's tensors and the memory for their gradients by their names within it; `d_x` is the
derivative of the loss by x.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

from jaxtyping import Float, Int

from grokstudy.models._activation import Activation
from grokstudy.models._attention_gradient import Attended, attend, attend_backwards
from grokstudy.models._layers import Layer
from grokstudy.models._mlp_gradient import affine_product, hidden_layer, write_layer
from grokstudy.models._nonlinearity import Hidden, pull_back_
from grokstudy.models._norm import AFTER_BRANCH, AFTER_SUM, MLP_INPUT, QUERIES_AND_KEYS, Norms
from grokstudy.models._norm_gradient import Normed, normed, pull_back_norm
from grokstudy.models._products import product, product_over_rows

if TYPE_CHECKING:
    from torch import Tensor


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Added:
    """A branch added to the residual stream, with the norms around the sum."""

    branch: Normed
    sum: Normed


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _MLP:
    read: Normed
    hidden: Hidden
    added: _Added


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Passed:
    """What a block computed."""

    read: Normed
    """What queries, keys and values read, of every entry."""
    W_Q: Float[Tensor, "d_model width"]
    """Heads side by side, as in what follows."""
    W_KV: Float[Tensor, "d_model keys_and_values"]
    attended: Attended
    added: _Added
    mlp: _MLP | None
    """None in a block without MLP."""

    @property
    def post(self) -> Float[Tensor, "count rows d_model"]:
        """The residual stream after the block."""
        last = self.added if self.mlp is None else self.mlp.added
        post: Tensor = last.sum.y.unflatten(0, self.attended.z.shape[:2])
        return post


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BlockGradient:
    """A block with softmax attention whose queries, keys and values read the same, and an MLP without gate, or none."""

    heads: int
    causal: bool
    activation: Activation
    mlp: bool
    mlp_bias: bool
    norms: Norms

    def forward(
        self,
        w: Mapping[str, Tensor],
        x: Float[Tensor, "positions entries d_model"],
        tokens: Int[Tensor, "positions rows"] | None,
        count: int,
    ) -> Passed:
        """The block at the last `count` positions. `tokens` are the entries that the rows read; None = the entries are
        the rows."""
        import torch

        first = len(x) - count
        read = normed(self.norms, QUERIES_AND_KEYS, "ln1", w, x)
        W_Q = _side_by_side(w["attn.W_Q"])
        W_KV = torch.cat([_side_by_side(w["attn.W_K"]), _side_by_side(w["attn.W_V"])], 1)
        kv = _rows(project(read.y, W_KV), tokens).unflatten(2, (2, self.heads, -1))
        q = _rows(project(read.y[first:], W_Q), tokens).unflatten(2, (self.heads, -1))
        attended = attend(q, kv[:, :, 0], kv[:, :, 1], causal=self.causal)
        out = product(attended.z.flatten(0, 1).flatten(1), w["attn.W_O"].flatten(0, 1))
        added = self._add(w, "ln1", _rows(x[first:], tokens).flatten(0, 1), out)
        mlp = self._mlp(w, added.sum.y) if self.mlp else None
        return Passed(read=read, W_Q=W_Q, W_KV=W_KV, attended=attended, added=added, mlp=mlp)

    def write_gradient(
        self,
        w: Mapping[str, Tensor],
        d_w: Mapping[str, Tensor],
        passed: Passed,
        tokens: Int[Tensor, "positions rows"] | None,
        d_post: Float[Tensor, "count rows d_model"],
    ) -> Float[Tensor, "positions entries d_model"]:
        """Writes the gradients of the block's tensors; returns d_x."""
        import torch

        d_mid = d_post.flatten(0, 1)
        if passed.mlp is not None:
            d_mid = self._pull_back_mlp(w, d_w, passed.mlp, d_mid)
        d_x_read, d_out = _pull_back_sum(w, d_w, "ln1", passed.added, d_mid)
        z, W_O = passed.attended.z, w["attn.W_O"].flatten(0, 1)
        d_w["attn.W_O"].flatten(0, 1).copy_(product_over_rows(z.flatten(0, 1).flatten(1), d_out))
        d_heads = [d.flatten(2) for d in attend_backwards(passed.attended, product(d_out, W_O.T).view_as(z))]

        entries = passed.read.y.shape[1]
        d_q = _entries(d_heads[0], tokens, entries)
        d_kv = _entries(torch.cat(d_heads[1:], 2), tokens, entries)
        first = len(d_kv) - len(d_q)
        _write_heads([d_w["attn.W_Q"]], passed.read.y[first:], d_q)
        _write_heads([d_w["attn.W_K"], d_w["attn.W_V"]], passed.read.y, d_kv)
        d_read = project(d_kv, passed.W_KV.T)
        d_read[first:] += project(d_q, passed.W_Q.T)
        d_x = pull_back_norm("ln1", w, d_w, d_read, passed.read)
        d_x[first:] += _entries(d_x_read.unflatten(0, z.shape[:2]), tokens, entries)
        return d_x

    def _mlp(self, w: Mapping[str, Tensor], mid: Float[Tensor, "rows d_model"]) -> _MLP:
        read = normed(self.norms, MLP_INPUT, "ln2", w, mid)
        hidden = hidden_layer(w, self._into(), read.y, self.activation)
        out = affine_product(w, self._out_of(), hidden.post)
        return _MLP(read=read, hidden=hidden, added=self._add(w, "ln2", mid, out))

    def _pull_back_mlp(
        self, w: Mapping[str, Tensor], d_w: Mapping[str, Tensor], mlp: _MLP, d_post: Float[Tensor, "rows d_model"]
    ) -> Float[Tensor, "rows d_model"]:
        d_mid, d_out = _pull_back_sum(w, d_w, "ln2", mlp.added, d_post)
        write_layer(self._out_of(), mlp.hidden.post, d_out, d_w)
        d_pre = pull_back_(self.activation, product(d_out, w["mlp.W_out"].T), mlp.hidden)
        write_layer(self._into(), mlp.read.y, d_pre, d_w)
        return d_mid + pull_back_norm("ln2", w, d_w, product(d_pre, w["mlp.W_in"].T), mlp.read)

    def _into(self) -> Layer:
        return Layer(W="mlp.W_in", b="mlp.b_in" if self.mlp_bias else None)

    def _out_of(self) -> Layer:
        return Layer(W="mlp.W_out", b="mlp.b_out" if self.mlp_bias else None)

    def _add(
        self, w: Mapping[str, Tensor], norm: str, x: Float[Tensor, "rows d_model"], out: Float[Tensor, "rows d_model"]
    ) -> _Added:
        branch = normed(self.norms, AFTER_BRANCH, f"{norm}_post", w, out)
        return _Added(branch=branch, sum=normed(self.norms, AFTER_SUM, norm, w, x + branch.y))


def _pull_back_sum(
    w: Mapping[str, Tensor], d_w: Mapping[str, Tensor], norm: str, added: _Added, d: Float[Tensor, "rows d_model"]
) -> tuple[Float[Tensor, "rows d_model"], Float[Tensor, "rows d_model"]]:
    """d_x and d_out of `_add`."""
    d_x = pull_back_norm(norm, w, d_w, d, added.sum)
    return d_x, pull_back_norm(f"{norm}_post", w, d_w, d_x, added.branch)


def _side_by_side(W: Float[Tensor, "heads d_model d_head"]) -> Float[Tensor, "d_model width"]:
    return W.transpose(0, 1).flatten(1)


def _write_heads(
    d_W: list[Float[Tensor, "heads d_model d_head"]],
    x: Float[Tensor, "positions entries d_model"],
    d: Float[Tensor, "positions entries columns"],
) -> None:
    """Gradients of matrices whose products with x lie side by side."""
    columns = product_over_rows(x.flatten(0, 1), d.flatten(0, 1))
    for target, own in zip(d_W, columns.chunk(len(d_W), 1), strict=True):
        target.copy_(own.unflatten(1, (len(target), -1)).transpose(0, 1))


def project(x: Float[Tensor, "positions entries m"], W: Float[Tensor, "m n"]) -> Float[Tensor, "positions entries n"]:
    """x W."""
    out: Tensor = product(x.flatten(0, 1), W).unflatten(0, x.shape[:2])
    return out


def _rows(
    table: Float[Tensor, "count entries size"], tokens: Int[Tensor, "positions rows"] | None
) -> Float[Tensor, "count rows size"]:
    """What every row reads at the last `count` positions."""
    import torch

    if tokens is None:
        return table
    return torch.nn.functional.embedding(_places(tokens, len(table), table.shape[1]), table.flatten(0, 1))


def _entries(
    d: Float[Tensor, "count rows size"], tokens: Int[Tensor, "positions rows"] | None, entries: int
) -> Float[Tensor, "count entries size"]:
    """The gradient of the table that `_rows` read: of each entry, the sum over its readers."""
    import torch

    if tokens is None:
        return d
    places = _places(tokens, len(d), entries)
    flat: Tensor = torch.ops.aten.embedding_dense_backward(d, places, len(d) * entries, -1, False)
    table: Tensor = flat.unflatten(0, (len(d), entries))
    return table


def _places(tokens: Int[Tensor, "positions rows"], count: int, entries: int) -> Int[Tensor, "count rows"]:
    """Where the entries of the last `count` positions lie in their table."""
    import torch

    return tokens[len(tokens) - count :] + entries * torch.arange(count, device=tokens.device)[:, None]
