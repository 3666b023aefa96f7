"""Measures of attention on patterns with known answers."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from grokstudy.circuits import attention
from grokstudy.circuits._measure import measure_network
from grokstudy.models.quad_mlp import QuadMLP
from grokstudy.models.transformer import Transformer
from grokstudy.spec.interfaces import Shape
from grokstudy.spec.measure import Subject
from grokstudy.tasks.modular import Modular
from tests.planted import by_name, gromov, number, subject

torch.set_num_threads(1)

ONLY = ["attention"]
# Sums of 23 * 23 * 3 = 1,587 terms of at most 1.
EXACT = 1587 * 1.1e-16


def planted(p: int = 23, heads: int = 2, **params: Tensor) -> Subject:
    """A transformer with some tensors given."""
    model = Transformer(d_model=8 * heads, n_heads=heads, d_mlp=8)
    start = model.init(Shape(positions=2, vocab=p, classes=p), 0)
    return subject(model, {**start, **params}, p, None)


def flat(heads: int = 2) -> Tensor:
    return torch.zeros(heads, 8 * heads, 8, dtype=torch.float64)


def test_heads_that_do_not_choose_look_everywhere_alike() -> None:
    values = by_name(measure_network(planted(**{"blocks.0.attn.W_K": flat()}), ONLY))
    assert values["attention.to_equals"].values == pytest.approx([1 / 3, 1 / 3], abs=1e-15)
    assert values["attention.entropy"].value == pytest.approx(math.log(3), abs=EXACT)
    assert values["attention.entropy.std"].value == pytest.approx(0, abs=EXACT)
    assert values["attention.head_cosine"].value == pytest.approx(1, abs=EXACT)
    assert values["attention.head_fve"].reason == "constant_attention"


def test_heads_that_follow_a_wave_of_the_tokens_show_its_frequency() -> None:
    """Scores are small, so the softmax is linear: attention to a less attention to b is cos(w a) - cos(w b) + noise of
    second order, 1e-2 of it."""
    p = 23
    t = 2 * math.pi / p * torch.arange(p).double()
    embed = torch.zeros(p + 1, 16, dtype=torch.float64)
    embed[:p, 0], embed[:p, 1], embed[p, 2] = torch.cos(4 * t), torch.cos(7 * t), 1
    W_Q, W_K = flat(), flat()
    W_Q[:, 2, 0] = 1
    W_K[0, 0, 0] = W_K[1, 1, 0] = 0.01
    tensors = {"embed.W_E": embed, "blocks.0.attn.W_Q": W_Q, "blocks.0.attn.W_K": W_K}
    tensors["pos_embed.W_pos"] = torch.zeros(3, 16, dtype=torch.float64)
    values = by_name(measure_network(planted(p, **tensors), ONLY))
    assert values["attention.head_freqs"].values == (4.0, 7.0)
    assert values["attention.head_freqs"].value == 2
    assert (values["attention.head_fve"].value or 0) > 1 - 1e-3


def test_entropy_of_a_choice_is_zero_and_of_a_draw_is_its_logarithm() -> None:
    pattern = torch.zeros(5, 3, 2, dtype=torch.float64)
    pattern[:, 0, 0] = 1
    pattern[:, :2, 1] = 0.5
    torch.testing.assert_close(attention.entropy(pattern), torch.tensor([0.0, math.log(2)], dtype=torch.float64))
    # (1, 0, 0) and (1/2, 1/2, 0) have cosine 1 / sqrt(2).
    assert attention.head_cosine(pattern) == pytest.approx(1 / math.sqrt(2), abs=1e-15)


def test_a_single_head_has_no_other_to_be_compared_with() -> None:
    values = by_name(measure_network(planted(heads=1), ONLY))
    assert values["attention.head_cosine"].reason == "one_head"
    assert values["attention.entropy.std"].value == 0


def test_without_an_equals_sign_nobody_looks_at_it() -> None:
    model = Transformer(d_model=16, n_heads=2, d_mlp=8, read="last")
    params = model.init(Shape(positions=2, vocab=11, classes=11), 0)
    values = by_name(measure_network(subject(model, params, 11, None), ONLY))
    assert values["attention.to_equals"].reason == "no_equals"
    assert 0 < number(list(values.values()), "attention.head_fve") <= 1


def test_it_is_defined_for_transformers_with_a_softmax() -> None:
    quad = subject(QuadMLP(width=9), gromov(11, (2,)), 11, None)
    constant = subject(Transformer(d_model=16, n_heads=2, attn_rate=0.5), {}, 11, None)
    for found, words in ((quad, "model=transformer"), (constant, "attn_rate is 0.5")):
        assert words in str(measure_network(found, ONLY)[0].reason)


def test_the_logarithm_is_looked_at_where_products_are_asked_for() -> None:
    whole = planted(p=11)
    product = dataclasses.replace(whole, spec=dataclasses.replace(whole.spec, task=Modular(op="mul", p=11)))
    values = by_name(measure_network(product, ONLY))
    frequencies = values["attention.head_freqs"].values
    assert frequencies is not None
    assert set(frequencies) <= set(range(1, 6))  # period 10
