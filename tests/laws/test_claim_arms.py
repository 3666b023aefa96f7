"""Which trials a claim is judged by, at which T."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from grokstudy.claims.judge import Thresholds, with_arms
from grokstudy.spec.rows import CURVE_COLUMNS, CurveRows, Status
from grokstudy.store.folder import StudyFolder
from grokstudy.store.views import connect
from tests.planted_rows import BARE

STEPS = np.arange(0, 1001, 20)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """A trial whose test accuracy jumps from 0 to `reaches` at step 100."""

    trial_id: str
    reaches: float
    steps_run: int = 1000
    status: Status = "done"


def plant(root: Path, study: str, trials: Sequence[Planted]) -> StudyFolder:
    folder = StudyFolder.open(str(root), study)
    folder.put_trials(
        [
            dataclasses.replace(
                BARE,
                study=study,
                trial_id=one.trial_id,
                steps_run=one.steps_run,
                status=one.status,
                diverged_step=one.steps_run if one.status == "diverged" else None,
                test_loss=1.0,
            )
            for one in trials
        ]
    )
    folder.put_curves([curve(one) for one in trials])
    return folder


def curve(one: Planted) -> CurveRows:
    step = STEPS[one.steps_run >= STEPS]
    zeros = {name: np.zeros(len(step)) for name in CURVE_COLUMNS if name not in ("trial_id", "step")}
    accuracies = {"train_acc": np.ones(len(step)), "test_acc": np.where(step >= 100, one.reaches, 0.0)}
    return CurveRows(trial_id=one.trial_id, step=step, **{**zeros, **accuracies})


def judged(folders: Mapping[str, StudyFolder], **thresholds: float) -> tuple[dict[str, int], dict[str, bool]]:
    """T of every arm, and of every trial that counts whether it generalised."""
    asked = Thresholds(**{"tau": 0.95, "ratio": 5.0, **thresholds})  # type: ignore[arg-type]
    with connect(list(folders.values())) as connection:
        steps = with_arms(connection, folders, asked)
        found = connection.execute("SELECT trial_id, t_gen IS NOT NULL FROM trials ORDER BY 1").fetchall()
    return steps, dict(found)


@pytest.fixture(autouse=True)
def _private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def test_a_trial_that_ended_before_t_counts_on_neither_side(tmp_path: Path) -> None:
    """`short` was planned for 60 steps once: it never generalised only because nobody looked."""
    trials = [
        Planted(trial_id="late", reaches=0.97),
        Planted(trial_id="never", reaches=0.5),
        Planted(trial_id="short", reaches=0.97, steps_run=60),
        Planted(trial_id="stopped", reaches=0.97, steps_run=400, status="stopped"),
        Planted(trial_id="diverged", reaches=0.97, steps_run=40, status="diverged"),
    ]
    main = {"main": plant(tmp_path, "study", trials)}
    assert judged(main, budget=1000) == ({"main": 1000}, {"diverged": False, "late": True, "never": False})


def test_a_trial_that_ended_early_by_a_lower_tau_does_not_lower_t(tmp_path: Path) -> None:
    trials = [
        Planted(trial_id="early", reaches=0.97, steps_run=500, status="ended_early"),
        Planted(trial_id="better", reaches=1.0, steps_run=500, status="ended_early"),
        Planted(trial_id="never", reaches=0.5),
    ]
    main = {"main": plant(tmp_path, "study", trials)}
    assert judged(main) == ({"main": 1000}, {"better": True, "early": True, "never": False})
    assert judged(main, tau=0.99) == ({"main": 1000}, {"better": True, "never": False})


def test_an_arm_that_was_planned_shorter_is_read_at_its_own_end(tmp_path: Path) -> None:
    folders = {
        "main": plant(tmp_path, "study", [Planted(trial_id="a", reaches=0.97)]),
        "control": plant(tmp_path, "study-control", [Planted(trial_id="b", reaches=0.5, steps_run=400)]),
    }
    assert judged(folders, budget=800) == ({"control": 400, "main": 800}, {"a": True, "b": False})
