"""Settings of a transformer that cannot be, or that would change nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grokstudy.spec.errors import BadInput
from grokstudy.spec.interfaces import Shape

if TYPE_CHECKING:
    from grokstudy.models.transformer import Transformer

SIZES = ("n_layers", "n_heads", "d_model", "d_head", "d_mlp")
D_MLP = 512
"""The default of d_mlp, which stands for "not given" where there is no MLP."""


def check_sizes(model: Transformer) -> None:
    """Raises BadInput unless heads and widths are numbers that fit each other. d_head is filled in where it can be."""
    for name in ("n_layers", "n_heads", "d_model", "d_mlp"):
        if getattr(model, name) < 1:
            raise BadInput(f"model.{name}: got {getattr(model, name)}, must be >= 1.")
    if model.d_head is None:
        fits = [h for h in range(1, model.d_model + 1) if model.d_model % h == 0]
        near = min(fits, key=lambda h: abs(h - model.n_heads))
        raise BadInput(
            f"model.n_heads: got {model.n_heads}, must divide model.d_model={model.d_model} (nearest: {near}), "
            "or give model.d_head."
        )
    if model.d_head < 1:
        raise BadInput(f"model.d_head: got {model.d_head}, must be >= 1.")


def check_axes(model: Transformer) -> None:
    """Raises BadInput for a setting that nothing would read, whatever the task."""
    if not 0 <= model.attn_rate <= 1:
        raise BadInput(f"model.attn_rate: got {model.attn_rate}, must be in [0, 1].")
    _check_attn_only(model)
    _check_norms(model)
    assert model.d_head is not None
    if model.positions == "rotary":
        if model.attn_rate == 0:
            raise BadInput("model.positions: rotary turns queries and keys, and model.attn_rate=0 has none.")
        if model.d_head % 2:
            raise BadInput(f"model.positions: rotary turns pairs, and heads have width {model.d_head}; make it even.")
    if model.positions == "sinusoidal" and model.d_model % 2:
        raise BadInput(f"model.positions: sinusoidal needs an even model.d_model, got {model.d_model}.")


def _check_attn_only(model: Transformer) -> None:
    if not model.attn_only:
        return
    inert = {
        "d_mlp": (model.d_mlp, D_MLP),
        "activation": (model.activation, "relu"),
        "gated": (model.gated, False),
        "mlp_bias": (model.mlp_bias, True),
        "mlp_in_std": (model.mlp_in_std, "d_model"),
    }
    for name, (given, default) in inert.items():
        if given != default:
            raise BadInput(f"model.{name}: got {given}, but model.attn_only=true has no MLP; leave it at {default}.")
    instead = {"mlp_pre": "off", "attn_mlp_pre": "attn_pre"}.get(model.norm_site)
    if instead is not None:
        raise BadInput(
            f"model.norm_site: got {model.norm_site}, but model.attn_only=true has no MLP; this is {instead} then."
        )


def _check_norms(model: Transformer) -> None:
    if model.norm_site == "off":
        for name, given, default in (
            ("norm_kind", model.norm_kind, "layernorm"),
            ("norm_affine", model.norm_affine, False),
        ):
            if given != default:
                raise BadInput(f"model.{name}: got {given}, but model.norm_site=off has no norm; choose a site.")
    elif model.norm_kind == "layernorm" and model.d_model == 1:
        raise BadInput("model.d_model: got 1, whose LayerNorm is always 0; make it larger.")
    if model.norm_site == "attn_pre_qk" and model.attn_rate == 0:
        raise BadInput("model.norm_site: attn_pre_qk normalises queries and keys, and model.attn_rate=0 has none.")


def check_shape(model: Transformer, shape: Shape) -> None:
    """Raises BadInput if the model cannot learn a task of this shape, or a setting changes nothing on it."""
    if shape.vocab == 0:
        raise BadInput("model: transformer reads tokens; this task has real-valued inputs. Use model=mlp.")
    if shape.classes > shape.vocab:
        raise BadInput(
            f"model: transformer answers with its tokens; this task has {shape.classes} classes and {shape.vocab} "
            "tokens. Use onehot_mlp."
        )
    if shape.answers > shape.positions:
        raise BadInput(
            f"model: transformer reads {shape.answers} answers at as many positions, this task has {shape.positions}."
        )
    if shape.answers and model.read != "equals":
        raise BadInput(
            f"model.read: got {model.read}, but this task's {shape.answers} answers are read at its last positions "
            "anyway; leave it at equals."
        )
    positions = shape.positions + (model.read == "equals" and not shape.answers)
    if positions == 1:
        raise BadInput(
            "model: a transformer's attention needs two positions, this task has one; use model.read=equals."
        )
    if not model.causal and model.n_layers == 1 and shape.answers <= 1:
        raise BadInput(
            "model.causal: got false, but one layer read at its last position sees every position either way; leave it "
            "at true."
        )
