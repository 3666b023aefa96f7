"""What other processes see of the work on a study."""

from __future__ import annotations

import dataclasses
import json
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from grokstudy.store.folder import StudyFolder
from grokstudy.study.activity import FILE, STALE_SECONDS, Activity, activity, as_json, published, seen
from grokstudy.study.board import Board


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    return StudyFolder.open(str(tmp_path), "s")


def board() -> Board:
    made = Board(study="s", planned=9, done_before=2, stage="training", updates_planned=1000, notices=["one"])
    made.outcomes["grokking"] = 2
    return made


def test_a_study_that_nobody_works_on_has_no_activity(folder: StudyFolder) -> None:
    assert activity(folder) is None


def test_another_process_reads_what_the_driver_sees(folder: StudyFolder) -> None:
    with published(board(), folder):
        found = activity(folder)
    assert found is not None
    assert found.is_live
    assert found.pid == os.getpid()
    now = {"written_at": found.written_at}
    assert dataclasses.replace(seen(board()), **now) == found


def test_the_file_follows_the_board(folder: StudyFolder) -> None:
    shown = board()
    with published(shown, folder, seconds=0.01):
        shown.stage = "reporting"
        end = time.monotonic() + 60
        while (found := activity(folder)) is None or found.stage != "reporting":
            assert time.monotonic() < end
            time.sleep(0.01)


def test_the_file_is_gone_when_the_work_ends_and_when_it_fails(folder: StudyFolder) -> None:
    with published(board(), folder):
        assert folder.names("") == [FILE]
    assert folder.names("") == []
    with pytest.raises(ValueError, match="broken"), published(board(), folder):
        raise ValueError("broken")
    assert folder.names("") == []


@pytest.mark.parametrize(("age", "state"), [(0.0, "live"), (STALE_SECONDS + 1, "abandoned")])
def test_a_file_that_nobody_renews_is_abandoned(folder: StudyFolder, age: float, state: str) -> None:
    written = (datetime.now(UTC) - timedelta(seconds=age)).isoformat()
    folder.put_text(FILE, as_json(dataclasses.replace(seen(board()), written_at=written)))
    found = activity(folder)
    assert found is not None
    assert found.state == state


@pytest.mark.parametrize("text", ["", "{", "[]", '{"study": "s"}', '{"new": 1}'])
def test_what_another_version_wrote_is_no_activity(folder: StudyFolder, text: str) -> None:
    folder.put_text(FILE, text)
    assert activity(folder) is None


def test_a_storage_that_cannot_be_written_costs_nothing_else(folder: StudyFolder, tmp_path: Path) -> None:
    (tmp_path / "s").write_text("a file is in the way")
    with published(board(), folder):
        pass


def test_a_line_of_json_is_the_record(folder: StudyFolder) -> None:
    text = as_json(seen(board()))
    assert "\n" not in text
    assert list(json.loads(text)) == [field.name for field in dataclasses.fields(Activity)]
