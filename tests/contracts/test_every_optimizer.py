"""What every optimizer owes the engine; a new file in optimizers/ is covered by existing."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

import pytest
import torch

from grokstudy.engine.signature import signature
from grokstudy.spec import plugins
from grokstudy.spec.axes import Value
from grokstudy.spec.errors import BadInput
from grokstudy.spec.identity import trial_id
from grokstudy.spec.interfaces import Optimizer
from grokstudy.spec.trial import Init, TrialSpec
from tests.packs import Trained, assert_same_bits, run
from tests.trials import TINY, trial
from tests.updates import step_of
from tests.variants import variants

STEPS = 25
TOGETHER: Mapping[str, Mapping[str, Value]] = {
    "filter_alpha": {"filter": "grokfast_ema"},
    "filter_lamb": {"filter": "grokfast_ema"},
    "filter_window": {"filter": "grokfast_ma", "filter_window": 4},
    "nesterov": {"momentum": 0.9},
    "temperature": {"temperature": 1e-4},
    "horizon": {"temperature": 1e6, "horizon": 1, "end": 1e-10},
    "end": {"temperature": 1e-2, "horizon": 8, "end": 1e-5},
}
"""Settings with which a field changes a short training; without most of them it would do nothing and is refused."""
ACTS_ON: Mapping[str, Mapping[str, Value]] = {"lr_over_scale2": {"model.output_scale": 0.5}}
"""What the trial of an optimizer with this field has, for the field to act on."""
SHARED = frozenset(field.name for field in dataclasses.fields(Optimizer))
"""Fields that every optimizer has; some refuse them."""
SMALL = (("quad23", {"model.width": 13, "task.p": 11}), ("small31", TINY))
"""Sizes that fill no vector register; the second one has hidden matrices."""


def spec_with(optimizer: Optimizer, seed: int = 0) -> TrialSpec:
    """The first small trial that this optimizer takes: without decoupled decay, which some refuse."""
    common: dict[str, object] = {"regularization.weight_decay": 0.0, "regularization.l2": 1e-3}
    for field in dataclasses.fields(optimizer):
        common |= ACTS_ON.get(field.name, {})
    *others, last = SMALL
    for preset, changes in others:
        try:
            return trial(preset, {"optimizer": optimizer, **changes, **common}, seed=seed)
        except BadInput:
            continue
    return trial(last[0], {"optimizer": optimizer, **last[1], **common}, seed=seed)


def changes(base: Optimizer) -> Iterator[tuple[str, Optimizer, Optimizer]]:
    """(field, the optimizer with what the field needs, the same with another value of it); refused ones left out."""
    for field in dataclasses.fields(base):
        before = dataclasses.replace(base, **TOGETHER.get(field.name, {})) if field.name in TOGETHER else base
        changed = dict(variants(before)).get(field.name)
        if changed is not None and not any(refused(one) for one in (before, changed)):
            yield field.name, before, changed


def refused(optimizer: Optimizer) -> bool:
    try:
        spec_with(optimizer)
    except BadInput:
        return True
    return False


def alone(optimizer: Optimizer, seed: int = 0) -> Trained:
    return run([spec_with(optimizer, seed)], STEPS).trials[0]


def loaded(name: str) -> Optimizer:
    optimizer = plugins.load("optimizers", name)()
    assert isinstance(optimizer, Optimizer)
    return optimizer


OPTIMIZERS = {name: loaded(name) for name in plugins.names("optimizers")}
CASES = {f"{name}/{field}": changed for name, base in OPTIMIZERS.items() for field, _, changed in changes(base)}
CASES |= {f"{name}/": base for name, base in OPTIMIZERS.items()}
every_case = pytest.mark.parametrize("optimizer", CASES.values(), ids=CASES)
every_optimizer = pytest.mark.parametrize("base", OPTIMIZERS.values(), ids=OPTIMIZERS)


def test_there_are_optimizers() -> None:
    assert OPTIMIZERS


@every_optimizer
def test_members_with_other_settings_train_as_if_alone(base: Optimizer) -> None:
    """One pack with another value of every per-member setting, against one run each."""
    candidates = [base, *(optimizer for _, *pair in changes(base) for optimizer in pair)]
    specs = {
        trial_id(spec): spec for spec in map(spec_with, candidates) if signature(spec) == signature(spec_with(base))
    }
    own = {field.name for field in dataclasses.fields(base) if field.metadata["per_member"]}
    assert len(specs) >= 1 + len(own) > 1
    for spec, trained in zip(specs.values(), run(list(specs.values()), STEPS).trials, strict=True):
        assert_same_bits(run([spec], STEPS).trials[0], trained)


@every_optimizer
def test_every_setting_changes_the_training_or_is_refused(base: Optimizer) -> None:
    done = {field for field, _, _ in changes(base)}
    assert {field.name for field in dataclasses.fields(base)} - done <= SHARED, "only what all have may be refused"
    for field, before, changed in changes(base):
        # A setting of random decisions changes their odds: not every decision of a short training.
        assert any(not torch.equal(alone(changed, seed).params, alone(before, seed).params) for seed in range(6)), field


@every_optimizer
def test_a_setting_that_nothing_reads_is_refused(base: Optimizer) -> None:
    """Alone, every field that needs another one raises; with the other it is taken (the test above)."""
    fields = {field.name: getattr(base, field.name) for field in dataclasses.fields(base)}
    for field in (TOGETHER.keys() - {"temperature"}) & fields.keys():
        changed = dict(variants(base)).get(field)
        assert changed is None or refused(changed) or (field == "nesterov" and fields["momentum"]), field


@every_optimizer
def test_settings_that_shape_the_computation_keep_packs_apart(base: Optimizer) -> None:
    per_member = {field.name for field in dataclasses.fields(base) if field.metadata["per_member"]}
    for field, before, changed in changes(base):
        apart = signature(spec_with(changed)) != signature(spec_with(before))
        assert apart == (field not in per_member), field


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
@pytest.mark.parametrize("matrix", [None, (5, 2)], ids=["plain", "hidden"])
def test_an_update_writes_parameters_and_declared_state_and_nothing_else(
    optimizer: Optimizer, matrix: tuple[int, int] | None
) -> None:
    draw = torch.Generator().manual_seed(0)
    params, grads = torch.randn(2, 3, 10, generator=draw).unbind()
    step = step_of(optimizer, params, grads, matrix=matrix)
    kept = {name: tensor.clone() for name, tensor in step.settings.items()}
    before, gradient = params.clone(), grads.clone()
    for _ in range(5):  # a random move may be refused
        optimizer.update(step)
    assert not torch.equal(params, before)
    assert torch.equal(grads, gradient), "the engine owns the gradient"
    assert set(step.state) == set(optimizer.state_names())
    assert all(torch.equal(step.settings[name], kept[name]) for name in kept)
    assert params.dtype == torch.float32


@every_case
def test_a_member_that_is_not_a_number_stays_alone(optimizer: Optimizer) -> None:
    """Updates are row by row: NaN in one row reaches no other, and no row's bits depend on the others' values."""
    healthy = spec_with(optimizer)
    sick = dataclasses.replace(spec_with(optimizer, seed=1), init=Init(scale=1e30))
    together = run([sick, healthy], STEPS).trials
    assert together[0].diverged
    assert_same_bits(run([healthy], STEPS).trials[0], together[1])
