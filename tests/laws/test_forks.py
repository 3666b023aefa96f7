"""A fork is its parent gone on: what it starts from, and that keeping everything changes no bit."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from grokstudy.engine.loop import Leaving, run_pack
from grokstudy.engine.signature import signature
from grokstudy.engine.state import Member, PackState, Start
from grokstudy.spec.errors import BadInput
from grokstudy.spec.identity import trial_id
from grokstudy.spec.settings import CheckpointSettings, EngineSettings
from grokstudy.spec.trial import Init, TrialSpec
from tests.trials import tiny, trial

CASES: dict[str, dict[str, Any]] = {
    "full batch": {},
    "mini-batches and noise": {"batch_size": 100, "noise.temperature": 1e-6},
    "annealed noise": {"noise.temperature": 1e-6, "noise.schedule": "linear", "noise.horizon": 80},
    "slow gradients": {"optimizer.filter": "grokfast_ema"},
    "a window of gradients": {"optimizer.filter": "grokfast_ma", "optimizer.filter_window": 7},
}


def ended(members: Sequence[Member], budget: int) -> PackState:
    """A pack as it is at its budget."""
    for event in run_pack(members, budget, EngineSettings(), CheckpointSettings(ring=False, schedule=False)):
        if isinstance(event, Leaving) and event.state.step == budget:
            return dataclasses.replace(event.state)  # the loop goes on to drop the lanes of its own
    raise AssertionError("no member came to the budget")


def drawn(specs: Sequence[TrialSpec], budget: int) -> PackState:
    return ended([Member(trial_id=trial_id(spec), spec=spec) for spec in specs], budget)


def fork(parents: PackState, lane: int, changes: dict[str, Any], keep: bool, preset: str = "quad23") -> Member:
    """A member with a lane's seeds that starts where the lane is."""
    parent = parents.members[lane]
    before = parent.spec.init.offset
    start = f"{parent.trial_id}@{parents.step}" + (f"+{before}" if before and keep else "")
    changes = {**changes, "init.from": start, "init.optimizer_state": "keep" if keep else "reset"}
    spec = trial(preset, changes, seed=parent.spec.seed)
    params = {name: view[lane] for name, view in parents.layout.views(parents.params).items()}
    state = {name: tensor[lane] for name, tensor in parents.optimizer.items()}
    return Member(trial_id=trial_id(spec), spec=spec, start=Start(params=params, optimizer=state if keep else None))


def assert_continued(whole: PackState, at: int, child: PackState, lane: int, of: int) -> None:
    """Lane `lane` of the child is lane `of` of a run that never stopped: child step s = its step at + s."""
    assert torch.equal(child.params[lane], whole.params[of])
    for name, tensor in whole.optimizer.items():
        assert torch.equal(child.optimizer[name][lane], tensor[of]), name
    steps, columns = child.curve(lane)
    whole_steps, whole_columns = whole.curve(of)
    common, own, theirs = np.intersect1d(steps + at, whole_steps, return_indices=True)
    assert len(common) > 10
    assert columns[own].tobytes() == whole_columns[theirs].tobytes()


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("case", CASES)
def test_a_fork_that_keeps_everything_is_its_parent_continued_bit_for_bit(case: str, size: int) -> None:
    specs = [trial("quad23", CASES[case], seed=seed) for seed in range(3)]
    whole, parents = drawn(specs, 100), drawn(specs, 40)
    forks = [fork(parents, i, CASES[case], keep=True) for i in range(3 - size, 3)]
    assert len({signature(member.spec) for member in forks}) == 1
    child = ended(forks, 60)
    for lane in range(size):
        assert_continued(whole, 40, child, lane, 3 - size + lane)


def test_a_fork_of_a_fork_is_the_first_parent_continued() -> None:
    """Batches, noise and the optimizer's step count go on from what all ancestors did."""
    changes = {"batch_size": 100, "noise.temperature": 1e-6}
    spec = trial("quad23", changes, seed=4)
    whole, first = drawn([spec], 90), drawn([spec], 30)
    second = ended([fork(first, 0, changes, keep=True)], 40)
    third = fork(second, 0, changes, keep=True)
    assert third.spec.init.from_ == f"{second.members[0].trial_id}@40+30"
    assert_continued(whole, 70, ended([third], 20), 0, 0)


@pytest.mark.slow
def test_a_fork_taken_before_generalisation_generalises_when_its_parent_would_have() -> None:
    specs = [trial("quad23", seed=seed) for seed in (4, 5)]
    whole, parents = drawn(specs, 700), drawn(specs, 250)
    assert all(watch.gen.crossing is None for watch in parents.watches)
    assert all(watch.gen.crossing is not None for watch in whole.watches)
    child = ended([fork(parents, i, {}, keep=True) for i in range(2)], 450)
    for lane in range(2):
        assert_continued(whole, 250, child, lane, lane)
        assert child.watches[lane].gen.crossing is not None


def test_a_reset_fork_starts_from_the_weights_alone() -> None:
    """Its first update is a first update: with warm-up it has lr 0, and the optimizer's averages start at zero."""
    parents = drawn([trial("quad23", seed=0)], 40)
    one = ended([fork(parents, 0, {}, keep=False)], 1)
    assert torch.equal(one.params[0], parents.params[0])
    assert not torch.equal(one.optimizer["exp_avg"][0], parents.optimizer["exp_avg"][0])
    steps, columns = one.curve(0)
    assert steps.tolist() == [0, 1]
    assert columns[0].tobytes() == parents.curve(0)[1][-1].tobytes()


def test_forks_and_drawn_trials_share_a_pack_without_touching_each_other() -> None:
    parents = drawn([trial("quad23", seed=seed) for seed in range(2)], 20)
    fresh = trial("quad23", {"task.frac_train": 0.55}, seed=7)
    members = [
        fork(parents, 1, {"regularization.weight_decay": 0.1}, keep=False),
        Member(trial_id=trial_id(fresh), spec=fresh),
        fork(parents, 0, {}, keep=False),
    ]
    assert len({signature(member.spec) for member in members[::2]}) == 1
    together = ended(members[::2], 30)
    for lane, member in enumerate(members[::2]):
        assert torch.equal(together.params[lane], ended([member], 30).params[0])
    mixed = [members[0], Member(trial_id="f", spec=trial("quad23", seed=7))]
    assert signature(mixed[0].spec) == signature(mixed[1].spec)
    assert torch.equal(ended(mixed, 30).params[0], together.params[0])


def test_a_fork_in_other_precision_starts_from_the_parents_numbers() -> None:
    parents = drawn([tiny(seed=1)], 20)
    tiny_model = {"task.p": 13, "model.d_model": 16, "model.d_mlp": 32}
    wide = ended([fork(parents, 0, {**tiny_model, "engine.dtype": "float64"}, keep=False, preset="small31")], 1)
    assert wide.params.dtype == torch.float64
    assert torch.equal(wide.params[0], parents.params[0].double())  # warm-up: the first update has lr 0


def test_the_step_of_a_parent_is_part_of_the_trial() -> None:
    ids = {trial_id(trial("quad23", {"init.from": f"{'a' * 16}@{step}"})) for step in (0, 1, 10)}
    ids |= {trial_id(trial("quad23")), trial_id(trial("quad23", {"init.from": f"{'b' * 16}@1"}))}
    assert len(ids) == 5


@pytest.mark.parametrize(
    "text", ["a" * 16, f"{'a' * 16}@", "@3", "a@b", "a@-1", "a@01", "a@1.5", "a b@3", "-a@3", f"{'a' * 16}@3+4"]
)
def test_a_parent_is_a_trial_or_study_at_a_step(text: str) -> None:
    with pytest.raises(BadInput, match=r"init\.from"):
        Init(from_=text)


@pytest.mark.parametrize("text", ["3f2a@400", "wd_x_frac@end", "a.b-c@t_gen", "9@t_mem", "A" * 16 + "@4"])
def test_a_parent_that_was_not_looked_up_cannot_be_trained_from(text: str) -> None:
    init = Init(from_=text)
    assert not init.is_resolved
    with pytest.raises(ValueError, match="looked up"):
        init.parent  # noqa: B018
