"""Decoder-only transformer, read at its last position or at its last few."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from jaxtyping import Float, Int

from grokstudy.models import _transformer_checks as checks
from grokstudy.models._activation import Activation
from grokstudy.models._attention import Attention, Source
from grokstudy.models._block import HEADS, MID, MLP, POST, Block, Seen, of_block
from grokstudy.models._block_gradient import BlockGradient
from grokstudy.models._deep_gradient import DeepGradient
from grokstudy.models._norm import BEFORE_UNEMBEDDING, Kind, Norms, Site
from grokstudy.models._patch import EMBED, NEURONS, check_names, replaced
from grokstudy.models._positions import Positions, position_vectors
from grokstudy.models._transformer_gradient import OneLayerGradient
from grokstudy.spec.draws import generator
from grokstudy.spec.fields import setting
from grokstudy.spec.interfaces import HandWritten, Model, ReadMatrices, Shape

if TYPE_CHECKING:
    from torch import Tensor


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Transformer(Model):
    """Decoder of any depth with optional norms, read at "=" or at its last positions; as in the papers by default.

    Learned positions, untied unembedding, biases in the MLPs only (zero at the start). Every weight starts normal with
    standard deviation 1/sqrt(d_model), W_U with 1/sqrt(d_vocab), what MLPs read through with 1/sqrt of `mlp_in_std`.
    At p = 113 the defaults have 226,816 parameters.

    A row with one answer gets a "=" (unless `read=last`) and is read at its last position. A row with several answers
    has separators of its own and is read at its last positions: there are p tokens then, and logits [rows, answers, p].

    With x the residual stream, A attention, M the MLP, U the unembedding and N a norm, `norm_site` is

        off           x += A(x);          x += M(x);          U(x)
        attn_pre      x += A(N(x))
        attn_pre_qk   x += A(x) with queries and keys of N(x)
        attn_pre_v    x += A(x) with values of N(x)
        mlp_pre       x += M(N(x))
        attn_mlp_pre  attn_pre and mlp_pre
        pre           attn_pre, mlp_pre and final (GPT-2)
        post          x = N(x + A(x));    x = N(x + M(x))     (Power et al. 2022)
        peri          x += N(A(N(x)));    x += N(M(N(x)));    U(N(x))
        final         U(N(x))

    where all that is not given is as in `off`, and every N has a gain and bias of its own with `norm_affine`.

    Logits are read at few positions, so the last layer computes its queries, MLP and unembedding only there; what the
    first layer computes of a token at the last position alone is a table over tokens. Both are exact.

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 3 and the authors' `transformers.py`; `attn_rate`, `causal`,
    `read` and `mlp_in_std` of Zhong et al. 2023 (arXiv 2306.17844) and its `train-main.py`; `peri` of Kim et al. 2025
    (arXiv 2502.02732), no embedding norm.
    """

    n_layers: int = setting(1, help="attention + MLP blocks")
    n_heads: int = setting(4, help="attention heads")
    d_model: int = setting(128, help="width of the residual stream")
    d_head: int | None = setting(None, help="width of a head; null = d_model / n_heads")
    d_mlp: int = setting(512, help="neurons of each MLP; must be left at its default with attn_only")
    attn_only: bool = setting(False, neutral=False, help="no MLPs")
    activation: Activation = setting("relu", neutral="relu", help="non-linearity of the MLPs")
    gated: bool = setting(False, neutral=False, help="neurons = act(x W_gate) * (x W_in + b_in)")
    mlp_bias: bool = setting(True, neutral=True, help="MLPs have biases")
    mlp_in_std: Literal["d_model", "d_mlp"] = setting(
        "d_model", neutral="d_model", help="W_in (and W_gate) start at 1/sqrt of this many"
    )
    attn_rate: float = setting(1.0, neutral=1.0, help="r in r * softmax + (1 - r) * 1, in [0, 1]")
    causal: bool = setting(True, neutral=True, help="a position sees those before it only")
    read: Literal["equals", "last"] = setting(
        "equals", neutral="equals", help='equals: "=" is appended and read there; last: the last token, no "="'
    )
    positions: Positions = setting("learned", neutral="learned", help="how positions are told apart")
    norm_site: Site = setting("off", neutral="off", help="where the residual stream is normalised")
    norm_kind: Kind = setting("layernorm", neutral="layernorm", help="how")
    norm_affine: bool = setting(False, neutral=False, help="norms have a learned gain (and bias: layernorm)")
    tied: bool = setting(False, neutral=False, help="the unembedding is the embedding's transpose")

    def __post_init__(self) -> None:
        if self.d_head is None and self.n_heads > 0 and self.d_model % self.n_heads == 0:
            object.__setattr__(self, "d_head", self.d_model // self.n_heads)
        checks.check_sizes(self)
        checks.check_axes(self)

    def check(self, shape: Shape) -> None:
        checks.check_shape(self, shape)

    def init(self, shape: Shape, seed: int) -> dict[str, Tensor]:
        import torch

        params = {}
        for name, size in self._shapes(shape).items():
            leaf = name.rpartition(".")[2]
            if leaf == "w":
                params[name] = torch.ones(size, dtype=torch.float64)
            elif leaf == "b" or leaf.startswith("b_"):
                params[name] = torch.zeros(size, dtype=torch.float64)
            else:
                std = 1 / math.sqrt(self._scaled_by(leaf, shape))
                params[name] = torch.from_numpy(generator(seed, "init", name).normal(0.0, std, size))
        return params

    def _scaled_by(self, leaf: str, shape: Shape) -> int:
        """1 / the variance at which a matrix of this name starts."""
        if leaf == "W_U":
            return self._tokens(shape)
        return self.d_mlp if leaf in ("W_in", "W_gate") and self.mlp_in_std == "d_mlp" else self.d_model

    def apply(
        self,
        params: Mapping[str, Tensor],
        inputs: Int[Tensor, "rows positions"],
        keep: Mapping[str, Tensor] | None = None,
        *,
        answers: int = 0,
    ) -> Float[Tensor, "rows *answers outputs"]:
        if self._is_plain_layer() and not keep and not answers:
            return self._one_layer(params, inputs)
        sources = self._embedded(params, inputs, answers)
        for seen in self._blocks(params, sources, keep or {}, answers, {}):
            last = seen
        return self._logits(params, last.post)

    def activations(
        self,
        params: Mapping[str, Tensor],
        inputs: Int[Tensor, "rows positions"],
        *,
        answers: int = 0,
        patch: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Of the last block at the positions read; of earlier ones the mixed values of all positions.

        `hook_embed` leaves out "=". Mixed values `hook_z` are [rows, *positions, heads, d_head]. The pattern is [rows,
        positions, heads] of the one position read, or [rows, heads, answers, positions]. `neurons` are the last block's
        `mlp.hook_post`, or without MLPs its mixed values, heads side by side; patch one of the two names.
        """
        block = f"blocks.{self.n_layers - 1}"
        patch = self._checked_patch(patch or {}, block)
        embedded = replaced(patch, EMBED, params["embed.W_E"][inputs])
        sources = self._embedded(params, inputs, answers, embedded if EMBED in patch else None)
        heads = {}
        for layer, seen in enumerate(self._blocks(params, sources, {}, answers, patch)):
            heads[f"blocks.{layer}.{HEADS}"] = seen.mixed.unflatten(-1, (self.n_heads, -1))
        return {
            EMBED: embedded,
            **heads,
            f"{block}.attn.hook_pattern": seen.pattern,
            f"{block}.{MID}": seen.mid,
            **({} if self.attn_only else {f"{block}.{MLP}": seen.neurons}),
            f"{block}.{POST}": seen.post,
            NEURONS: seen.neurons,
            "logits": self._logits(params, seen.post),
        }

    def matrices(self, params: Mapping[str, Tensor], shape: Shape) -> ReadMatrices:
        """W_L leaves out the norms between the last neurons and the logits, which divide each row by a number."""
        block = f"blocks.{self.n_layers - 1}"
        out = params[f"{block}.attn.W_O"].flatten(0, 1) if self.attn_only else params[f"{block}.mlp.W_out"]
        return ReadMatrices(
            W_E=params["embed.W_E"][: shape.vocab].T, W_L=(out @ self._unembedding(params)[:, : shape.classes]).T
        )

    def last_layer(self) -> str:
        return "embed.W_E" if self.tied else "unembed.W_U"

    def dropout_sites(self, shape: Shape) -> Mapping[str, tuple[int, ...]]:
        """What attention returns and the neurons, at the positions that a layer computes."""
        everywhere = (shape.positions + self._appends_equals(shape),)
        read = (shape.answers,) if shape.answers else ()
        sites: dict[str, tuple[int, ...]] = {}
        for layer in range(self.n_layers):
            computed = everywhere if layer < self.n_layers - 1 else read
            sites[f"attn.{layer}"] = (*computed, self.d_model)
            if not self.attn_only:
                sites[f"mlp.{layer}"] = (*computed, self.d_mlp)
        return sites

    def hidden_matrices(self) -> Sequence[str]:
        """The matrices of attention and MLPs, embeddings and unembedding aside."""
        return [
            f"blocks.{layer}.{name}"
            for layer in range(self.n_layers)
            for name, size in self._block_shapes().items()
            if len(size) > 1
        ]

    def embeddings(self) -> Sequence[str]:
        return ["embed.W_E"]

    def gradient_by_hand(self, shape: Shape) -> HandWritten | None:
        """One layer with every later axis at its default composes to tables and few products; any depth of blocks that
        `BlockGradient` knows is computed block by block."""
        if self._is_plain_layer() and not shape.answers:
            return OneLayerGradient(vocab=shape.vocab)
        if self.positions == "rotary" or self.norm_site in ("attn_pre_qk", "attn_pre_v"):
            return None
        if self.attn_rate < 1 or self.gated or self.tied:
            return None
        block = BlockGradient(
            heads=self.n_heads,
            causal=self.causal,
            activation=self.activation,
            mlp=not self.attn_only,
            mlp_bias=self.mlp_bias,
            norms=self._norms(),
        )
        return DeepGradient(
            n_layers=self.n_layers,
            positions=self.positions,
            block=block,
            equals=shape.vocab if self._appends_equals(shape) else None,
            answers=shape.answers,
        )

    def _appends_equals(self, shape: Shape) -> bool:
        return self.read == "equals" and not shape.answers

    def _tokens(self, shape: Shape) -> int:
        """Tokens of the vocabulary, "=" included where it is appended."""
        return shape.vocab + self._appends_equals(shape)

    def _shapes(self, shape: Shape) -> dict[str, tuple[int, ...]]:
        """Every tensor by name."""
        d, tokens = self.d_model, self._tokens(shape)
        shapes: dict[str, tuple[int, ...]] = {"embed.W_E": (tokens, d)}
        if self.positions == "learned":
            shapes["pos_embed.W_pos"] = (shape.positions + self._appends_equals(shape), d)
        for layer in range(self.n_layers):
            shapes |= {f"blocks.{layer}.{name}": size for name, size in self._block_shapes().items()}
        if self.norm_site in BEFORE_UNEMBEDDING:
            shapes |= self._norms().shapes(["ln_final"], d)
        if not self.tied:
            shapes["unembed.W_U"] = (d, tokens)
        return shapes

    def _block_shapes(self) -> dict[str, tuple[int, ...]]:
        assert self.d_head is not None
        d, norms = self.d_model, self._norms()
        projections = ("W_Q", "W_K", "W_V") if self.attn_rate > 0 else ("W_V",)
        shapes: dict[str, tuple[int, ...]] = {f"attn.{name}": (self.n_heads, d, self.d_head) for name in projections}
        shapes["attn.W_O"] = (self.n_heads, self.d_head, d)
        if not self.attn_only:
            shapes |= {"mlp.W_gate": (d, self.d_mlp)} if self.gated else {}
            mlp = {
                "mlp.W_in": (d, self.d_mlp),
                "mlp.b_in": (self.d_mlp,),
                "mlp.W_out": (self.d_mlp, d),
                "mlp.b_out": (d,),
            }
            shapes |= {name: size for name, size in mlp.items() if self.mlp_bias or len(size) > 1}
        return shapes | norms.shapes(norms.names_in_block(), d)

    def _norms(self) -> Norms:
        return Norms(site=self.norm_site, kind=self.norm_kind, affine=self.norm_affine, attn_only=self.attn_only)

    def _attention(self) -> Attention:
        assert self.d_head is not None
        rotary = self.positions == "rotary"
        return Attention(
            d_head=self.d_head, rate=self.attn_rate, causal=self.causal, rotary=rotary, norms=self._norms()
        )

    def _is_plain_layer(self) -> bool:
        """One layer that has none of the axes with a neutral value (those of every model act on its logits, that of the
        start on its first weights)."""
        fields = {field.name: field for field in dataclasses.fields(self)}
        general = {field.name for field in dataclasses.fields(Model)} | {*checks.SIZES, "mlp_in_std"}
        return self.n_layers == 1 and all(
            getattr(self, name) == field.default for name, field in fields.items() if name not in general
        )

    def _checked_patch(self, patch: Mapping[str, Tensor], block: str) -> Mapping[str, Tensor]:
        """`patch` with what it says of `neurons` under the name of the last block, `block`.

        Raises:
            BadInput: a name that cannot be replaced.
        """
        within = (MID, POST) if self.attn_only else (MID, MLP, POST)
        heads = [f"blocks.{layer}.{HEADS}" for layer in range(self.n_layers)]
        check_names(patch, (EMBED, *heads, *(f"{block}.{name}" for name in within), NEURONS))
        if NEURONS not in patch:
            return patch
        neurons = patch[NEURONS]
        if self.attn_only:
            return {**patch, f"{block}.{HEADS}": neurons.unflatten(-1, (self.n_heads, -1))}
        return {**patch, f"{block}.{MLP}": neurons}

    def _blocks(
        self,
        params: Mapping[str, Tensor],
        sources: Sequence[Source],
        keep: Mapping[str, Tensor],
        answers: int,
        patch: Mapping[str, Tensor],
    ) -> Iterator[Seen]:
        """All blocks; the last one at the positions read."""
        block = Block(attention=self._attention(), norms=self._norms(), activation=self.activation)
        last = self.n_layers - 1
        for layer in range(last):
            new = of_block(patch, layer)
            seen = block.at_end(of_block(params, layer), sources, len(sources), _of_layer(keep, layer), new)
            yield seen
            sources = [Source(x, None) for x in seen.post.unbind(1)]
        w, dropped, new = of_block(params, last), _of_layer(keep, last), of_block(patch, last)
        if answers:
            yield block.at_end(w, sources, answers, dropped, new)
        else:
            yield block.at_last(w, sources, dropped, new)

    def _logits(
        self, params: Mapping[str, Tensor], x: Float[Tensor, "rows *answers d_model"]
    ) -> Float[Tensor, "rows *answers outputs"]:
        return self._norms().at(BEFORE_UNEMBEDDING, "ln_final", params, x) @ self._unembedding(params)

    def _unembedding(self, params: Mapping[str, Tensor]) -> Float[Tensor, "d_model outputs"]:
        return params["embed.W_E"].T if self.tied else params["unembed.W_U"]

    def _one_layer(
        self, params: Mapping[str, Tensor], inputs: Int[Tensor, "rows positions"]
    ) -> Float[Tensor, "rows outputs"]:
        """Logits without a residual stream per row: "=" starts alike in all rows, so what is linear in a row's mixed
        values composes to products of weights, as in `_transformer_gradient`."""
        import torch

        sources = self._embedded(params, inputs, answers=0)
        mixed, _ = self._attention().at_last(of_block(params, 0), sources)
        last, W_O, W_U = sources[-1].values, params["blocks.0.attn.W_O"].flatten(0, 1), params["unembed.W_U"]
        W_in, b_in, W_out, b_out = (params[f"blocks.0.mlp.{name}"] for name in ("W_in", "b_in", "W_out", "b_out"))
        neurons = torch.addmm(last @ W_in + b_in, mixed, W_O @ W_in).relu_()
        direct = torch.addmm((last + b_out) @ W_U, mixed, W_O @ W_U)
        return torch.addmm(direct, neurons, W_out @ W_U)

    def _embedded(
        self,
        params: Mapping[str, Tensor],
        inputs: Int[Tensor, "rows positions"],
        answers: int,
        patched: Float[Tensor, "rows positions d_model"] | None = None,
    ) -> list[Source]:
        """The residual stream at every position, as a table over tokens, or from the embeddings in `patched`; where "="
        is appended, the last position holds it in every row."""
        W_E, tokens = params["embed.W_E"], inputs.shape[1]
        equals = self.read == "equals" and not answers
        at = position_vectors(self.positions, params, tokens + equals)
        table = W_E[:-1] if equals else W_E
        if patched is None:
            embedded = [Source(table if at is None else table + at[i], inputs[:, i]) for i in range(tokens)]
        else:
            embedded = [Source(x if at is None else x + at[i], None) for i, x in enumerate(patched.unbind(1))]
        if not equals:
            return embedded
        return [*embedded, Source((W_E[-1] if at is None else W_E[-1] + at[tokens])[None], None)]


def _of_layer(keep: Mapping[str, Tensor], layer: int) -> dict[str, Tensor]:
    return {name.partition(".")[0]: mask for name, mask in keep.items() if name.endswith(f".{layer}")}
