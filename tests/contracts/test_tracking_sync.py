"""A sync costs what is new: what has not changed is never read, and a cell is not written for every seed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from grokstudy.spec.axes import Axis
from grokstudy.spec.compose import compose_study
from grokstudy.spec.rows import CurveRows, TrialRow
from grokstudy.spec.settings import TrackingSettings
from grokstudy.study.live import Pauses
from grokstudy.study.projection import cells
from grokstudy.tracking.connection import connect
from grokstudy.tracking.settings import CELL_LIMIT, TRIAL_LIMIT, chosen_granularity, default_uri
from grokstudy.tracking.source import Loaded, StudyProjection, TrialMark, TrialProjection
from grokstudy.tracking.study_run import StudyRun, open_study
from grokstudy.tracking.sync import GROWTH, TOGETHER, SyncReport, syncing


@dataclasses.dataclass(slots=True)
class Watched:
    """Trials that remember what was read of them."""

    trials: Sequence[TrialProjection]
    read_together: list[int] = dataclasses.field(default_factory=list)
    rows_read: int = 0

    def marks(self) -> Sequence[TrialMark]:
        return Loaded(self.trials).marks()

    def rows(self, trial_ids: Sequence[str]) -> Sequence[TrialRow]:
        self.rows_read += len(trial_ids)
        return Loaded(self.trials).rows(trial_ids)

    def read(self, trial_ids: Sequence[str]) -> Sequence[TrialProjection]:
        self.read_together.append(len(trial_ids))
        return Loaded(self.trials).read(trial_ids)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mlflow")


def opened(root: Path, name: str, *, cells: int | None, planned: int, granularity: str) -> StudyRun:
    settings = TrackingSettings(granularity=granularity, curve_points=5)  # type: ignore[arg-type]
    study = StudyProjection(
        name=name, config_yaml="", varied=("seed",), state="running", n_planned=planned, n_cells=cells, n_done=0
    )
    return open_study(connect(settings, default_uri(str(root))), study)


def trial(name: str, cell: int, seed: int) -> TrialProjection:
    nothing: dict[str, object] = {field.name: None for field in dataclasses.fields(TrialRow)}
    given: dict[str, object] = {
        **nothing,
        **dict.fromkeys(("seed", "seed_data", "seed_init", "seed_batch", "seed_noise"), seed),
        "trial_id": f"{cell:08x}{seed:08x}",
        "study": name,
        "pack_id": "p",
        "budget": 10,
        "steps_run": 10,
        "status": "done",
        "lr_wd": 0.0,
        "numerics": "cpu",
        "seconds": 1.0,
        "written_at": "2026-01-01T00:00:00+00:00",
        "config": {"optimizer.lr": float(cell)},
    }
    return TrialProjection(row=TrialRow(**given), curve=curve(str(given["trial_id"])))  # type: ignore[arg-type]


def curve(trial_id: str) -> CurveRows:
    fields = [field.name for field in dataclasses.fields(CurveRows) if field.name not in ("trial_id", "step", "slices")]
    return CurveRows(trial_id=trial_id, step=np.arange(3), **{name: np.ones(3) for name in fields})


def report(run: StudyRun, trials: Watched, *, whole: bool = True) -> SyncReport:
    *_, last = syncing(run, trials, whole=whole)
    return last


@pytest.mark.parametrize("granularity", ["trial", "cell"])
def test_what_has_not_changed_is_never_read(root: Path, granularity: str) -> None:
    def again() -> StudyRun:
        return opened(root, granularity, cells=3, planned=6, granularity=granularity)

    trials = [trial(granularity, cell, seed) for cell in range(3) for seed in range(2)]
    run = again()
    report(run, Watched(trials))
    second = Watched(trials)
    assert report(run, second).skipped == len(trials) // (2 if granularity == "cell" else 1)
    assert (second.read_together, second.rows_read) == ([], 0)
    after_a_restart = Watched(trials)
    assert report(again(), after_a_restart).created == 0
    assert after_a_restart.read_together == []
    changed = dataclasses.replace(trials[0].row, written_at="2026-01-02T00:00:00+00:00")
    third = Watched([dataclasses.replace(trials[0], row=changed), *trials[1:]])
    assert report(run, third) == SyncReport(updated=1, skipped=2 if granularity == "cell" else 5)
    assert third.read_together == [2 if granularity == "cell" else 1]


@pytest.mark.parametrize(("cells", "when"), [(1, [12]), (None, [1, GROWTH])])
def test_while_a_study_runs_a_cell_is_written_when_complete_or_grown(
    root: Path, cells: int | None, when: list[int]
) -> None:
    name = f"growing-{cells}"
    run = opened(root, name, cells=cells, planned=12, granularity="cell")
    written = []
    for n in range(1, 13):
        done = report(run, Watched([trial(name, 0, seed) for seed in range(n)]), whole=False)
        written += [n] * (done.created + done.updated)
    assert written == when


def test_at_its_end_every_cell_is_written_and_curves_come_in_batches(root: Path) -> None:
    seeds = TOGETHER + 1
    run = opened(root, "large", cells=2, planned=2 * seeds, granularity="cell")
    trials = Watched([trial("large", cell, seed) for cell in range(2) for seed in range(seeds)])
    assert report(run, trials) == SyncReport(created=2)
    assert trials.read_together == [TOGETHER, 1, TOGETHER, 1]


def test_a_study_with_more_cells_than_mlflow_bears_is_one_run(root: Path) -> None:
    assert chosen_granularity(TrackingSettings(), TRIAL_LIMIT + 1, CELL_LIMIT) == "cell"
    assert chosen_granularity(TrackingSettings(), TRIAL_LIMIT + 1, CELL_LIMIT + 1) == "study"
    run = opened(root, "huge", cells=3000, planned=3000, granularity="auto")
    trials = Watched([trial("huge", 0, 0)])
    assert report(run, trials) == SyncReport()
    found = run.connection.client.search_runs([run.experiment_id])
    assert [one.info.run_id for one in found] == [run.run_id]
    assert "one run" in found[0].data.tags["mlflow.note.content"]


def test_cells_are_counted_from_the_axes() -> None:
    plain = compose_study(("preset=quad23",))
    grid = (Axis(path="optimizer.lr", values=(0.1, 0.2)), Axis(path="seed", values=(0, 1, 2)))
    assert cells(dataclasses.replace(plain, axes=grid), 6) == 2
    assert cells(dataclasses.replace(plain, axes=grid), 1) == 1
    drawn = compose_study(("preset=quad23", "sampler=random"))
    interval = (Axis(path="optimizer.lr", low=0.1, high=0.2),)
    assert cells(dataclasses.replace(drawn, axes=interval), 64) == 64


def test_pauses_grow_and_end_at_the_longest() -> None:
    pauses = Pauses(first=1, longest=30)
    for failures, most in ((1, 1), (2, 2), (5, 16), (6, 30), (10_000, 30)):
        drawn = [pauses.after(failures) for _ in range(50)]
        assert 0.75 * most <= min(drawn)
        assert max(drawn) <= most
        assert len(set(drawn)) > 1  # drivers that lost one server do not return together
