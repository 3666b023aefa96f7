"""Every axis of the transformer against a slow network written down plainly, and what each axis promises.

The reference computes every position of every row in float64, one head and one norm at a time.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokstudy.engine.layout import Layout
from grokstudy.losses.ce64 import CrossEntropy64
from grokstudy.models._norm import layer_norm, rms_norm
from grokstudy.models._positions import rotated
from grokstudy.models.transformer import ANSWERS, Transformer
from grokstudy.spec.errors import BadInput
from grokstudy.spec.interfaces import Model, Shape

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
CASES = [
    pytest.param({**axes, **reads}, shape, id=f"{shape.answers or 'one'} {axes | reads}")
    for axes in AXES
    for shape, reads in READS
]


@pytest.mark.parametrize(("settings", "shape"), CASES)
def test_logits_equal_those_of_the_plain_network(settings: dict[str, Any], shape: Shape) -> None:
    model = build(**settings)
    model.check(shape)
    params, inputs = random_params(model, shape), all_rows(shape)
    expected = plain(model, shape, params, inputs)
    assert_near(model.apply(params, inputs), expected)
    assert_near(model.activations(params, inputs)["logits"], expected)
    assert expected.flatten(0, -2).std(0).min() > 1e-3, "rows must differ, or this says nothing"


@pytest.mark.parametrize("axes", AXES, ids=map(str, AXES))
@pytest.mark.parametrize(("shape", "layers"), [(PAIRS, 1), (PAIRS, 2), (SEQUENCE, 2)], ids=["1", "2", "answers"])
def test_every_tensor_gets_the_gradient_of_the_plain_network(axes: dict[str, Any], shape: Shape, layers: int) -> None:
    """Mapped over two members, as the engine maps it; no tensor is left without one."""
    model = build(**axes, n_layers=layers)
    inputs = all_rows(shape)[:40]
    labels = torch.arange(len(inputs)) % shape.classes
    if shape.answers:
        labels = labels[:, None].expand(-1, shape.answers).contiguous()
    weights = torch.full(labels.shape, 1 / labels.numel(), dtype=torch.float64)
    members = [random_params(model, shape), {name: 0.8 * x for name, x in random_params(model, shape).items()}]

    def loss(params: Mapping[str, Tensor], forward: Callable[[Mapping[str, Tensor]], Tensor]) -> Tensor:
        return (CrossEntropy64().per_row(forward(params), labels) * weights).sum()

    stacked = {name: torch.stack([member[name] for member in members]) for name in members[0]}
    gradients = torch.func.vmap(torch.func.grad(lambda p: loss(p, lambda q: model.apply(q, inputs))))(stacked)
    for lane, params in enumerate(members):
        expected = torch.func.grad(lambda p: loss(p, lambda q: plain(model, shape, q, inputs)))(params)
        for name in params.keys() - {ANSWERS}:  # which holds no number
            assert expected[name].any(), name
            assert_near(gradients[name][lane], expected[name], name)


CHANGES: dict[str, Any] = {
    "n_layers": 2, "n_heads": 3, "d_model": 16, "d_head": 4, "d_mlp": 24, "attn_only": True, "activation": "gelu",
    "gated": True, "mlp_bias": False, "attn_rate": 0.5, "causal": False, "read": "last", "positions": "none",
    "norm_site": "final", "norm_kind": "rmsnorm", "norm_affine": True, "tied": True,
}  # fmt: skip
"""Another value of every field."""


def test_every_axis_changes_tensors_or_logits_or_is_refused() -> None:
    own = {field.name for field in dataclasses.fields(Transformer)} - {f.name for f in dataclasses.fields(Model)}
    assert set(CHANGES) == own
    base = Transformer(**SMALL)
    params, inputs = random_params(base, PAIRS), all_rows(PAIRS)
    refused = set()
    for name, value in CHANGES.items():
        try:
            changed = dataclasses.replace(base, **{name: value})
            changed.check(PAIRS)
        except BadInput:
            refused.add(name)
            continue
        if Layout.of(changed.init(PAIRS, 0)) == Layout.of(params):
            assert not torch.equal(changed.apply(params, inputs), base.apply(params, inputs)), name
    assert refused == {"attn_only", "causal", "norm_kind", "norm_affine"}


@pytest.mark.parametrize(
    ("settings", "shape", "key"),
    [
        ({"attn_only": True, "d_mlp": 256}, PAIRS, "model.d_mlp"),
        ({"attn_only": True, "activation": "gelu"}, PAIRS, "model.activation"),
        ({"attn_only": True, "gated": True}, PAIRS, "model.gated"),
        ({"attn_only": True, "mlp_bias": False}, PAIRS, "model.mlp_bias"),
        ({"attn_only": True, "norm_site": "mlp_pre"}, PAIRS, "model.norm_site"),
        ({"norm_kind": "rmsnorm"}, PAIRS, "model.norm_kind"),
        ({"norm_affine": True}, PAIRS, "model.norm_affine"),
        ({"attn_rate": 1.5}, PAIRS, "model.attn_rate"),
        ({"attn_rate": 0.0, "positions": "rotary"}, PAIRS, "model.positions"),
        ({"attn_rate": 0.0, "norm_site": "attn_pre_qk"}, PAIRS, "model.norm_site"),
        ({"positions": "rotary", "d_head": 3}, PAIRS, "model.positions"),
        ({"positions": "sinusoidal", "d_model": 9, "n_heads": 3}, PAIRS, "model.positions"),
        ({"causal": False}, PAIRS, "model.causal"),
        ({"causal": False, "read": "last"}, PAIRS, "model.causal"),
        ({"causal": False}, dataclasses.replace(SEQUENCE, answers=1), "model.causal"),
        ({"read": "last"}, SEQUENCE, "model.read"),
        ({"read": "last"}, dataclasses.replace(PAIRS, positions=1), "model.read"),
        ({}, dataclasses.replace(PAIRS, classes=8), "8 classes"),
        ({}, dataclasses.replace(PAIRS, vocab=0), "mlp"),
        ({}, dataclasses.replace(SEQUENCE, answers=6), "6 answers"),
    ],
    ids=str,
)
def test_what_would_change_nothing_or_cannot_be_is_refused(settings: dict[str, Any], shape: Shape, key: str) -> None:
    with pytest.raises(BadInput, match=key):
        Transformer(**settings).check(shape)


def test_bidirectional_attention_is_refused_only_where_it_changes_nothing() -> None:
    """What is refused for one layer read at its last position is told apart with two layers, or several answers."""
    for shape, layers in ((PAIRS, 2), (SEQUENCE, 1)):
        model = build(n_layers=layers)
        params, inputs = random_params(model, shape), all_rows(shape)
        both_ways = dataclasses.replace(model, causal=False)
        both_ways.check(shape)
        assert not torch.allclose(both_ways.apply(params, inputs), model.apply(params, inputs))


def test_the_defaults_have_the_papers_number_of_parameters() -> None:
    shape = Shape(positions=2, vocab=113, classes=113)
    assert Layout.of(Transformer().init(shape, 0)).size == 226_816


def test_attention_rate_1_is_softmax_and_0_is_constant() -> None:
    params, inputs = random_params(build(), PAIRS), all_rows(PAIRS)
    softmax = build(read="last").activations(random_params(build(read="last"), PAIRS), inputs)
    pattern = softmax["blocks.0.attn.hook_pattern"]
    torch.testing.assert_close(pattern.sum(1), torch.ones_like(pattern[:, 0]), rtol=0, atol=1e-15)
    half = build(attn_rate=0.5).activations(params, inputs)["blocks.0.attn.hook_pattern"]
    whole = build().activations(params, inputs)["blocks.0.attn.hook_pattern"]
    assert torch.equal(half, 0.5 * whole + 0.5)
    constant = build(attn_rate=0.0)
    assert (constant.activations(params, inputs)["blocks.0.attn.hook_pattern"] == 1).all()
    assert not {"W_Q", "W_K"} & {name.rpartition(".")[2] for name in constant.init(PAIRS, 0)}


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("axes", [{}, {"attn_rate": 0.5}, {"attn_rate": 0.0}, {"positions": "rotary"}], ids=str)
def test_no_answer_depends_on_a_later_token_unless_attention_goes_both_ways(layers: int, axes: dict[str, Any]) -> None:
    causal, both_ways = (build(n_layers=layers, causal=causal, **axes) for causal in (True, False))
    params, inputs = random_params(causal, SEQUENCE), all_rows(SEQUENCE)
    for last in range(SEQUENCE.answers):
        position = SEQUENCE.positions - SEQUENCE.answers + last
        later = inputs.clone()
        later[:, position + 1 :] = (later[:, position + 1 :] + 1) % SEQUENCE.vocab
        seen = causal.apply(params, inputs)[:, : last + 1]
        assert torch.equal(causal.apply(params, later)[:, : last + 1], seen)
        if position + 1 < SEQUENCE.positions:
            assert not torch.allclose(both_ways.apply(params, later)[:, last], both_ways.apply(params, inputs)[:, last])


def test_rotary_scores_depend_on_the_distance_alone() -> None:
    q, k = torch.randn(2, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    queries, keys = (rotated(x.expand(9, 1, 6), torch.arange(9))[:, 0] for x in (q, k))
    scores = queries @ keys.T
    for distance in range(-8, 9):
        line = scores.diagonal(distance)
        torch.testing.assert_close(line, line[:1].expand_as(line), rtol=1e-13, atol=1e-13)
    assert (scores[0] - scores[0, 0]).abs()[1:].min() > 1e-3, "distances must be told apart"
    torch.testing.assert_close(queries.norm(dim=1), q.norm().expand(9), rtol=1e-14, atol=0)


def test_norms_have_the_statistics_that_define_them() -> None:
    """Up to EPS = 1e-5 in the variance, here at least 1."""
    x = 3 * torch.randn(50, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64) + 2
    normed = layer_norm(x, None, None)
    torch.testing.assert_close(normed.mean(1), torch.zeros(50, dtype=torch.float64), rtol=0, atol=1e-13)
    torch.testing.assert_close(normed.var(1, correction=0), torch.ones(50, dtype=torch.float64), rtol=1e-5, atol=0)
    mean_square = rms_norm(x, None).square().mean(1)
    torch.testing.assert_close(mean_square, torch.ones(50, dtype=torch.float64), rtol=1e-5, atol=0)
    assert rms_norm(x, None).mean(1).abs().max() > 0.1, "RMSNorm does not centre"


def test_learned_norms_start_as_the_frozen_ones() -> None:
    for site, kind in itertools.product(SITES, ("layernorm", "rmsnorm")):
        learned, frozen = (build(n_layers=2, norm_site=site, norm_kind=kind, norm_affine=a) for a in (True, False))
        start, inputs = learned.init(PAIRS, 0), all_rows(PAIRS)
        assert set(start) > set(frozen.init(PAIRS, 0))
        torch.testing.assert_close(learned.apply(start, inputs), frozen.apply(start, inputs), rtol=1e-12, atol=1e-13)


def test_a_tied_network_has_no_unembedding_of_its_own() -> None:
    model = build(tied=True)
    params = random_params(model, PAIRS)
    assert "unembed.W_U" not in params
    untied = {**params, "unembed.W_U": params["embed.W_E"].T}
    torch.testing.assert_close(model.apply(params, all_rows(PAIRS)), build().apply(untied, all_rows(PAIRS)))


@pytest.mark.parametrize("attn_only", [False, True])
@pytest.mark.parametrize(("shape", "layers"), [(PAIRS, 1), (PAIRS, 2), (SEQUENCE, 2)], ids=["1", "2", "answers"])
def test_dropout_masks_multiply_what_they_name(shape: Shape, layers: int, attn_only: bool) -> None:
    model = build(n_layers=layers, attn_only=attn_only)
    params, inputs = random_params(model, shape), all_rows(shape)
    sites = model.dropout_sites(shape)
    assert set(sites) == {
        f"{part}.{i}" for i in range(layers) for part in (("attn",) if attn_only else ("attn", "mlp"))
    }
    ones = {site: torch.ones(len(inputs), *size, dtype=torch.float64) for site, size in sites.items()}
    torch.testing.assert_close(model.apply(params, inputs, ones), model.apply(params, inputs), rtol=1e-11, atol=1e-12)
    for site in sites:
        part, layer = site.split(".")
        name = f"blocks.{layer}.attn.W_O" if part == "attn" else f"blocks.{layer}.mlp.W_out"
        nothing = {**ones, site: torch.zeros_like(ones[site])}
        cut = {**params, name: torch.zeros_like(params[name])}
        torch.testing.assert_close(
            model.apply(params, inputs, nothing), model.apply(cut, inputs), rtol=1e-11, atol=1e-12
        )
        draw = torch.Generator().manual_seed(1)
        some = {**ones, site: 2.0 * torch.randint(2, ones[site].shape, generator=draw)}
        assert not torch.allclose(model.apply(params, inputs, some), model.apply(params, inputs))


def test_hidden_matrices_are_those_between_embedding_and_unembedding() -> None:
    model = build(n_layers=2, gated=True, norm_site="pre", norm_affine=True)
    shapes = {name: x.shape for name, x in model.init(PAIRS, 0).items()}
    hidden = model.hidden_matrices()
    assert hidden == [name for name in shapes if name in hidden], "in the order of init"
    outer = {"embed.W_E", "pos_embed.W_pos", "unembed.W_U"}
    assert set(hidden) == {name for name, size in shapes.items() if len(size) > 1} - outer
    assert {shapes[name][0] for name in hidden if len(shapes[name]) == 3} == {model.n_heads}


@pytest.mark.parametrize("axes", [{"attn_only": True}, {"gated": True}, {"tied": True}], ids=str)
def test_what_the_last_neurons_add_to_the_logits_is_W_L(axes: dict[str, Any]) -> None:
    model, inputs = build(**axes), all_rows(PAIRS)
    params = random_params(model, PAIRS)
    name = f"blocks.0.{'attn.W_O' if model.attn_only else 'mlp.W_out'}"
    without = model.apply({**params, name: torch.zeros_like(params[name])}, inputs)
    added = model.activations(params, inputs)["neurons"] @ model.matrices(params, PAIRS).W_L.T
    assert_near(model.apply(params, inputs)[:, :7] - without[:, :7], added)
