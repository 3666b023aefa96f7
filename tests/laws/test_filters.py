"""Gradient filters: what they do to a gradient, and that packs, kills and rounding do nothing to them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from grokstudy.engine.filters import filter_gradient, filter_state
from grokstudy.optimizers.adamw import AdamW
from grokstudy.spec.interfaces import Optimizer
from grokstudy.spec.trial import TrialSpec
from tests.packs import assert_same_bits, run
from tests.trials import tiny, trial

SHAPES = (("a", (3, 4)), ("b", (7,)))
FILTERS: Mapping[str, Mapping[str, object]] = {
    "orthograd": {},
    "grokfast_ema": {"filter_alpha": 0.9, "filter_lamb": 1.5},
    "grokfast_ma": {"filter_window": 5, "filter_lamb": 3.0},
}
every_filter = pytest.mark.parametrize("name", FILTERS)


def optimizer(name: str, **changes: object) -> Optimizer:
    return AdamW(filter=name, **{**FILTERS[name], **changes})  # type: ignore[arg-type]


def draw(seed: int, members: int = 2) -> Tensor:
    return torch.randn(members, 19, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def filtered(with_filter: Optimizer, grads: Tensor, number: int, state: Mapping[str, Tensor]) -> Tensor:
    out = grads.clone()
    filter_gradient(with_filter, draw(99, len(grads)), out, state, number, SHAPES)
    return out


def fresh(with_filter: Optimizer, like: Tensor) -> dict[str, Tensor]:
    return {name: torch.zeros_like(like) for name in filter_state(with_filter)}


def test_orthograd_is_orthogonal_to_every_tensor_and_as_long_as_the_gradient() -> None:
    weights, grads = draw(99), draw(1)
    out = filtered(optimizer("orthograd"), grads, 0, {})
    for part in (slice(0, 12), slice(12, 19)):
        across = (out[:, part] * weights[:, part]).sum(1)
        torch.testing.assert_close(across, torch.zeros(2).double(), rtol=0, atol=1e-14)
        torch.testing.assert_close(out[:, part].norm(dim=1), grads[:, part].norm(dim=1), rtol=1e-14, atol=0)
        kept = torch.stack([weights[:, part], grads[:, part], out[:, part]], 1)
        assert (torch.linalg.matrix_rank(kept) == 2).all(), "what is left of g lies in the plane of w and g"


def test_orthograd_of_weights_that_are_zero_is_the_gradient() -> None:
    grads = draw(1)
    out = grads.clone()
    filter_gradient(optimizer("orthograd"), torch.zeros_like(grads), out, {}, 0, SHAPES)
    torch.testing.assert_close(out, grads, rtol=1e-15, atol=0)


def test_the_slow_average_of_a_constant_gradient_is_that_gradient() -> None:
    with_filter, grads = optimizer("grokfast_ema"), draw(1)
    state = fresh(with_filter, grads)
    for number in range(30):
        # 30 convex combinations of equal numbers: a rounding of 1e-16 each.
        torch.testing.assert_close(filtered(with_filter, grads, number, state), 2.5 * grads, rtol=1e-14, atol=0)


def test_the_window_mean_acts_from_the_update_at_which_the_window_is_full() -> None:
    with_filter = optimizer("grokfast_ma")
    state = fresh(with_filter, draw(0))
    seen = [draw(i) for i in range(23)]
    for number, grads in enumerate(seen):
        out = filtered(with_filter, grads, number, state)
        mean = torch.stack(seen[max(0, number - 4) : number + 1]).mean(0)
        expected = grads if number < 4 else grads + 3 * mean
        torch.testing.assert_close(out, expected, rtol=1e-12, atol=1e-14)


def test_the_running_sum_of_a_window_forgets_a_burst_exactly() -> None:
    """One gradient of 1e12 leaves rounding of 1e-4 in a running sum; it is gone once the sum was made anew."""
    with_filter, ones = optimizer("grokfast_ma"), torch.ones(1, 19, dtype=torch.float64)
    state = fresh(with_filter, ones)
    for number in range(20):
        out = filtered(with_filter, ones / 3 if number != 2 else ones * 1e12, number, state)
    torch.testing.assert_close(out, 4 / 3 * ones, rtol=1e-14, atol=0)


@every_filter
def test_a_filter_acts_on_the_loss_and_not_on_terms_or_decay(name: str) -> None:
    """With no gradient from the loss nothing is left of a filter: l2 passes beside it."""
    grads = torch.zeros(2, 19, dtype=torch.float64)
    with_filter = optimizer(name)
    state = fresh(with_filter, grads)
    for number in range(9):
        assert not filtered(with_filter, grads, number, state).any()


def specs_with(name: str, make: str) -> list[TrialSpec]:
    """Members that differ in what may differ, with sizes that fill no vector register."""
    changes = {f"optimizer.{field}": value for field, value in {**FILTERS[name], "filter": name}.items()}
    small = {"model.width": 13, "task.p": 11}
    return [
        (trial("quad23", {**small, **changes, **own}, seed=i) if make == "quad" else tiny({**changes, **own}, seed=i))
        for i in range(5)
        for own in [{"optimizer.lr": 0.002 * (i + 1), "regularization.weight_decay": 0.4 * i}]
    ]


@every_filter
@pytest.mark.parametrize("make", ["quad", "tiny"])
def test_packmates_and_kills_change_no_bit(name: str, make: str) -> None:
    specs = specs_with(name, make)
    together = run(specs, 25)
    first = run(specs, 25, kill_at=12)
    for i in (1, 4):
        whole = run([specs[i]], 25).trials[0]
        assert_same_bits(whole, together.trials[i])
        second = run([specs[i]], 25, resume=(12, [first.lane(specs[i])])).trials[0]
        assert_same_bits(whole, dataclasses.replace(second, checkpoints=whole.checkpoints))


@every_filter
def test_a_member_that_is_not_a_number_stays_alone(name: str) -> None:
    grads = draw(1)
    grads[0] = torch.nan
    with_filter = optimizer(name)
    states = fresh(with_filter, grads), fresh(with_filter, grads[1:])
    for number in range(7):
        out = grads.clone()
        filter_gradient(with_filter, draw(99), out, states[0], number, SHAPES)
        own = grads[1:].clone()
        filter_gradient(with_filter, draw(99)[1:], own, states[1], number, SHAPES)
        assert torch.equal(out[1:], own)
        assert out[0].isnan().all()
