"""A pack that gets on is started again however often its workers die; one that does not is given up."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import torch

from grokstudy.execution.job import Death, PackJob, Progress
from grokstudy.execution.work import work
from grokstudy.spec.compose import compose_study
from grokstudy.spec.errors import StorageUnavailable
from grokstudy.store.folder import StudyFolder
from grokstudy.store.snapshots import SnapshotMeta, put_snapshot
from grokstudy.study.board import Board
from grokstudy.study.live import Projection
from grokstudy.study.packs import Packs
from grokstudy.study.retries import Deaths, Reached
from grokstudy.study.run import plan_study

DIED = Death(reason="its worker died")
AWAY = Death(reason="storage.root: no answer", storage_away=True)


def test_a_pack_is_given_up_after_so_many_starts_in_a_row_without_getting_on() -> None:
    for retries in range(4):
        deaths, starts = Deaths(), 1
        while (deaths := deaths.after(Reached())).may_start_again(retries):
            starts += 1
        assert starts == retries + 1


def test_a_pack_that_gets_on_is_never_given_up() -> None:
    deaths = Deaths()
    for step in range(1, 100):
        deaths = deaths.after(Reached(step=step))
        assert deaths.may_start_again(0)
    for finished in range(1, 100):
        deaths = deaths.after(Reached(step=3, finished=finished))
        assert deaths.may_start_again(0)


def test_getting_as_far_as_before_is_not_getting_on() -> None:
    """A worker that is killed at the same place every time comes there anew after every start."""
    deaths = Deaths().after(Reached(step=500, finished=2))
    assert deaths.in_vain == 0
    for again in range(1, 4):
        deaths = deaths.after(Reached(step=500, finished=2))
        assert deaths.in_vain == again
    assert deaths.after(Reached(step=501)).in_vain == 0


class Study:
    """The packs of a planned study, with a folder in which they leave snapshots."""

    def __init__(self, root: Path, *words: str) -> None:
        base = ["preset=quad23", "cluster=none", "tracking=none", f"storage.root={root}", "cluster.pack_size=1"]
        spec = compose_study([*base, *words], name="s")
        self.folder = StudyFolder.open(str(root), "s")
        self.board = Board(study="s")
        projection = Projection(spec, self.folder, self.board)
        self.packs = Packs(plan_study(spec, 1).jobs, self.board, projection, threading.Event(), None)

    def next(self) -> PackJob:
        job = self.packs.next()
        assert job is not None
        return job

    def snapshot(self, job: PackJob, step: int) -> None:
        ids = tuple(trial_id for trial_id, _ in job.trials)
        meta = SnapshotMeta(pack_id=job.pack_id, step=step, trial_ids=ids, written_at="", numerics="")
        put_snapshot(self.folder, job.pack_id, {"params": torch.zeros(len(ids), 1)}, meta)


def test_a_pack_that_died_comes_first_again_and_nothing_ends_before_it(tmp_path: Path) -> None:
    study = Study(tmp_path, "seed=seeds(2)", "cluster.retries=1")
    one, other = study.next(), study.next()
    assert not study.packs.exhausted, "a pack that runs may come back"
    study.packs.finished(other, None)
    study.packs.finished(one, DIED)
    assert study.next() == one
    assert study.board.done == 0
    study.packs.finished(one, None)
    assert study.packs.exhausted
    assert not study.board.notices


def test_a_pack_that_is_given_up_is_named_and_its_trials_count_as_failed(tmp_path: Path) -> None:
    study = Study(tmp_path, "cluster.retries=2")
    for _ in range(3):
        study.packs.finished(study.next(), DIED)
    assert study.packs.exhausted
    assert study.board.done_now == {"failed": 1}
    assert "its worker died, 3 times in a row" in study.board.notices[0]


def test_snapshots_and_finished_trials_are_what_getting_on_means(tmp_path: Path) -> None:
    study = Study(tmp_path, "cluster.retries=0")
    for step in (10, 20, 30):
        job = study.next()
        study.snapshot(job, step)
        study.packs.finished(job, DIED)
    job = study.next()
    study.packs.progress(
        Progress(pack_id=job.pack_id, members=1, step=30, updates=30, outcomes={"confusion": 1}, latest=None)
    )
    study.packs.finished(job, DIED)
    study.packs.finished(study.next(), DIED)
    assert study.packs.exhausted
    assert len(study.board.notices) == 1


def test_a_storage_that_stays_away_ends_the_study_with_its_own_words_and_fails_no_trial(tmp_path: Path) -> None:
    study = Study(tmp_path, "seed=seeds(3)", "cluster.retries=1")
    running = study.next()
    for _ in range(2):
        study.packs.finished(study.next(), AWAY)
    assert study.packs.stopping
    assert study.packs.next() is None
    study.packs.finished(running, DIED)
    with pytest.raises(StorageUnavailable, match=r"storage\.root: no answer"), study.packs:
        pass
    assert not study.board.done_now
    assert not study.board.notices


def test_a_pack_that_starts_again_counts_what_had_ended_before(tmp_path: Path) -> None:
    words = ["preset=quad23", "cluster=none", "tracking=none", f"storage.root={tmp_path}", "budget=3000"]
    spec = compose_study([*words, "early_end.after=5", "regularization.weight_decay=1,5"], name="s")
    (job,) = plan_study(spec, 1).jobs
    first = work(job)
    stopped = next(seen for seen in first if seen.outcomes and seen.members == 1)
    first.close()  # leaves a snapshot of the member that is still being stepped
    again = list(work(job))
    assert again[0].outcomes == stopped.outcomes
    assert again[0].updates >= stopped.updates
    assert sum(again[-1].outcomes.values()) == len(job.trials) == 2
