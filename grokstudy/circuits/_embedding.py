"""Networks whose tokens are embedded anew: one forward pass can read any vectors in place of the learned ones."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float
from torch import Tensor

from grokstudy.models import onehot_mlp
from grokstudy.models.embed_decoder import EmbedDecoder
from grokstudy.models.embed_mlp import EmbedMLP
from grokstudy.models.onehot_mlp import OneHotMLP
from grokstudy.models.quad_mlp import QuadMLP
from grokstudy.models.transformer import Transformer
from grokstudy.spec.interfaces import Shape
from grokstudy.spec.trial import TrialSpec, plugin_name

MODELS = (Transformer, EmbedMLP, QuadMLP, OneHotMLP, EmbedDecoder)
"""Those whose tables of embeddings are known here."""


def unless_embedded(spec: TrialSpec) -> str | None:
    """None for models whose tokens can be embedded anew, else why the measure is not defined."""
    if isinstance(spec.model, MODELS):
        return None
    names = "transformer, embed_mlp, quad_mlp, onehot_mlp, embed_decoder"
    return f"defined for models with an embedding of tokens ({names}), this trial has model={plugin_name(spec.model)}"


def unless_one_table(spec: TrialSpec) -> str | None:
    """None for models that embed a token alike at every position, else why the measure is not defined."""
    if reason := unless_embedded(spec):
        return reason
    if isinstance(spec.model, Transformer | EmbedDecoder):
        return None
    if isinstance(spec.model, EmbedMLP) and spec.model.embedding != "separate":
        return None
    return f"defined for one embedding shared by all positions, model={plugin_name(spec.model)} has one per position"


def with_more_tokens(
    spec: TrialSpec, params: Mapping[str, Tensor], vectors: Float[Tensor, "tokens width"], shape: Shape
) -> dict[str, Tensor]:
    """The same network with tokens `vocab`, `vocab` + 1 ... embedded as `vectors`; all else stays as it is.

    Vectors are as wide as `W_E` of `Model.matrices`, so of all tables side by side. What is tied to the embedding only
    gains outputs of its own for the new tokens, after those of the answers.
    """
    vocab = shape.vocab
    if isinstance(spec.model, Transformer):
        W_E = params["embed.W_E"]  # "=" stays last
        return {**params, "embed.W_E": torch.cat([W_E[:vocab], vectors, W_E[vocab:]])}
    if isinstance(spec.model, EmbedDecoder):
        return {**params, "W_E": torch.cat([params["W_E"], vectors])}
    if isinstance(spec.model, EmbedMLP):
        tables = params["W_E"]
        return {**params, "W_E": torch.cat([tables, _parted(vectors, len(tables))], dim=1)}
    if isinstance(spec.model, QuadMLP):
        parted = zip("UV", _parted(vectors, 2), strict=True)
        return {**params, **{name: torch.cat([params[name], table]) for name, table in parted}}
    assert isinstance(spec.model, OneHotMLP), unless_embedded(spec)
    tables = params[onehot_mlp.TABLE].unflatten(0, (shape.positions, vocab))
    longer = torch.cat([tables, _parted(vectors, shape.positions)], dim=1)
    return {**params, onehot_mlp.TABLE: longer.flatten(0, 1)}


def _parted(vectors: Float[Tensor, "tokens width"], tables: int) -> Float[Tensor, "tables tokens part"]:
    parts: Tensor = vectors.unflatten(1, (tables, -1))
    return parts.transpose(0, 1)
