"""One hidden layer on embedded tokens."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from jaxtyping import Float, Int, Num

from grokstudy.models._layers import Layer, check_size, drawn, run
from grokstudy.models._lookup import LookupGradient, check_tokens, embedded, summed
from grokstudy.models._patch import EMBED, NEURONS, check_names, replaced
from grokstudy.models._products import product
from grokstudy.spec.draws import generator
from grokstudy.spec.errors import BadInput
from grokstudy.spec.fields import setting
from grokstudy.spec.interfaces import HandWritten, Loss, Model, ReadMatrices, Shape

if TYPE_CHECKING:
    import torch
    from torch import Tensor

TABLE, READ_OUT = "table", "read_out"
"""Matrices that the parameters compose to."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EmbedMLP(Model):
    """Embedded tokens -> one ReLU layer -> answers, no biases; embeddings per position, shared, or tied to the answers.

        pre    = sum over positions i of E_i[token i] W_i    (W_i = W with combine=sum)
        logits = relu(pre) W_U, or relu(pre) W_out E^T with embedding=tied

    `W_E` holds the embeddings [positions, vocab, d_embed], or [1, ...] where positions share them; `W_in` the blocks
    [positions * d_embed, width], or [d_embed, width]. Weights start normal with variance 1/fan_in, embeddings with
    variance 1/d_embed unless embed_std is given. The defaults are the networks for groups; PAIR's for modular addition
    is embedding=tied, combine=sum, d_embed=500, width=24, with embed_std = sqrt(2/vocab).
    Source: Chughtai et al. 2023 (arXiv 2302.03025); Pearce et al. 2023 (github PAIR-code/ai-explorables, grokking).
    """

    d_embed: int = setting(256, help="width of the embeddings")
    width: int = setting(128, help="neurons of the hidden layer")
    embedding: Literal["separate", "shared", "tied"] = setting(
        "separate", help="one table per position, one for all, or one that also reads the answers out"
    )
    combine: Literal["concat", "sum"] = setting("concat", help="embeddings side by side, or added up")
    embed_std: float | None = setting(
        None, per_member=True, help="standard deviation of the initial embeddings; null = 1/sqrt(d_embed)"
    )

    def __post_init__(self) -> None:
        check_size("d_embed", self.d_embed, 1)
        check_size("width", self.width, 1)
        if self.embed_std is not None and self.embed_std <= 0:
            raise BadInput(f"model.embed_std: got {self.embed_std}, must be > 0, or null for 1/sqrt(d_embed).")

    def check(self, shape: Shape) -> None:
        check_tokens("embed_mlp", shape)
        if shape.positions == 1 and (self.embedding == "shared" or self.combine == "sum"):
            raise BadInput(
                "model.embedding, model.combine: rows of this task have one token, so there is nothing to share or to "
                "add up. Use embedding=separate or tied, combine=concat."
            )
        if self.embedding == "tied" and shape.vocab != shape.classes:
            raise BadInput(
                f"model.embedding: tied reads answers out of the embeddings, but this task has {shape.vocab} tokens "
                f"and {shape.classes} answers. Use model.embedding=shared."
            )

    def init(self, shape: Shape, seed: int) -> dict[str, Tensor]:
        import torch

        tables = shape.positions if self.embedding == "separate" else 1
        fan_in = self.d_embed * (shape.positions if self.combine == "concat" else 1)
        std = 1 / math.sqrt(self.d_embed) if self.embed_std is None else self.embed_std
        W_E = generator(seed, "init", "W_E").normal(0.0, std, (tables, shape.vocab, self.d_embed))
        last, outputs = ("W_out", self.d_embed) if self.embedding == "tied" else ("W_U", shape.classes)
        return {
            "W_E": torch.from_numpy(W_E),
            "W_in": drawn("lecun", seed, "W_in", (fan_in, self.width), fan_in),
            last: drawn("lecun", seed, last, (self.width, outputs), self.width),
        }

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
        patch, W_E = patch or {}, params["W_E"]
        check_names(patch, (EMBED, NEURONS))
        stride = W_E.shape[1] if W_E.shape[0] > 1 else 0  # one table may serve all positions
        each = replaced(patch, EMBED, embedded(W_E.flatten(0, 1), inputs, stride))
        if EMBED not in patch:
            return {EMBED: each, **self._run(params, inputs, None, patch)}
        pre = (each.sum(1) if self.combine == "sum" else each.flatten(1)) @ params["W_in"]
        return {EMBED: each, **run(_composed(params), (Layer(W=READ_OUT),), pre, "relu", None, patch)}

    def matrices(self, params: Mapping[str, Tensor], shape: Shape) -> ReadMatrices:
        return ReadMatrices(W_E=params["W_E"].transpose(1, 2).flatten(0, 1), W_L=_composed(params)[READ_OUT].T)

    def last_layer(self) -> str:
        return "W_out" if self.embedding == "tied" else "W_U"

    def dropout_sites(self, shape: Shape) -> Mapping[str, tuple[int, ...]]:
        return {"neurons": (self.width,)}

    def hidden_matrices(self) -> Sequence[str]:
        """Between embeddings and neurons: also `W_out`, which leads back to them."""
        return ["W_in", "W_out"] if self.embedding == "tied" else ["W_in"]

    def embeddings(self) -> Sequence[str]:
        return ["W_E"]

    def gradient_by_hand(self, shape: Shape) -> HandWritten:
        blocks = 1 if self._reads_alike() else shape.positions
        lookup = LookupGradient(
            table=TABLE,
            entries=blocks * shape.vocab,
            stride=0 if blocks == 1 else shape.vocab,
            layers=(Layer(W=READ_OUT),),
            kind="relu",
        )
        return _Gradient(lookup=lookup)

    def _reads_alike(self) -> bool:
        """Whether a token has the same effect at every position."""
        return self.embedding != "separate" and self.combine == "sum"

    def _run(
        self,
        params: Mapping[str, Tensor],
        inputs: Int[Tensor, "rows positions"],
        keep: Mapping[str, Tensor] | None,
        patch: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        composed = _composed(params)
        pre = summed(composed[TABLE], inputs, stride=0 if self._reads_alike() else params["W_E"].shape[1])
        return run(composed, (Layer(W=READ_OUT),), pre, "relu", keep, patch)


def _composed(params: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The network as a table [entries, width] of what each token adds to the neurons, and a map to logits.

    Tokens are far fewer than rows, so that embeddings are multiplied by their block of W_in once per token.
    """
    W_E = params["W_E"]
    blocks = params["W_in"].unflatten(0, (-1, W_E.shape[2]))
    table = (W_E @ blocks).flatten(0, 1)  # either may be shared by all positions
    read_out = params["W_out"] @ W_E[0].T if "W_out" in params else params["W_U"]
    return {TABLE: table, READ_OUT: read_out}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Gradient:
    """The gradient of the composed network, passed on to what it is composed of: from M = A B follows
    d_A = d_M B^T and d_B = A^T d_M."""

    lookup: LookupGradient

    def prepare(self, inputs: Int[Tensor, "members rows positions"], dtype: torch.dtype) -> tuple[Tensor, ...]:
        return self.lookup.prepare(inputs, dtype)

    def logits(self, params: Mapping[str, Tensor], prepared: Sequence[Tensor]) -> Float[Tensor, "rows outputs"]:
        return self.lookup.logits(_composed(params), prepared)

    def write_gradient(
        self,
        params: Mapping[str, Tensor],
        prepared: Sequence[Tensor],
        labels: Num[Tensor, "rows *outputs"],
        weights: Float[Tensor, " rows"],
        loss: Loss,
        out: Mapping[str, Tensor],
    ) -> None:
        import torch

        composed = _composed(params)
        d = {name: torch.empty_like(matrix) for name, matrix in composed.items()}
        self.lookup.write_gradient(composed, prepared, labels, weights, loss, d)
        _write_embedding(params, d[TABLE], out)
        if "W_out" in params:
            E, d_read_out = params["W_E"][0], d[READ_OUT]
            out["W_out"].copy_(product(d_read_out, E))
            out["W_E"][0].add_(product(d_read_out.T.contiguous(), params["W_out"]))
        else:
            out["W_U"].copy_(d[READ_OUT])


def _write_embedding(
    params: Mapping[str, Tensor], d_table: Float[Tensor, "entries width"], out: Mapping[str, Tensor]
) -> None:
    """Writes the gradients of W_E and W_in; what all positions share sums over them."""
    W_E = params["W_E"]
    tables, vocab, d_embed = W_E.shape
    blocks, d_blocks = (tensors["W_in"].unflatten(0, (-1, d_embed)) for tensors in (params, out))
    for tensor in (out["W_E"], out["W_in"]):
        tensor.zero_()
    for position, d in enumerate(d_table.unflatten(0, (-1, vocab))):
        table, block = position % tables, position % len(blocks)
        out["W_E"][table].add_(product(d, blocks[block].T))
        d_blocks[block].add_(product(W_E[table].T.contiguous(), d))
