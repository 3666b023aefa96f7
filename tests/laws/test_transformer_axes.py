"""What each axis of the transformer promises, and its logits against those of a network written down plainly."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from typing import Any

import pytest
import torch

from grokstudy.engine.layout import Layout
from grokstudy.models._norm import layer_norm, rms_norm
from grokstudy.models._positions import rotated
from grokstudy.models.transformer import Transformer
from grokstudy.spec.errors import BadInput
from grokstudy.spec.interfaces import Model, Shape
from tests.transformer_cases import (
    AXES,
    PAIRS,
    READS,
    SEQUENCE,
    SITES,
    SMALL,
    all_rows,
    assert_near,
    build,
    plain,
    random_params,
)

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
    assert_near(model.apply(params, inputs, answers=shape.answers), expected)
    assert_near(model.activations(params, inputs, answers=shape.answers)["logits"], expected)
    assert expected.flatten(0, -2).std(0).min() > 1e-3, "rows must differ, or this says nothing"


CHANGES: dict[str, Any] = {
    "n_layers": 2, "n_heads": 3, "d_model": 16, "d_head": 4, "d_mlp": 24, "attn_only": True, "activation": "gelu",
    "gated": True, "mlp_bias": False, "attn_rate": 0.5, "causal": False, "read": "last", "positions": "none",
    "norm_site": "final", "norm_kind": "rmsnorm", "norm_affine": True, "tied": True,
    "mlp_in_std": "d_mlp",
}  # fmt: skip
"""Another value of every field."""


def test_every_axis_changes_tensors_logits_or_the_start_or_is_refused() -> None:
    own = {field.name for field in dataclasses.fields(Transformer)} - {f.name for f in dataclasses.fields(Model)}
    assert set(CHANGES) == own
    base = Transformer(**SMALL)
    params, inputs, start = random_params(base, PAIRS), all_rows(PAIRS), base.init(PAIRS, 0)
    refused = set()
    for name, value in CHANGES.items():
        try:
            changed = dataclasses.replace(base, **{name: value})
            changed.check(PAIRS)
        except BadInput:
            refused.add(name)
            continue
        new = changed.init(PAIRS, 0)
        if Layout.of(new) == Layout.of(params) and all(torch.equal(new[name], start[name]) for name in start):
            assert not torch.equal(changed.apply(params, inputs), base.apply(params, inputs)), name
    assert refused == {"attn_only", "causal", "norm_kind", "norm_affine"}


@pytest.mark.parametrize("gated", [False, True], ids=["plain", "gated"])
def test_what_mlps_read_through_starts_at_the_spread_asked_for_and_nothing_else_moves(gated: bool) -> None:
    """Draws are scaled, so that one is the other times sqrt(d_model / d_mlp) up to a rounding of either product."""
    as_nanda, as_zhong = (Transformer(**SMALL, gated=gated, mlp_in_std=by) for by in ("d_model", "d_mlp"))
    one, other = as_nanda.init(PAIRS, 3), as_zhong.init(PAIRS, 3)
    reading = {"blocks.0.mlp.W_in", "blocks.0.mlp.W_gate"} & set(one)
    for name, weights in one.items():
        factor = math.sqrt(as_nanda.d_model / as_nanda.d_mlp) if name in reading else 1.0
        torch.testing.assert_close(other[name], weights * factor, rtol=4 * torch.finfo(weights.dtype).eps, atol=0)
    assert as_nanda.d_model != as_nanda.d_mlp


@pytest.mark.parametrize(
    ("settings", "shape", "key"),
    [
        ({"attn_only": True, "d_mlp": 256}, PAIRS, "model.d_mlp"),
        ({"attn_only": True, "activation": "gelu"}, PAIRS, "model.activation"),
        ({"attn_only": True, "gated": True}, PAIRS, "model.gated"),
        ({"attn_only": True, "mlp_bias": False}, PAIRS, "model.mlp_bias"),
        ({"attn_only": True, "mlp_in_std": "d_mlp"}, PAIRS, "model.mlp_in_std"),
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
        params, inputs, answers = random_params(model, shape), all_rows(shape), shape.answers
        both_ways = dataclasses.replace(model, causal=False)
        both_ways.check(shape)
        assert not torch.allclose(
            both_ways.apply(params, inputs, answers=answers), model.apply(params, inputs, answers=answers)
        )


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
    before, everything = (functools.partial(m.apply, params, answers=SEQUENCE.answers) for m in (causal, both_ways))
    for last in range(SEQUENCE.answers):
        position = SEQUENCE.positions - SEQUENCE.answers + last
        later = inputs.clone()
        later[:, position + 1 :] = (later[:, position + 1 :] + 1) % SEQUENCE.vocab
        assert torch.equal(before(later)[:, : last + 1], before(inputs)[:, : last + 1])
        if position + 1 < SEQUENCE.positions:
            assert not torch.allclose(everything(later)[:, last], everything(inputs)[:, last])


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
    apply = functools.partial(model.apply, answers=shape.answers)
    sites = model.dropout_sites(shape)
    assert set(sites) == {
        f"{part}.{i}" for i in range(layers) for part in (("attn",) if attn_only else ("attn", "mlp"))
    }
    ones = {site: torch.ones(len(inputs), *size, dtype=torch.float64) for site, size in sites.items()}
    torch.testing.assert_close(apply(params, inputs, ones), apply(params, inputs), rtol=1e-11, atol=1e-12)
    for site in sites:
        part, layer = site.split(".")
        name = f"blocks.{layer}.attn.W_O" if part == "attn" else f"blocks.{layer}.mlp.W_out"
        nothing = {**ones, site: torch.zeros_like(ones[site])}
        cut = {**params, name: torch.zeros_like(params[name])}
        torch.testing.assert_close(apply(params, inputs, nothing), apply(cut, inputs), rtol=1e-11, atol=1e-12)
        draw = torch.Generator().manual_seed(1)
        some = {**ones, site: 2.0 * torch.randint(2, ones[site].shape, generator=draw)}
        assert not torch.allclose(apply(params, inputs, some), apply(params, inputs))


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
