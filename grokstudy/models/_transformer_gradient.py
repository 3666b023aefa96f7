"""The gradient of a one-layer transformer, written out for one member.

Exact up to rounding, and fewer operations than layer by layer, because only the rows' attention and neurons are
computed per row:

- Everything linear before the softmax is a table over (position, token): n tokens at each position are far fewer than
  rows. "=" sees every position, so its query turns the keys into one score per table entry and head.
- Values are taken relative to that of "=": the pattern sums to 1, so a constant is added back once and only the other
  positions' values are gathered.
- No residual stream per row. With z the mixed values of a row and c what is the same in all rows,

      resid   = c + z W_O
      neurons = relu(z (W_O W_in) + c W_in + b_in)
      logits  = z (W_O W_U) + neurons (W_out W_U) + (c + b_out) W_U

  so the products of weights take the place of products of activations, forwards and backwards.

Names as in TransformerLens; `z` is its hook_z without the part of "=". `d_x` is the derivative of the loss by x.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from jaxtyping import Float, Int

from grokstudy.models._products import product, relu_product
from grokstudy.spec.interfaces import Loss

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OneLayerGradient:
    """`HandWritten` of a transformer with one layer."""

    vocab: int
    """Tokens without "="."""

    def prepare(self, inputs: Int[Tensor, "members rows positions"], dtype: torch.dtype) -> tuple[Tensor]:
        """Entry of the table that every row reads at every position: [members, positions, rows]."""
        import torch

        first_entries = torch.arange(inputs.shape[2], device=inputs.device) * self.vocab
        return ((inputs + first_entries).transpose(1, 2).contiguous(),)

    def logits(self, params: Mapping[str, Tensor], prepared: Sequence[Tensor]) -> Float[Tensor, "rows outputs"]:
        w, index = _Weights.of(params), prepared[0]
        tables = _tables(w, index.shape[0])
        return _hidden(w, tables, _attend(tables, index, w.W_Q.shape[0]).z).logits

    def write_gradient(
        self,
        params: Mapping[str, Tensor],
        prepared: Sequence[Tensor],
        labels: Int[Tensor, " rows"],
        weights: Float[Tensor, " rows"],
        loss: Loss,
        out: Mapping[str, Tensor],
    ) -> None:
        w, d_w, index = _Weights.of(params), _Weights.of(out), prepared[0]
        tables = _tables(w, index.shape[0])
        attention = _attend(tables, index, w.W_Q.shape[0])
        hidden = _hidden(w, tables, attention.z)
        d_logits = loss.logit_gradient(hidden.logits, labels).mul_(weights[:, None])
        d_z, d_c = _write_mlp_and_unembed(w, d_w, tables, attention.z, hidden, d_logits)
        d_tables = _attend_backwards(attention, index, d_z, tables)
        _write_attention_and_embed(w, d_w, tables, d_tables, d_c)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Weights:
    """One member's parameters, or the memory for their gradients."""

    W_E: Float[Tensor, "vocab_1 d_model"]
    W_pos: Float[Tensor, "positions_1 d_model"]
    W_Q: Float[Tensor, "heads d_model d_head"]
    W_K: Float[Tensor, "heads d_model d_head"]
    W_V: Float[Tensor, "heads d_model d_head"]
    W_O: Float[Tensor, "width d_model"]
    """Heads side by side: width = heads * d_head."""
    W_in: Float[Tensor, "d_model d_mlp"]
    b_in: Float[Tensor, " d_mlp"]
    W_out: Float[Tensor, "d_mlp d_model"]
    b_out: Float[Tensor, " d_model"]
    W_U: Float[Tensor, "d_model vocab_1"]

    @classmethod
    def of(cls, params: Mapping[str, Tensor]) -> _Weights:
        named = {name.rpartition(".")[2]: tensor for name, tensor in params.items()}
        return cls(**named | {"W_O": named["W_O"].flatten(0, 1)})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Tables:
    """What depends on a token and its position alone; the last entry is "="."""

    sources: Float[Tensor, "entries d_model"]
    """Residual stream before attention."""
    query: Float[Tensor, "heads d_head"]
    """Of "=", already divided by sqrt(d_head)."""
    reader: Float[Tensor, "heads d_model"]
    """W_K query: the score of a source is its product with this."""
    flat_V: Float[Tensor, "d_model width"]
    values_and_scores: Float[Tensor, "entries width_heads"]
    """Values relative to that of "=", then the scores: side by side, so that one gather takes both."""
    value_last: Float[Tensor, " width"]
    c: Float[Tensor, " d_model"]
    """The residual stream after attention of a row whose z is 0."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Attention:
    """Attention of every row from "="."""

    picked: Float[Tensor, "positions rows width_heads"]
    """Values and scores of the row's tokens."""
    values: Float[Tensor, "positions rows heads d_head"]
    """View of `picked`."""
    pattern: Float[Tensor, "positions_1 rows heads"]
    z: Float[Tensor, "rows width"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Hidden:
    """From z to the logits."""

    into_mlp: Float[Tensor, "width d_mlp"]
    """W_O W_in."""
    into_logits: Float[Tensor, "width vocab_1"]
    """W_O W_U."""
    W_L: Float[Tensor, "d_mlp vocab_1"]
    """W_out W_U."""
    neurons: Float[Tensor, "rows d_mlp"]
    logits: Float[Tensor, "rows vocab_1"]


def _tables(w: _Weights, positions: int) -> _Tables:
    import torch

    heads, _, d_head = w.W_Q.shape
    width = heads * d_head
    last = w.W_E[-1] + w.W_pos[-1]
    sources = torch.cat([(w.W_E[:-1] + w.W_pos[:positions, None]).flatten(0, 1), last[None]])
    query = torch.mv(w.W_Q.transpose(1, 2).flatten(0, 1), last).div_(math.sqrt(d_head)).unflatten(0, (heads, d_head))
    reader = torch.bmm(w.W_K, query[:, :, None])[:, :, 0]
    flat_V = w.W_V.transpose(0, 1).flatten(1)
    table = torch.cat([sources @ flat_V, sources @ reader.T], 1)
    value_last = table[-1, :width].clone()
    table[:, :width] -= value_last
    return _Tables(
        sources=sources,
        query=query,
        reader=reader,
        flat_V=flat_V,
        values_and_scores=table,
        value_last=value_last,
        c=torch.addmv(last, w.W_O.T, value_last),
    )


def _attend(tables: _Tables, index: Int[Tensor, "positions rows"], heads: int) -> _Attention:
    """pattern = softmax over positions of the scores; z = sum over positions of pattern * value, head by head."""
    import torch

    (positions, rows), width = index.shape, len(tables.value_last)
    picked = torch.nn.functional.embedding(index, tables.values_and_scores)
    values = picked[..., :width].unflatten(2, (heads, -1))
    score_last = tables.values_and_scores[-1, width:].expand(1, rows, heads)
    pattern = torch.cat([picked[..., width:], score_last]).softmax(0)
    z = (values * pattern[:positions, :, :, None]).sum(0).flatten(1)
    return _Attention(picked=picked, values=values, pattern=pattern, z=z)


def _hidden(w: _Weights, tables: _Tables, z: Float[Tensor, "rows width"]) -> _Hidden:
    """The module's formulas for neurons and logits."""
    into_mlp, into_logits, W_L = product(w.W_O, w.W_in), product(w.W_O, w.W_U), product(w.W_out, w.W_U)
    neurons = relu_product(z, into_mlp, tables.c @ w.W_in + w.b_in)
    direct = product(z, into_logits, bias=(tables.c + w.b_out) @ w.W_U)
    logits = product(neurons, W_L, plus=direct)
    return _Hidden(into_mlp=into_mlp, into_logits=into_logits, W_L=W_L, neurons=neurons, logits=logits)


def _write_mlp_and_unembed(
    w: _Weights,
    d_w: _Weights,
    tables: _Tables,
    z: Float[Tensor, "rows width"],
    hidden: _Hidden,
    d_logits: Float[Tensor, "rows vocab_1"],
) -> tuple[Float[Tensor, "rows width"], Float[Tensor, " d_model"]]:
    """Writes the gradients of W_O (all but the part of "="), MLP and unembedding; returns d_z and d_c.

    The composed matrices get their gradients from the rows, and pass them on: from M = A B follows d_A = d_M B^T and
    d_B = A^T d_M. A term that is the same in all rows sees the rows' sum.
    """
    import torch

    d_pre = product(d_logits, hidden.W_L.T)
    torch.ops.aten.threshold_backward.grad_input(d_pre, hidden.neurons, 0, grad_input=d_pre)  # 0 where relu was 0
    d_z = product(d_pre, hidden.into_mlp.T, plus=product(d_logits, hidden.into_logits.T))
    z_T, W_O_T = z.T.contiguous(), w.W_O.T.contiguous()
    d_into_mlp, d_into_logits = product(z_T, d_pre), product(z_T, d_logits)
    d_W_L = product(d_logits.T.contiguous(), hidden.neurons).T

    sum_pre, sum_logits = torch.sum(d_pre, 0, out=d_w.b_in), d_logits.sum(0)
    torch.mv(w.W_U, sum_logits, out=d_w.b_out)
    d_c = torch.addmv(d_w.b_out, w.W_in, sum_pre)
    torch.addr(product(W_O_T, d_into_mlp), tables.c, sum_pre, out=d_w.W_in)
    d_w.W_out.copy_(product(d_W_L, w.W_U.T))
    torch.addr(product(W_O_T, d_into_logits), tables.c + w.b_out, sum_logits, out=d_w.W_U)
    d_w.W_U.addmm_(w.W_out.T, d_W_L)
    d_W_O = product(d_into_mlp, w.W_in.T, plus=product(d_into_logits, w.W_U.T))
    torch.addr(d_W_O, tables.value_last, d_c, out=d_w.W_O)
    return d_z, d_c


def _attend_backwards(
    attention: _Attention, index: Int[Tensor, "positions rows"], d_z: Float[Tensor, "rows width"], tables: _Tables
) -> Float[Tensor, "entries width_heads"]:
    """d_values_and_scores. d_score_i = pattern_i (g_i - sum_j pattern_j g_j) with g_i = value_i . d_z, and g = 0 at
    "=".

    `attention.picked` is overwritten: nobody reads it afterwards, and its gradient has its shape.
    """
    import torch

    (positions, _), width = index.shape, len(tables.value_last)
    values, seen = attention.values, attention.pattern[:positions]
    d_heads = d_z.unflatten(1, values.shape[2:])
    g = (values * d_heads).sum(3)
    mean = (g * seen).sum(0)
    torch.mul(seen[..., None], d_heads, out=values)
    torch.mul(g - mean, seen, out=attention.picked[..., width:])
    entries = len(tables.values_and_scores)
    d_table: Tensor = torch.ops.aten.embedding_dense_backward(attention.picked, index, entries, -1, False)
    # The table's last entry is no token's: its scores are read by every row, its relative value is 0 and stays so.
    d_table[-1, width:] = -(mean * attention.pattern[positions]).sum(0)
    return d_table


def _write_attention_and_embed(
    w: _Weights,
    d_w: _Weights,
    tables: _Tables,
    d_tables: Float[Tensor, "entries width_heads"],
    d_c: Float[Tensor, " d_model"],
) -> None:
    """Writes the gradients of W_Q, W_K, W_V and the embeddings. `d_tables` is overwritten."""
    import torch

    heads, _, d_head = w.W_Q.shape
    width = heads * d_head
    d_values, d_scores = d_tables[:, :width], d_tables[:, width:]
    # The value of "=" is in c, and is subtracted from every entry.
    d_values[-1] = torch.mv(w.W_O, d_c) - d_values[:-1].sum(0)
    d_reader = d_scores.T @ tables.sources
    d_query = torch.bmm(d_reader[:, None], w.W_K)[:, 0].div_(math.sqrt(d_head))  # by the query before its division
    d_sources = torch.addmm(d_values @ tables.flat_V.T, d_scores, tables.reader)
    last = tables.sources[-1]
    d_last = d_sources[-1] + d_c + torch.mv(w.W_Q.transpose(0, 1).flatten(1), d_query.flatten())

    torch.mul(last[:, None], d_query[:, None], out=d_w.W_Q)
    torch.mul(d_reader[:, :, None], tables.query[:, None], out=d_w.W_K)
    d_w.W_V.copy_((tables.sources.T @ d_values).unflatten(1, (heads, d_head)).transpose(0, 1))
    d_tokens = d_sources[:-1].unflatten(0, (-1, len(w.W_E) - 1))
    torch.sum(d_tokens, 0, out=d_w.W_E[:-1])
    torch.sum(d_tokens, 1, out=d_w.W_pos[:-1])
    d_w.W_E[-1], d_w.W_pos[-1] = d_last, d_last
