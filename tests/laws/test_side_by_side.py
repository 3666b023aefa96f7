"""The benchmark against Ray Tune compares like with like: both train the same trials, and a wrong map is found."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from grokstudy.spec.compose import compose_study
from grokstudy.spec.outcome import Label

FOLDER = Path(__file__).parents[2] / "benchmarks"
SIDE = 6


@pytest.fixture(autouse=True)
def _beside_the_benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are scripts, which import each other by name."""
    monkeypatch.syspath_prepend(str(FOLDER))


def script(name: str) -> ModuleType:
    __import__(name)
    return sys.modules[name]


def halves(last: int, **other: Label) -> dict[tuple[float, float], Label]:
    """A map of SIDE x SIDE cells: memorization up to column `last`, then grokking; `c2r3="confusion"` plants a cell."""
    cells: dict[tuple[float, float], Label] = {
        (float(x), float(y)): "memorization" if x <= last else "grokking" for x in range(SIDE) for y in range(SIDE)
    }
    return cells | {(float(name[1]), float(name[3])): label for name, label in other.items()}


def test_equal_maps_agree() -> None:
    found = script("side_by_side").compared(halves(2), halves(2))
    assert (found.cells, found.different, found.share) == (SIDE * SIDE, (), 1.0)
    assert found.holds
    assert found.outcomes == {"memorization": 18, "grokking": 18}


def test_a_cell_beside_the_boundary_may_differ() -> None:
    found = script("side_by_side").compared(halves(2), halves(2, c3r4="memorization"))
    (one,) = found.different
    assert (one.setting, one.ours, one.theirs, one.at_boundary) == ((3.0, 4.0), "grokking", "memorization", True)
    assert found.holds


@pytest.mark.parametrize("wrong_side", [0, 1])
def test_a_cell_inside_a_phase_may_not_differ(wrong_side: int) -> None:
    maps = [halves(2), halves(2)]
    maps[wrong_side] = halves(2, c0r4="confusion")
    found = script("side_by_side").compared(*maps)
    (one,) = found.different
    assert not one.at_boundary
    assert found.share > 0.9
    assert not found.holds


def test_a_boundary_two_cells_away_is_another_boundary() -> None:
    moved = {**halves(2), (3.0, 0.0): "memorization", (4.0, 0.0): "memorization"}
    found = script("side_by_side").compared(halves(2), moved)
    assert [one.at_boundary for one in found.different] == [True, False]
    assert found.share > 0.9
    assert not found.holds


def test_more_than_a_tenth_of_the_cells_may_not_differ_wherever_they_lie() -> None:
    found = script("side_by_side").compared(halves(2), halves(3))
    assert all(one.at_boundary for one in found.different)
    assert found.share == pytest.approx(1 - 1 / SIDE)
    assert not found.holds


def test_maps_of_different_grids_are_not_compared() -> None:
    fewer = {setting: label for setting, label in halves(2).items() if setting != (0.0, 0.0)}
    with pytest.raises(ValueError, match="different cells"):
        script("side_by_side").compared(halves(2), fewer)


def test_a_cell_has_the_outcome_of_most_of_its_seeds() -> None:
    side = script("side_by_side")
    steps, low, high = np.array([0, 10, 20, 30, 100, 110, 120, 130, 140]), np.zeros(9), np.ones(9)

    def curve(t_gen: int | None) -> object:
        test = low if t_gen is None else (steps >= t_gen).astype(float)
        return side.Curve(
            weight_decay=1.0,
            frac_train=0.1 + 0.2,
            step=steps,
            train_acc=np.where(steps < 10, low, high),
            test_acc=test,
        )

    assert [curve(t).outcome() for t in (None, 100, 10)] == ["memorization", "grokking", "comprehension"]  # type: ignore[attr-defined]
    assert side.outcomes([curve(None), curve(100), curve(100)]) == {(1.0, 0.3): "grokking"}
    assert side.outcomes([curve(None), curve(10)]) == {(1.0, 0.3): "memorization"}, "of two the first in LABELS"


@pytest.mark.parametrize(("wd", "frac"), [(1.0, 0.5), (5.0, 0.3)])
def test_the_baseline_trains_the_trial_that_the_engine_trains(wd: float, frac: float) -> None:
    words = ("preset=quad23", f"regularization.weight_decay={wd}", f"task.frac_train={frac}")
    pack = script("pack").Pack([compose_study(words).trial({"seed": 3})])
    config = {"weight_decay": wd, "frac_train": frac, "seed": 3}
    seen = list(script("tune_baseline").training(config, steps=20))
    for _ in range(20):
        pack.step()
    assert [evaluation["step"] for evaluation in seen] == list(range(21))
    # Float32 rounds each of some 1e3 additions by 6e-8; the updates, which divide by the root of the second moment,
    # enlarge that where gradients are small.
    assert pack.evaluate() == pytest.approx(seen[-1]["train_loss"], rel=1e-3)
    assert seen[-1]["train_loss"] < 0.8 * seen[0]["train_loss"], "hardly anything was learned"


def test_both_sides_are_given_the_same_grid() -> None:
    side = script("side_by_side")
    for trials, grid in side.GRIDS.items():
        spec = compose_study(grid.ours()[:4])
        values = {axis.path: axis.values for axis in spec.axes}
        words = grid.theirs()
        first, last, count = map(float, words[words.index("--wd") + 1 :][:3])
        assert grid.trials == trials == np.prod([len(axis) for axis in values.values()])
        assert np.geomspace(first, last, int(count)) == pytest.approx(values["regularization.weight_decay"])
        first, last, count = map(float, words[words.index("--frac") + 1 :][:3])
        assert np.linspace(first, last, int(count)) == pytest.approx(values["task.frac_train"])


@pytest.mark.parametrize(("trials", "cells"), [(10_000, (40, 50)), (500, (10, 10)), (50, (2, 5))])
def test_the_plane_of_a_large_study_is_near_a_square(trials: int, cells: tuple[int, int]) -> None:
    assert script("scale").plane(trials) == cells


def test_trials_that_make_no_plane_are_refused() -> None:
    with pytest.raises(SystemExit, match="503"):
        script("scale").plane(503)
