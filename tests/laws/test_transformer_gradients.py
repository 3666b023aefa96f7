"""The transformer's gradients, mapped and written by hand, against those of a network written down plainly."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor

from grokstudy.losses.ce64 import CrossEntropy64
from grokstudy.models._attention_gradient import FEW
from grokstudy.spec.interfaces import Shape
from tests.transformer_cases import AXES, PAIRS, READS, SEQUENCE, all_rows, assert_near, build, plain, random_params


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
    forward = functools.partial(model.apply, inputs=inputs, answers=shape.answers)
    gradients = torch.func.vmap(torch.func.grad(lambda p: loss(p, forward)))(stacked)
    for lane, params in enumerate(members):
        expected = torch.func.grad(lambda p: loss(p, lambda q: plain(model, shape, q, inputs)))(params)
        for name in params:
            assert expected[name].any(), name
            assert_near(gradients[name][lane], expected[name], name)


LONG = Shape(positions=9, vocab=4, classes=3, answers=9)
"""81 pairs of positions in every layer: more than are compared element by element."""
assert LONG.positions * LONG.answers > FEW
DERIVED = ("gated", "tied", "rotary", "attn_pre_qk", "attn_pre_v")
"""Words of the axes whose gradient is not written by hand; nor is that of another attention rate than 1."""
BY_HAND = [axes for axes in AXES if axes.get("attn_rate", 1) == 1 and not any(word in str(axes) for word in DERIVED)]


@pytest.mark.parametrize("reads", [{}, {"n_layers": 2}, {"n_layers": 3, "causal": False}], ids=str)
@pytest.mark.parametrize("axes", BY_HAND, ids=map(str, BY_HAND))
def test_the_gradient_by_hand_is_that_of_the_plain_network_on_long_rows(
    axes: dict[str, Any], reads: dict[str, Any]
) -> None:
    model, loss = build(**axes, **reads), CrossEntropy64()
    hand = model.gradient_by_hand(LONG)
    assert hand is not None
    draw = torch.Generator().manual_seed(1)
    inputs = torch.randint(LONG.vocab, (30, LONG.positions), generator=draw)
    labels = torch.randint(LONG.classes, (30, LONG.answers), generator=draw)
    weights = torch.rand(labels.shape, generator=draw, dtype=torch.float64)
    params = {name: 0.7 * x for name, x in random_params(model, LONG).items()}  # squares of squares overflow
    prepared = [x[0] for x in hand.prepare(inputs[None], torch.float64)]
    out = {name: torch.full_like(x, torch.nan) for name, x in params.items()}
    assert_near(hand.logits(params, prepared), plain(model, LONG, params, inputs))
    hand.write_gradient(params, prepared, labels, weights, loss, out)
    expected = torch.func.grad(lambda p: (loss.per_row(plain(model, LONG, p, inputs), labels) * weights).sum())(params)
    for name in params:
        assert_near(out[name], expected[name], name)


@pytest.mark.parametrize("axes", AXES, ids=map(str, AXES))
def test_gradients_are_derived_only_of_the_axes_that_no_block_is_written_for(axes: dict[str, Any]) -> None:
    for shape, reads in READS:
        assert (build(**axes, **reads).gradient_by_hand(shape) is not None) == (axes in BY_HAND)
