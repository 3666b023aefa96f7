"""A trial's bits are a function of its spec: not of its packmates, of kills, of repacking or of the budget."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import numpy as np
import pytest

from grokstudy.engine.ring import CAPACITY
from grokstudy.engine.signature import signature
from grokstudy.spec.settings import CheckpointSettings
from grokstudy.spec.trial import TrialSpec
from tests.packs import Trained, assert_same_bits, assert_same_weights, run
from tests.trials import tiny, trial

SMALL = pytest.param(functools.partial(trial, "small31"), 0.585, id="small31", marks=pytest.mark.slow)
CASES = [
    pytest.param(functools.partial(trial, "quad23"), 0.5, id="quad23-frac.5"),
    pytest.param(functools.partial(trial, "quad23"), 0.7, id="quad23-frac.7"),
    pytest.param(tiny, 0.6, id="tiny-frac.6"),
    pytest.param(tiny, 0.8, id="tiny-frac.8", marks=pytest.mark.campaign),
    SMALL,
]


def packmates(make: Callable[..., TrialSpec], frac: float, n: int) -> list[TrialSpec]:
    """Trials that differ in everything that may differ within a pack; the first three are the same for every n."""
    specs = [
        make(
            {
                "optimizer.lr": 0.001 * (1 + i),
                "optimizer.betas": [0.9, 0.98] if i % 2 else [0.8, 0.99],
                "regularization.weight_decay": 0.0 if i == 1 else 0.3 * i,
                "task.frac_train": frac + 0.002 * (i % 7),
                "task.label_noise": 0.1 * (i % 3),
                "task.op": ("add", "mul", "x2plusy2")[i % 3],
                "init.scale": 1 + 0.1 * i,
            },
            seed=i,
        )
        for i in range(n)
    ]
    assert len({signature(spec) for spec in specs}) == 1
    assert len({spec.task.train_rows() for spec in specs}) > 1
    return specs


def assert_packmates_change_nothing(make: Callable[..., TrialSpec], frac: float, packs: list[int], steps: int) -> None:
    specs = packmates(make, frac, max(packs))
    alone = [run([spec], steps).trials[0] for spec in specs[:3]]
    for n in packs:
        # The watched trials lie first, last and in the middle of the pack.
        order = [specs[0], *specs[3 : n // 2 + 2], specs[1], *specs[n // 2 + 2 : n], specs[2]]
        together = run(order, steps)
        assert len(together.trials) == n
        for spec, expected in zip(specs[:3], alone, strict=True):
            assert_same_bits(expected, together.trials[order.index(spec)])


@pytest.mark.parametrize(("make", "frac"), CASES)
def test_packmates_never_change_a_trial(make: Callable[..., TrialSpec], frac: float) -> None:
    """In the first updates already: other bits would come from other kernels, which the first products choose."""
    assert_packmates_change_nothing(make, frac, packs=[8, 64], steps=25)


@pytest.mark.slow
@pytest.mark.parametrize(("make", "frac"), CASES)
def test_packmates_never_change_a_trial_over_400_steps(make: Callable[..., TrialSpec], frac: float) -> None:
    transformer = make is tiny or make is SMALL.values[0]
    assert_packmates_change_nothing(make, frac, packs=[8] if transformer else [8, 64], steps=400)


@pytest.mark.campaign
@pytest.mark.parametrize(("make", "frac"), [(tiny, 0.6), (SMALL.values[0], 0.585), (SMALL.values[0], 0.72)])
def test_packmates_never_change_a_transformer_in_a_pack_of_64_over_400_steps(
    make: Callable[..., TrialSpec], frac: float
) -> None:
    assert_packmates_change_nothing(make, frac, packs=[64], steps=400)


@pytest.mark.parametrize(
    "change", [{"optimizer.lr": 1e9}, {"init.scale": 1e12}], ids=["lr 1e9 diverges later", "scale 1e12 at once"]
)
@pytest.mark.parametrize("make", [functools.partial(trial, "quad23"), tiny], ids=["quad23", "tiny"])
def test_a_diverging_packmate_leaves_alone_and_touches_nobody(
    make: Callable[..., TrialSpec], change: dict[str, float]
) -> None:
    neighbours = [make(seed=seed) for seed in (1, 2)]
    bad = make({**change, "init.scale": 1e12} if make is tiny else change, seed=3)
    together = run([neighbours[0], bad, neighbours[1]], 60).trials
    assert together[1].diverged
    assert together[1].step < 60
    assert together[1].steps[-1] == together[1].step
    assert not np.isfinite(together[1].columns[-1, 0])
    assert np.isfinite(together[1].columns[:-1, 0]).all()
    assert_same_bits(run([bad], 60).trials[0], together[1])
    for spec, trained in zip(neighbours, (together[0], together[2]), strict=True):
        assert trained.step == 60
        assert not trained.diverged
        assert_same_bits(run([spec], 60).trials[0], trained)


def assert_continues(whole: Trained, first: Trained, second: Trained, at: int) -> None:
    """Two parts are the whole: the second ends in the same state, and together they yielded the same weights."""
    assert second.columns.tobytes() == whole.columns.tobytes()
    merged = {**first.checkpoints, **second.checkpoints}
    assert_same_weights(whole.checkpoints, merged)
    assert all(step >= at for step in second.checkpoints)
    transition = {**first.transition, **second.transition}
    assert_same_bits(whole, dataclasses.replace(second, checkpoints=merged, transition=transition))


def test_a_study_resumed_from_a_snapshot_repacks_without_changing_a_bit() -> None:
    """600 = 300 + kill + 300 across t_gen, with lanes of two packs in a third one, and the ring of weights."""
    specs = [trial("quad23", seed=seed) for seed in (4, 5, 9, 0)]
    one = run(specs[:2], 600, kill_at=300)
    two = run(specs[2:], 600, kill_at=300)
    assert one.step == two.step == 300
    order = [specs[2], specs[1], specs[0]]  # specs[3] is left behind
    resumed = run(order, 600, resume=(300, [two.lane(specs[2]), one.lane(specs[1]), one.lane(specs[0])]))
    before = {0: one.trials[0], 1: one.trials[1], 2: two.trials[0]}
    for i, second in zip((2, 1, 0), resumed.trials, strict=True):
        whole = run([specs[i]], 600).trials[0]
        assert whole.gen is not None
        assert whole.gen.t > 300
        assert min(whole.transition) < 300 < max(whole.transition), "the ring must span the kill"
        assert_continues(whole, before[i], second, 300)


@pytest.mark.parametrize("batch_size", [None, 40], ids=["full batch", "mini-batches"])
@pytest.mark.parametrize("at", [7, 20, 33, 50])
def test_an_extended_budget_equals_one_run(at: int, batch_size: int | None) -> None:
    """Also where the first budget ended between two evaluations (33), or on a checkpoint (7, 20, 50)."""
    specs = [tiny({"batch_size": batch_size}, seed=seed) for seed in (1, 2)]
    whole = run(specs, 80)
    first = run(specs, at)
    second = run(specs, 80, resume=(at, [first.lane(spec) for spec in specs]))
    for i in range(2):
        assert_continues(whole.trials[i], first.trials[i], second.trials[i], at)


def test_mini_batches_resume_across_epochs_without_changing_a_bit() -> None:
    specs = [trial("quad23", {"batch_size": 100, "seeds.batch": 5}, seed=seed) for seed in (1, 2)]
    first = run(specs, 60, kill_at=37)
    second = run(specs[1:], 60, resume=(37, [first.lane(specs[1])]))
    assert_continues(run(specs[1:], 60).trials[0], first.trials[1], second.trials[0], 37)


def test_the_ring_keeps_sixteen_weights_between_memorisation_and_generalisation() -> None:
    trained = run([trial("quad23", seed=4)], 600).trials[0]
    assert trained.mem is not None
    assert trained.gen is not None
    inside = [step for step in trained.transition if trained.mem.t <= step <= trained.gen.t]
    assert len(inside) >= 16
    assert len(trained.transition) <= CAPACITY
    assert max(trained.transition) > trained.gen.t, "the window in which t_gen is confirmed belongs to it"


def test_checkpoint_settings_choose_what_is_kept_and_change_no_bit() -> None:
    spec = tiny(seed=1)
    usual = run([spec], 40).trials[0]
    sparse = run([spec], 40, checkpoint=CheckpointSettings(schedule=False, ring=False)).trials[0]
    extra = run([spec], 40, checkpoint=CheckpointSettings(steps=(13, 26))).trials[0]
    assert sorted(usual.checkpoints) == [0, 1, 2, 3, 5, 7, 9, 10, 15, 20, 30]
    assert sorted(extra.checkpoints) == [0, 1, 2, 3, 5, 7, 9, 10, 13, 15, 20, 26, 30]
    assert sparse.checkpoints == {}
    for other in (sparse, extra):
        assert_same_bits(usual, dataclasses.replace(other, checkpoints=usual.checkpoints))
