"""A storage that is away for a while costs time and nothing else: no trial fails for it, no bit differs."""

from __future__ import annotations

from pathlib import Path

import pytest

from grokstudy.execution import work
from grokstudy.spec.compose import compose_study
from grokstudy.spec.errors import StorageUnavailable
from grokstudy.store.storage import Storage
from grokstudy.study.board import Board
from grokstudy.study.run import run_study

from .stored import assert_equal, tables

WORDS = ["preset=quad23", "task.p=11", "model.width=32", "tracking=none", "cluster=none", "seed=seeds(3)"]
WORDS += ["budget=60", "cluster.snapshot_seconds=1e-6"]


class Outage:
    """The storage's `put`, which fails for some writes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, part: str, times: int) -> None:
        self.part, self.left, self.failed = part, times, 0
        put = Storage.put

        def broken(storage: Storage, key: str, data: bytes) -> None:
            if self.part in key and self.left:
                self.left -= 1
                self.failed += 1
                raise StorageUnavailable("storage.root: no answer for a minute.")
            put(storage, key, data)

        monkeypatch.setattr(Storage, "put", broken)
        monkeypatch.setattr(work, "PAUSES", (0.01,) * len(work.PAUSES))


def run(root: Path) -> None:
    run_study(compose_study([*WORDS, f"storage.root={root}"], name="s"), Board(study="s"))


@pytest.fixture(scope="module")
def calm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("calm")
    run(root)
    return root


@pytest.mark.parametrize("part", ["/trials/", "/curves/", "/snapshots/", "/checkpoints/"])
def test_a_pack_waits_for_its_storage_and_goes_on(
    tmp_path: Path, calm: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    outage = Outage(monkeypatch, part, len(work.PAUSES))
    run(tmp_path)
    assert outage.failed == len(work.PAUSES)
    assert_equal(tables(calm, "s"), tables(tmp_path, "s"))


def test_a_storage_that_stays_away_ends_the_study_with_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outage = Outage(monkeypatch, "/trials/", 1000)
    with pytest.raises(StorageUnavailable, match="no answer for a minute"):
        run(tmp_path)
    assert outage.failed <= 2 * (len(work.PAUSES) + 1), "it was asked a few times, never halved"
    assert len(tables(tmp_path, "s")["trials"]) == 0, "no trial failed"
    outage.left = 0
    run(tmp_path)
    assert set(tables(tmp_path, "s")["trials"]["status"]) == {"done"}
