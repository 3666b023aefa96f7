"""What every regularization term owes the engine; a new file in regularizers/ is covered by existing."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor

from grokstudy.engine.signature import active_terms, signature
from grokstudy.regularizers.l2 import L2
from grokstudy.regularizers.weight_decay import WeightDecay
from grokstudy.spec.identity import identity, trial_id
from grokstudy.spec.interfaces import Regularizer
from grokstudy.spec.trial import TrialSpec
from tests.packs import assert_same_bits, run
from tests.trials import trial
from tests.variants import every_small

TERMS = every_small("regularizers", Regularizer)  # type: ignore[type-abstract]
every_term = pytest.mark.parametrize("name", TERMS)
LR = torch.full((2, 1), 0.01, dtype=torch.float64)


def strengths(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).unsqueeze(1)


def spec_with(name: str, strength: float, seed: int = 0) -> TrialSpec:
    off = {f"regularization.{term}": 0.0 for term in TERMS}
    changes = {"model.width": 13, "task.p": 11, **off, f"regularization.{name}": strength}
    return trial("quad23", changes, seed=seed)


def test_there_are_terms() -> None:
    assert TERMS


@every_term
def test_it_does_something(name: str) -> None:
    params = torch.randn(2, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    before, start = params.clone(), params.flip(1)
    addition = TERMS[name].gradient(params, strengths(0.5, 0.5))
    rate = TERMS[name].drop_rate(strengths(0.5, 0.5))
    TERMS[name].decay(params, start, LR, strengths(0.5, 0.5))
    TERMS[name].project(params, start, strengths(0.5, 0.5))
    assert addition is not None or rate is not None or not torch.equal(params, before)


@every_term
def test_it_says_whether_it_reads_the_weights_at_the_start(name: str) -> None:
    results = []
    for seed in (1, 2):
        params = torch.randn(2, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        start = torch.randn(2, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        TERMS[name].decay(params, start, LR, strengths(0.5, 0.5))
        TERMS[name].project(params, start, strengths(0.5, 0.5))
        results.append(params)
    assert torch.equal(*results) != TERMS[name].needs_start


@every_term
def test_its_energy_is_what_a_plain_step_descends(name: str) -> None:
    """The gradient of the energy is what it adds to the gradient, or what it decays per unit of lr."""
    params = torch.randn(2, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    energy = TERMS[name].energy(params, strengths(0.3, 2.0))
    if energy is None:
        return
    assert energy.shape == (2, 1)
    (force,) = torch.autograd.grad(energy.sum(), params)
    moved = params.detach().clone()
    addition = TERMS[name].gradient(moved, strengths(0.3, 2.0))
    if addition is not None:
        moved.sub_(LR * addition)
    TERMS[name].decay(moved, None, LR, strengths(0.3, 2.0))
    # One subtraction of numbers of size 1, divided by lr = 0.01: 100 roundings of 1e-16.
    torch.testing.assert_close((params.detach() - moved) / LR, force, rtol=1e-12, atol=1e-13)


@every_term
def test_what_it_adds_is_the_gradient_of_some_term_and_leaves_parameters_alone(name: str) -> None:
    """A field of vectors is a gradient if and only if its Jacobian is symmetric."""
    params = torch.randn(1, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    before = params.clone()
    if TERMS[name].gradient(params, strengths(0.5)) is None:
        return

    def field(row: Tensor) -> Tensor:
        addition = TERMS[name].gradient(row, strengths(0.5))
        assert addition is not None
        return addition

    assert torch.equal(params, before)
    jacobian = torch.autograd.functional.jacobian(field, params)[0, :, 0]
    torch.testing.assert_close(jacobian, jacobian.T, rtol=1e-12, atol=1e-14)


@every_term
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_term_that_calls_itself_exact_at_zero_leaves_every_bit(name: str, dtype: torch.dtype) -> None:
    """Signed zeros, denormals, infinities and NaN included: members with and without the term then share packs."""
    term = TERMS[name]
    if not term.exact_at_zero:
        return
    values = torch.tensor([[0.0, -0.0, 1e-45, -1e-45, 1.0, -3.7, 3e38, torch.inf, -torch.inf, torch.nan]], dtype=dtype)
    params, grads = values.clone(), values.flip(1).clone()
    addition = term.gradient(params, strengths(0.0))
    if addition is not None:
        grads.add_(addition)
    term.decay(params, values.flip(1), LR[:1], strengths(0.0))
    term.project(params, values.flip(1), strengths(0.0))
    assert params.numpy().tobytes() == values.numpy().tobytes()
    assert grads.numpy().tobytes() == values.flip(1).contiguous().numpy().tobytes()


@every_term
def test_only_terms_that_are_exact_at_zero_share_a_pack_with_trials_without_them(name: str) -> None:
    without, with_term = spec_with(name, 0.0), spec_with(name, 0.3)
    assert (signature(without) == signature(with_term)) == TERMS[name].exact_at_zero
    assert name in active_terms(with_term)


@every_term
def test_strengths_are_per_member(name: str) -> None:
    values = (0.1, 0.7, *((0.0,) if TERMS[name].exact_at_zero else ()))
    specs = [spec_with(name, strength) for strength in values]
    trained = run(specs, 25).trials
    for spec, member in zip(specs, trained, strict=True):
        assert_same_bits(run([spec], 25).trials[0], member)
    assert not torch.equal(trained[0].params, trained[1].params)


@every_term
def test_resuming_changes_no_bit(name: str) -> None:
    spec = spec_with(name, 0.3)
    first = run([spec], 25, kill_at=11)
    second = run([spec], 25, resume=(11, [first.lane(spec)])).trials[0]
    whole = run([spec], 25).trials[0]
    assert_same_bits(whole, dataclasses.replace(second, checkpoints=whole.checkpoints))


@every_term
def test_no_strength_is_no_term_and_is_left_out_of_the_id(name: str) -> None:
    none = spec_with(name, 0.0)
    assert f"regularization.{name}" not in identity(none)
    assert trial_id(none) != trial_id(spec_with(name, 1e-6))


def test_l2_is_the_gradient_of_half_the_sum_of_squares() -> None:
    params = torch.randn(2, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    by_member = strengths(0.3, 2.0)
    (by_member / 2 * params.square()).sum().backward()
    addition = L2().gradient(params.detach(), by_member)
    assert addition is not None
    torch.testing.assert_close(addition, params.grad, rtol=1e-14, atol=0)


def test_weight_decay_is_decoupled_and_scales_with_the_learning_rate_of_the_step() -> None:
    params = torch.ones(2, 3, dtype=torch.float64)
    assert WeightDecay().gradient(params, strengths(0.5, 2.0)) is None
    WeightDecay().decay(params, None, LR, strengths(0.5, 2.0))
    expected = torch.tensor([[1 - 0.01 * 0.5] * 3, [1 - 0.01 * 2.0] * 3], dtype=torch.float64)
    assert torch.equal(params, expected)


def test_the_first_update_decays_nothing_because_its_learning_rate_is_zero() -> None:
    one = run([spec_with("weight_decay", 5.0)], 1).trials[0]
    assert one.columns[0].tobytes() == one.columns[1].tobytes()
