"""What every optimizer owes the engine; a new file in optimizers/ is covered by existing."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from grokstudy.engine.signature import signature
from grokstudy.spec.identity import trial_id
from grokstudy.spec.interfaces import Optimizer
from grokstudy.spec.trial import Init, TrialSpec
from tests.packs import Trained, assert_same_bits, run
from tests.trials import trial
from tests.variants import every_small, variants

OPTIMIZERS = every_small("optimizers", Optimizer)  # type: ignore[type-abstract]
CASES = {f"{name}/{field}": o for name, base in OPTIMIZERS.items() for field, o in [("", base), *variants(base)]}
every_case = pytest.mark.parametrize("optimizer", CASES.values(), ids=CASES)
every_optimizer = pytest.mark.parametrize("base", OPTIMIZERS.values(), ids=OPTIMIZERS)
STEPS = 25


def spec_with(optimizer: Optimizer, seed: int = 0) -> TrialSpec:
    return trial("quad23", {"optimizer": optimizer, "model.width": 16, "task.p": 11}, seed=seed)


def alone(optimizer: Optimizer) -> Trained:
    return run([spec_with(optimizer)], STEPS).trials[0]


def test_there_are_optimizers() -> None:
    assert OPTIMIZERS


@every_optimizer
def test_members_with_other_settings_train_as_if_alone(base: Optimizer) -> None:
    """One pack with another value of every per-member setting, against one run each."""
    members = [base, *(changed for _, changed in variants(base, per_member=True))]
    specs = [spec_with(optimizer) for optimizer in members]
    assert len({signature(spec) for spec in specs}) == 1
    assert len({trial_id(spec) for spec in specs}) == len(specs) > 1
    for optimizer, trained in zip(members, run(specs, STEPS).trials, strict=True):
        assert_same_bits(alone(optimizer), trained)


@every_optimizer
def test_every_setting_changes_the_training(base: Optimizer) -> None:
    changed = dict(variants(base))
    assert set(changed) == {field.name for field in dataclasses.fields(base)}
    for field, optimizer in changed.items():
        assert not torch.equal(alone(optimizer).params, alone(base).params), field


@every_optimizer
def test_settings_that_shape_the_computation_keep_packs_apart(base: Optimizer) -> None:
    shared = {name for name, _ in variants(base)} - {name for name, _ in variants(base, per_member=True)}
    for name, optimizer in variants(base):
        assert (signature(spec_with(optimizer)) != signature(spec_with(base))) == (name in shared), name


@every_case
def test_resuming_changes_no_bit(optimizer: Optimizer) -> None:
    spec = spec_with(optimizer)
    first = run([spec], STEPS, kill_at=11)
    second = run([spec], STEPS, resume=(11, [first.lane(spec)])).trials[0]
    whole = alone(optimizer)
    assert_same_bits(whole, dataclasses.replace(second, checkpoints=whole.checkpoints))


@every_case
def test_it_learns(optimizer: Optimizer) -> None:
    losses = alone(optimizer).columns[:, 0]
    assert losses[-1] < losses[0]


@every_case
def test_the_warm_up_is_a_pure_function_of_the_step_that_ends_at_one(optimizer: Optimizer) -> None:
    factors = [optimizer.lr_factor(step) for step in range(2000)]
    assert factors == [optimizer.lr_factor(step) for step in range(2000)]
    assert all(0 <= factor <= 1 for factor in factors)
    assert factors[-1] == 1


@every_case
def test_an_update_writes_parameters_and_declared_state_and_nothing_else(optimizer: Optimizer) -> None:
    draw = torch.Generator().manual_seed(0)
    params, grads = torch.randn(2, 2, 5, generator=draw).unbind()
    state = {name: torch.zeros_like(params) for name in optimizer.state_names()}
    columns = {
        field.name: torch.tensor([getattr(optimizer, field.name)] * 2, dtype=torch.float64).unsqueeze(1)
        for field in dataclasses.fields(optimizer)
        if field.metadata["per_member"]
    }
    settings = {**columns, "lr_now": torch.full((2, 1), 0.01, dtype=torch.float64)}
    kept = {name: tensor.clone() for name, tensor in settings.items()}
    before, gradient = params.clone(), grads.clone()
    optimizer.update(params, grads, state, 30, settings)
    assert not torch.equal(params, before)
    assert torch.equal(grads, gradient), "the engine owns the gradient"
    assert set(state) == set(optimizer.state_names())
    assert all(torch.equal(settings[name], kept[name]) for name in kept)
    assert params.dtype == torch.float32


@every_case
def test_a_member_that_is_not_a_number_stays_alone(optimizer: Optimizer) -> None:
    """Updates are row by row: NaN in one row reaches no other, and no row's bits depend on the others' values."""
    healthy = spec_with(optimizer)
    sick = dataclasses.replace(spec_with(optimizer, seed=1), init=Init(scale=1e30))
    together = run([sick, healthy], STEPS).trials
    assert together[0].diverged
    assert_same_bits(run([healthy], STEPS).trials[0], together[1])
