"""Real trainings on groups: they grok, as cyclic ones do, and random labels on the same strings never."""

from __future__ import annotations

from typing import Any

import pytest

from grokstudy.engine.evaluate import TEST_ACC
from grokstudy.spec.outcome import outcome
from tests.packs import Trained, run
from tests.trials import trial

pytestmark = pytest.mark.slow


def train(task: dict[str, Any], steps: int, seeds: int = 3) -> tuple[Trained, ...]:
    """A quadratic MLP of 256 neurons with the optimizer of quad23: AdamW, lr 0.01, weight decay 1."""
    return run([trial("quad23", {"task": task, "model.width": 256}, seed=seed) for seed in range(seeds)], steps).trials


@pytest.mark.parametrize(
    ("group", "frac_train", "steps", "least", "most"),
    [
        # Measured over six seeds: t_gen 900 to 2,050, t_mem 13 to 15.
        ("S4", 0.5, 3000, 500, 2500),
        # Over three: 255 to 305.
        ("S4", 0.6, 600, 150, 450),
        # 195 to 250.
        ("D12", 0.5, 500, 120, 400),
        # Over two: 134 and 140, t_mem 23 and 24.
        ("A5", 0.5, 250, 90, 200),
    ],
)
def test_groups_grok_for_every_seed(group: str, frac_train: float, steps: int, least: int, most: int) -> None:
    for trained in train({"name": "group", "group": group, "frac_train": frac_train}, steps):
        assert trained.mem is not None
        assert trained.gen is not None
        assert trained.mem.t <= 30
        assert least <= trained.gen.t <= most
        assert outcome(trained.mem.t, trained.gen.t) == "grokking"


@pytest.mark.parametrize(
    "control",
    [
        {"name": "random_labels", "positions": 2, "vocab": 24, "classes": 24, "samples": 576},
        {"name": "group", "group": "S4", "label_noise": 1.0},
    ],
    ids=["random labels", "S4 with all labels redrawn"],
)
def test_random_labels_are_memorised_and_nothing_is_generalised(control: dict[str, Any]) -> None:
    """Test accuracy is a proportion of 288 rows with p = 1/24; 0.2 is 13 standard deviations above it."""
    for trained in train(control, 1500):
        assert trained.mem is not None
        assert trained.gen is None
        assert trained.columns[:, TEST_ACC].max() < 0.2
