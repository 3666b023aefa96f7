"""Real trainings: the presets grok where they claim to, and the controls never do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from grokstudy.engine.evaluate import TEST_ACC, TRAIN_ACC
from grokstudy.spec.outcome import TAU, outcome, retention
from tests.packs import Trained, run
from tests.trials import trial

pytestmark = pytest.mark.slow


def train(preset: str, steps: int, seeds: range, **changes: Any) -> tuple[Trained, ...]:
    return run([trial(preset, changes, seed=seed) for seed in seeds], steps).trials


def test_quad23_groks_for_every_one_of_ten_seeds() -> None:
    """t_mem about 20 and t_gen 300-700, as the preset says (measured: 420-670)."""
    for trained in train("quad23", 900, range(10)):
        assert trained.mem is not None
        assert trained.gen is not None
        assert trained.mem.t <= 40
        assert 300 <= trained.gen.t <= 700
        assert outcome(trained.mem.t, trained.gen.t) == "grokking"


@pytest.mark.parametrize(
    "control",
    [{"regularization.weight_decay": 0.0}, {"task.op": "random"}, {"task.frac_train": 0.3}],
    ids=["no weight decay", "random labels", "too little data"],
)
def test_controls_memorise_and_never_generalise(control: dict[str, Any]) -> None:
    for trained in train("quad23", 3000, range(2), **control):
        assert trained.mem is not None
        assert trained.gen is None
        assert trained.columns[:, TEST_ACC].max() < 0.5
        assert outcome(trained.mem.t, None) == "memorization"


def test_strong_weight_decay_forgets_again_and_is_not_painted_as_kept() -> None:
    for trained in train("quad23", 1500, range(2), **{"regularization.weight_decay": 10.0}):
        assert trained.gen is not None
        assert trained.gen.t < 300
        kept, lost_at = retention(trained.steps, trained.columns[:, TEST_ACC] >= TAU, trained.gen.t)
        assert kept == "lost"
        assert lost_at is not None
        assert lost_at > trained.gen.t


def test_division_groks_too() -> None:
    (trained,) = train("quad23", 700, range(1), **{"task.op": "div", "task.p": 31, "model.width": 256})
    assert trained.mem is not None
    assert trained.gen is not None
    assert trained.mem.t < 40 < trained.gen.t < 600


def test_the_small_transformer_groks_for_one_of_two_seeds() -> None:
    trials = train("small31", 3000, range(2))
    for trained in trials:
        assert trained.mem is not None
        assert trained.mem.t <= 250
        assert np.all(trained.columns[trained.steps >= 2 * trained.mem.t, TRAIN_ACC][:3] >= TAU)
    generalised = [trained for trained in trials if trained.gen is not None]
    assert generalised
    assert all(t.gen is not None and t.mem is not None and t.gen.t > t.mem.t for t in generalised)
