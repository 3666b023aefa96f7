"""Transformers of every axis, and a slow network written down plainly that they are compared with.

The reference computes every position of every row in float64, one head and one norm at a time.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokstudy.models.transformer import Transformer
from grokstudy.spec.interfaces import Shape

PAIRS = Shape(positions=2, vocab=7, classes=7)
SEQUENCE = Shape(positions=5, vocab=4, classes=3, answers=3)
SITES = ("attn_pre", "attn_pre_qk", "attn_pre_v", "mlp_pre", "attn_mlp_pre", "pre", "post", "peri", "final")
SMALL: Mapping[str, Any] = {"d_model": 12, "n_heads": 2, "d_mlp": 20}


def assert_near(one: Tensor, other: Tensor, name: str = "") -> None:
    """Two orders of some 1,000 float64 additions differ by about 1e-13 of the largest number; depth multiplies that."""
    off, size = float((one - other).abs().max()), float(other.abs().max())
    assert off <= 1e-10 * max(1.0, size), f"{name} {off} {size}"


def build(**settings: Any) -> Transformer:
    """A small transformer; without MLPs d_mlp is left alone."""
    sizes = {name: size for name, size in SMALL.items() if not (settings.get("attn_only") and name == "d_mlp")}
    return Transformer(**{**sizes, **settings})


def all_rows(shape: Shape) -> Int[Tensor, "rows positions"]:
    return torch.tensor(list(itertools.product(range(shape.vocab), repeat=shape.positions)))[:400]


def random_params(model: Transformer, shape: Shape) -> dict[str, Tensor]:
    """Large enough that attention is far from uniform; nothing is left at zero or one."""
    draw = torch.Generator().manual_seed(0)
    start = model.init(shape, 3)
    return {name: x + 0.3 * torch.randn(x.shape, generator=draw, dtype=x.dtype) for name, x in start.items()}


def plain(
    model: Transformer, shape: Shape, params: Mapping[str, Tensor], inputs: Int[Tensor, "rows positions"]
) -> Float[Tensor, "rows *answers outputs"]:
    """Logits by the definitions in the docstring of `Transformer`."""
    tokens = inputs
    if model.read == "equals" and not shape.answers:
        tokens = torch.cat([inputs, torch.full_like(inputs[:, :1], shape.vocab)], 1)
    positions = tokens.shape[1]
    x = params["embed.W_E"][tokens]
    if model.positions == "learned":
        x = x + params["pos_embed.W_pos"]
    if model.positions == "sinusoidal":
        x = x + plain_sinusoids(positions, model.d_model)
    site = model.norm_site
    for layer in range(model.n_layers):
        w = {name.removeprefix(f"blocks.{layer}."): x for name, x in params.items() if f"blocks.{layer}." in name}
        before = plain_norm(model, w, "ln1", x)
        whole = site in ("attn_pre", "attn_mlp_pre", "pre", "peri")
        matched = before if whole or site == "attn_pre_qk" else x
        moved = before if whole or site == "attn_pre_v" else x
        heads = [plain_head(model, w, head, matched, moved) for head in range(model.n_heads)]
        out = torch.stack(heads).sum(0)
        if site == "peri":
            out = plain_norm(model, w, "ln1_post", out)
        x = x + out
        if site == "post":
            x = plain_norm(model, w, "ln1", x)
        if model.attn_only:
            continue
        read = plain_norm(model, w, "ln2", x) if site in ("mlp_pre", "attn_mlp_pre", "pre", "peri") else x
        out = plain_mlp(model, w, read)
        if site == "peri":
            out = plain_norm(model, w, "ln2_post", out)
        x = x + out
        if site == "post":
            x = plain_norm(model, w, "ln2", x)
    if site in ("final", "pre", "peri"):
        x = plain_norm(model, params, "ln_final", x)
    logits = x @ (params["embed.W_E"].T if model.tied else params["unembed.W_U"])
    return logits[:, -shape.answers :] if shape.answers else logits[:, -1]


def plain_head(model: Transformer, w: Mapping[str, Tensor], head: int, matched: Tensor, moved: Tensor) -> Tensor:
    """What one head returns at every position."""
    rows, positions, _ = matched.shape
    seen = torch.ones(positions, positions, dtype=torch.float64)
    if model.causal:
        seen = seen.tril()
    pattern = seen
    if model.attn_rate > 0:
        q, k = matched @ w["attn.W_Q"][head], matched @ w["attn.W_K"][head]
        if model.positions == "rotary":
            q, k = plain_rotated(q), plain_rotated(k)
        scores = torch.einsum("rqe,rke->rqk", q, k) / math.sqrt(q.shape[-1])
        weights = torch.exp(scores - scores.detach().amax(2, keepdim=True)) * seen
        pattern = model.attn_rate * weights / weights.sum(2, keepdim=True) + (1 - model.attn_rate) * seen
    return pattern.expand(rows, -1, -1) @ moved @ w["attn.W_V"][head] @ w["attn.W_O"][head]


def plain_mlp(model: Transformer, w: Mapping[str, Tensor], x: Tensor) -> Tensor:
    def act(pre: Tensor) -> Tensor:
        phi = 0.5 * (1 + torch.erf(pre / math.sqrt(2)))
        known = {"relu": pre.clamp(min=0), "gelu": pre * phi, "silu": pre / (1 + torch.exp(-pre)), "quad": pre**2}
        return known[model.activation]

    pre = x @ w["mlp.W_in"] + (w["mlp.b_in"] if model.mlp_bias else 0)
    neurons = act(x @ w["mlp.W_gate"]) * pre if model.gated else act(pre)
    return neurons @ w["mlp.W_out"] + (w["mlp.b_out"] if model.mlp_bias else 0)


def plain_norm(model: Transformer, w: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True) if model.norm_kind == "layernorm" else x
    normed = centred / torch.sqrt((centred**2).mean(-1, keepdim=True) + 1e-5)
    return normed * w.get(f"{name}.w", 1.0) + w.get(f"{name}.b", 0.0)


def plain_sinusoids(positions: int, width: int) -> Float[Tensor, "positions width"]:
    rows = [
        [(math.sin, math.cos)[i % 2](position / 10_000 ** (i // 2 * 2 / width)) for i in range(width)]
        for position in range(positions)
    ]
    return torch.tensor(rows, dtype=torch.float64) * math.sqrt(2 / width)


def plain_rotated(x: Float[Tensor, "rows positions d_head"]) -> Float[Tensor, "rows positions d_head"]:
    """Pairs as complex numbers, turned by multiplication."""
    positions, width = x.shape[1:]
    angles = torch.arange(positions)[:, None] / 10_000 ** (torch.arange(0, width, 2, dtype=torch.float64) / width)
    pairs = torch.view_as_complex(x.unflatten(2, (-1, 2)).contiguous())
    return torch.view_as_real(pairs * torch.polar(torch.ones_like(angles), angles)).flatten(2)


AXES: list[dict[str, Any]] = [
    {},
    *({"norm_site": site} for site in SITES),
    *({"norm_site": site, "norm_kind": "rmsnorm", "norm_affine": True} for site in ("pre", "post", "peri")),
    {"norm_site": "peri", "norm_affine": True},
    {"norm_site": "attn_pre_v", "norm_affine": True, "attn_rate": 0.0},
    {"norm_site": "pre", "norm_affine": True, "attn_only": True},
    {"norm_site": "peri", "norm_affine": True, "attn_only": True, "positions": "rotary"},
    {"attn_rate": 0.0},
    {"attn_rate": 0.3, "positions": "rotary"},
    {"attn_rate": 0.6, "norm_site": "attn_pre_qk"},
    {"positions": "none"},
    {"positions": "sinusoidal", "activation": "gelu"},
    {"positions": "rotary", "activation": "silu", "norm_site": "attn_pre"},
    {"activation": "quad", "mlp_bias": False},
    {"gated": True, "activation": "silu", "norm_site": "pre", "norm_kind": "rmsnorm"},
    {"gated": True, "mlp_bias": False, "tied": True},
    {"attn_only": True, "tied": True},
    {"d_head": 4, "tied": True, "norm_site": "final"},
]
READS: list[tuple[Shape, dict[str, Any]]] = [
    (PAIRS, {}),
    (PAIRS, {"read": "last"}),
    (PAIRS, {"n_layers": 2}),
    (PAIRS, {"n_layers": 2, "read": "last", "causal": False}),
    (SEQUENCE, {}),
    (SEQUENCE, {"n_layers": 2}),
    (SEQUENCE, {"causal": False}),
    (SEQUENCE, {"n_layers": 3, "causal": False}),
]
