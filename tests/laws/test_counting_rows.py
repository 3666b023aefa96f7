"""Which of several rows about one thing counts, and that neither the order of writing nor compaction changes it."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import numpy as np
import pytest

from grokstudy.spec.outcome import outcome
from grokstudy.spec.rows import CURVE_COLUMNS, CheckpointRow, CurveRows, MeasureRow, MeasureValue, TrialRow
from grokstudy.store.compact import compact
from grokstudy.store.folder import StudyFolder
from grokstudy.store.views import connect, read_trials
from tests.planted_rows import BARE


@pytest.fixture(autouse=True)
def _private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(params=["disk", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> StudyFolder:
    root = str(tmp_path / "root") if request.param == "disk" else f"memory://{tmp_path}"
    return StudyFolder.open(root, "study")


def rows_of(folder: StudyFolder, sql: str) -> list[tuple[object, ...]]:
    with connect([folder]) as connection:
        return connection.execute(sql).fetchall()


def random_rows(rng: random.Random, n: int) -> list[TrialRow]:
    """Rows of 20 trials with many ties in steps_run and status, distinct in written_at."""
    return [
        dataclasses.replace(
            BARE,
            trial_id=f"trial-{rng.randrange(20)}",
            steps_run=rng.choice([0, 500, 1000]),
            status=rng.choice(["done", "ended_early", "diverged", "failed", "stopped"]),
            t_mem=rng.choice([None, 0, 1, 100]),
            t_gen=rng.choice([None, 0, 100, 499, 500, 501]),
            written_at=f"2026-01-01T00:00:{i:06d}Z",
        )
        for i in rng.sample(range(n), n)
    ]


def test_most_steps_then_done_then_newest_in_any_order_of_writing_and_after_compaction(folder: StudyFolder) -> None:
    rng = random.Random(0)
    rows = random_rows(rng, 200)
    best: dict[str, TrialRow] = {}
    for row in sorted(rows, key=lambda row: (row.steps_run, row.status == "done", row.written_at)):
        best[row.trial_id] = row
    expected = sorted((row.trial_id, row.steps_run, row.status, row.t_gen, row.written_at) for row in best.values())
    while rows:
        size = rng.randrange(1, 30)
        folder.put_trials(rows[:size])
        rows = rows[size:]
    sql = "SELECT trial_id, steps_run, status, t_gen, written_at FROM trials ORDER BY trial_id"
    assert rows_of(folder, sql) == expected
    parts = len(folder.parts("trials"))
    assert compact(folder) == parts > 1
    assert rows_of(folder, sql) == expected
    assert len(folder.parts("trials")) == 1
    assert compact(folder) == 0
    states = read_trials(folder)
    assert [(s.trial_id, s.steps_run, s.status, s.t_gen) for s in states] == [row[:4] for row in expected]


def test_the_outcome_column_is_the_outcome_rule(folder: StudyFolder) -> None:
    rng = random.Random(1)
    rows = [dataclasses.replace(row, trial_id=f"t{i}") for i, row in enumerate(random_rows(rng, 600))]
    folder.put_trials(rows)
    expected = {
        row.trial_id: (
            outcome(row.t_mem, row.t_gen, diverged=row.status == "diverged"),
            row.t_gen is None,
            None if row.t_mem is None or row.t_gen is None else row.t_gen / max(row.t_mem, 1),
        )
        for row in rows
    }
    found = rows_of(folder, "SELECT trial_id, outcome, censored, delay_ratio FROM trials")
    assert {trial_id: derived for trial_id, *derived in found} == {key: [*value] for key, value in expected.items()}
    assert len({label for label, *_ in expected.values()}) == 6, "all labels must occur, or the test says little"


def test_a_shared_trial_counts_in_each_study_and_its_curve_once(tmp_path: Path) -> None:
    one, two = (StudyFolder.open(str(tmp_path), name) for name in ("one", "two"))
    for folder in (one, two):
        folder.put_trials([dataclasses.replace(BARE, study=folder.name, budget=len(folder.name))])
        folder.put_curves([curve([0, 1], [2.0, 1.0])])
    with connect([one, two]) as connection:
        assert connection.execute("SELECT study FROM trials ORDER BY 1").fetchall() == [("one",), ("two",)]
        joined = "SELECT count(*) FROM trials JOIN curves USING (trial_id) WHERE study = 'one'"
        assert connection.execute(joined).fetchall() == [(2,)]


def curve(steps: list[int], losses: list[float]) -> CurveRows:
    names = [name for name in CURVE_COLUMNS if name not in ("trial_id", "step", "train_loss")]
    return CurveRows(
        trial_id="a",
        step=np.array(steps),
        train_loss=np.array(losses),
        **{name: np.zeros(len(steps)) for name in names},
    )


def test_one_curve_row_per_step_and_the_newest_part_wins(folder: StudyFolder) -> None:
    folder.put_curves([curve([0, 1, 2], [3.0, 2.0, 1.0])])
    folder.put_curves([curve([2, 3], [-1.0, -2.0])])
    folder.put_curves([curve([3, 4], [-3.0, -4.0])])
    expected = [(0, 3.0), (1, 2.0), (2, -1.0), (3, -3.0), (4, -4.0)]
    sql = "SELECT step, train_loss FROM curves ORDER BY step"
    assert rows_of(folder, sql) == expected
    sources = {name: folder.get_bytes(name) for name in folder.parts("curves")}
    assert compact(folder) == 3
    assert rows_of(folder, sql) == expected
    for name, data in sources.items():  # as a reader between writing the one part and deleting its sources
        assert data is not None
        folder.put_bytes(name, data)
    assert rows_of(folder, sql) == expected
    folder.put_curves([curve([4], [-5.0])])
    assert rows_of(folder, sql)[-1] == (4, -5.0), "what is written after a compaction is newer than it"


def measured(protocol: str, value: float, *, version: int = 1, second: int = 0) -> MeasureRow:
    number = MeasureValue(measure="gini_W_E", value=value, values=None, protocol=protocol, version=version, reason=None)
    return MeasureRow(trial_id="a", step=5, value=number, written_at=f"2026-01-01T00:00:{second:02d}Z")


def test_of_measures_the_highest_version_then_the_newest_counts(folder: StudyFolder) -> None:
    folder.put_measures([measured("p", 2.0, version=2, second=1), measured("p", 1.0, version=1, second=9)])
    folder.put_measures([measured("p", 3.0, version=2, second=3)])
    folder.put_measures([measured("p", 4.0, version=2, second=2)])
    assert rows_of(folder, "SELECT value FROM measures_long") == [(3.0,)]
    compact(folder)
    assert rows_of(folder, "SELECT value FROM measures_long") == [(3.0,)]


def test_the_default_protocol_is_the_one_written_first_also_after_compaction(folder: StudyFolder) -> None:
    folder.put_measures([measured("z-configured", 1.0), measured("a-other", 2.0)])
    folder.put_measures([measured("b-later", 3.0, second=1)])
    assert rows_of(folder, "SELECT gini_W_E FROM measures") == [(1.0,)]
    compact(folder)
    assert rows_of(folder, "SELECT gini_W_E FROM measures") == [(1.0,)]
    assert rows_of(folder, "SELECT count(*) FROM measures_long") == [(3,)]


def test_of_checkpoints_scheduled_counts_before_end_before_ring_then_the_newest(folder: StudyFolder) -> None:
    def place(step: int, kind: str, file: str) -> CheckpointRow:
        return CheckpointRow(trial_id="a", step=step, file=file, lane=0, sha256="", kind=kind)  # type: ignore[arg-type]

    folder.put_index([place(1, "scheduled", "old"), place(2, "end", "b"), place(3, "ring", "c")])
    folder.put_index([place(1, "ring", "x"), place(2, "ring", "y"), place(1, "scheduled", "new")])
    found = rows_of(folder, "SELECT step, file FROM checkpoints ORDER BY step")
    assert found == [(1, "new"), (2, "b"), (3, "c")]
