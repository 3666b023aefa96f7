"""A phase diagram of a real study folder."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from grokstudy.phase import export, kept
from grokstudy.phase.diagram import phase_diagram
from grokstudy.phase.query import PhaseQuery, readings
from grokstudy.spec.compose import compose_study
from grokstudy.spec.errors import BadInput
from grokstudy.spec.rows import CURVE_COLUMNS, CurveRows, MeasureRow, MeasureValue, TrialRow
from grokstudy.store.folder import StudyFolder
from grokstudy.store.views import connect
from grokstudy.study.api import Study
from grokstudy.study.document import stored_layout, stored_spec, to_yaml


def row(wd: float, seed: int, t_gen: int | None) -> TrialRow:
    seeds = dict.fromkeys(("seed", "seed_data", "seed_init", "seed_batch", "seed_noise"), seed)
    absent = ("stop_reason", "t_mem_lo", "t_gen_lo", "t_lose", "diverged_step", "test_acc_at_t_mem", "parent_trial")
    numbers = ("train_loss", "test_loss", "train_acc", "test_acc", "sum_sq_weights")
    return TrialRow(
        trial_id=f"{wd:g}-{seed}",
        study="real",
        pack_id="p0",
        **seeds,
        budget=1000,
        steps_run=1000,
        status="done",
        t_mem=10,
        t_gen=t_gen,
        retention="unknown",
        **dict.fromkeys(absent),
        **dict.fromkeys(numbers, 0.5),
        lr_wd=0.001 * wd,
        parent_step=None,
        numerics="cpu",
        error=None,
        seconds=1.0,
        written_at="2026-01-01T00:00:00+00:00",
        config={"regularization.weight_decay": wd, "task.name": "modular", "batch_size": None},
    )


def test_a_study_folder_becomes_a_diagram_with_measures_and_curves(tmp_path: Path) -> None:
    folder = StudyFolder.open(str(tmp_path), "real")
    rows = [row(wd, seed, 100 if wd else None) for wd in (0.0, 0.1, 1.0, 10.0) for seed in (0, 1)]
    folder.put_trials(rows)
    steps = np.arange(0, 1001, 10)
    late = (steps >= 500).astype(float)
    other = {name: np.ones(len(steps)) for name in CURVE_COLUMNS if name not in ("trial_id", "step", "test_acc")}
    folder.put_curves([CurveRows(trial_id=one.trial_id, step=steps, test_acc=late, **other) for one in rows])
    gini = MeasureValue(measure="gini_W_E", value=1.5, values=None, protocol="", version=1, reason=None)
    folder.put_measures([MeasureRow(trial_id=one.trial_id, step=150, value=gini, written_at="2026") for one in rows])

    with connect([folder]) as connection:
        stored = phase_diagram(connection, PhaseQuery(x="weight_decay"))
        again = phase_diagram(connection, PhaseQuery(x="weight_decay", tau=0.9, value="t_gen"))
        measured = phase_diagram(connection, PhaseQuery(x="weight_decay", value="gini_W_E", at="t_gen"))
    assert stored["p_gen"].to_numpy().tolist() == [0, 1, 1, 1]
    assert again["value"].to_numpy().tolist() == [500] * 4
    assert export.cells_table(measured)["value"].to_pylist() == [None, 1.5, 1.5, 1.5]


def test_what_is_kept_for_the_next_question_neither_hides_new_trials_nor_changes(tmp_path: Path) -> None:
    folder, asked = StudyFolder.open(str(tmp_path), "real"), PhaseQuery(x="weight_decay")
    folder.put_trials([row(wd, 0, None) for wd in (0.1, 1.0)])
    with connect([folder]) as connection:
        first = readings(connection, asked)
        first["t_gen"] = 7.0
        again = readings(connection, asked)
    assert again["t_gen"].isna().all()

    folder.put_trials([row(3.0, 0, 100)])
    with connect([folder]) as connection:
        assert phase_diagram(connection, asked)["p_gen"].to_numpy().tolist() == [0, 0, 1]


def test_a_diagram_needs_no_plugin_of_its_study(tmp_path: Path) -> None:
    """A study trained with somebody's own model is drawn where that file is not at hand."""
    spec = compose_study(["preset=quad23", "regularization.weight_decay=log(0.1,10)", "sampler=boundary"], name="real")
    folder = StudyFolder.open(str(tmp_path), "real")
    folder.put_text("study.yaml", to_yaml(spec).replace("name: quad_mlp", "name: mine"))
    with pytest.raises(BadInput, match="mine"):
        stored_spec(folder)
    layout = stored_layout(folder)
    assert layout.axes == spec.axes
    assert layout.ratio == 5.0
    folder.put_trials([row(wd, seed, 100 if wd > 1 else None) for wd in (0.1, 3.0) for seed in (0, 1)])
    assert "expected_error" in Study(folder=folder).phase_diagram("weight_decay").attrs


def test_only_so_much_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST_VALUES", 10)
    answers, asked = kept.Kept[str](len), Counter[str]()

    def answer(text: str) -> str:
        asked[text] += 1
        return text

    with connect([StudyFolder.open(str(tmp_path), "real")]) as connection:
        for text in ("four", "five5", "four", "sixsix", "four", "five5"):
            assert answers.answer(connection, text, lambda text=text: answer(text)) == text
    assert asked == {"four": 1, "five5": 2, "sixsix": 1}
