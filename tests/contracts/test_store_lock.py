"""One writer per study, whoever dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from grokstudy.spec.errors import StudyBusy
from grokstudy.store.folder import StudyFolder
from grokstudy.store.lock import LOCK, STALE_SECONDS, study_lock


@pytest.fixture(params=["disk", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> StudyFolder:
    root = str(tmp_path / "root") if request.param == "disk" else f"memory://{tmp_path}"
    return StudyFolder.open(root, "study")


def lock_text(folder: StudyFolder) -> dict[str, object]:
    text = folder.get_text(LOCK)
    assert text is not None
    return json.loads(text)


def write_owner(folder: StudyFolder, **changes: object) -> None:
    """A lock as a living process on another host has it, with changes."""
    now = datetime.now(UTC).isoformat()
    owner = {"host": "elsewhere", "place": "another boot", "pid": 1, "process_start": "1", "token": "theirs"}
    folder.put_text(LOCK, json.dumps({**owner, "since": now, "heartbeat": now, **changes}))


def test_a_study_is_held_by_one_and_free_afterwards(folder: StudyFolder) -> None:
    with study_lock(folder) as lock:
        assert lock.taken_over_from is None
        expected = rf"study 'study' is being written by process {os.getpid()} on .* since 20.*another --name"
        with pytest.raises(StudyBusy, match=expected), study_lock(folder):
            pass
    assert folder.get_text(LOCK) is None
    with study_lock(folder):
        pass


def test_the_lock_is_released_when_its_block_fails(folder: StudyFolder) -> None:
    with pytest.raises(ZeroDivisionError), study_lock(folder):
        raise ZeroDivisionError
    assert folder.names("") == []


def test_of_many_at_once_one_gets_it(folder: StudyFolder) -> None:
    assert contend(folder) == 1


def contend(folder: StudyFolder, contenders: int = 8) -> int:
    """How many of some threads get the lock while the winner keeps it."""
    all_tried = threading.Barrier(contenders)

    def attempt(_: int) -> int:
        try:
            with study_lock(folder):
                all_tried.wait(30)
                return 1
        except StudyBusy:
            all_tried.wait(30)
            return 0

    with ThreadPoolExecutor(contenders) as pool:
        return sum(pool.map(attempt, range(contenders)))


HOLDER = """
import sys, time
from grokstudy.store.folder import StudyFolder
from grokstudy.store.lock import study_lock
with study_lock(StudyFolder.open(sys.argv[1], "study")):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_killed_owner_on_this_machine_is_replaced_at_once_and_by_one_only(tmp_path: Path) -> None:
    folder = StudyFolder.open(str(tmp_path), "study")
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StudyBusy, match=f"process {holder.pid} on"), study_lock(folder):
            pass
        holder.send_signal(signal.SIGKILL)
    left = folder.get_text(LOCK)
    assert left is not None
    with study_lock(folder) as lock:
        assert lock.taken_over_from is not None
        assert lock.taken_over_from.startswith(f"took over from process {holder.pid} on")
    folder.put_text(LOCK, left)
    assert contend(folder) == 1
    assert folder.names("") == [], "neither lock nor claim stays"


def test_a_process_that_took_over_a_dead_owners_pid_does_not_count_as_it(folder: StudyFolder) -> None:
    with study_lock(folder):
        mine = lock_text(folder)
    folder.put_text(LOCK, json.dumps({**mine, "process_start": "12345"}))
    with study_lock(folder) as lock:
        assert lock.taken_over_from is not None


def test_an_owner_elsewhere_counts_as_dead_only_when_silent_for_long(folder: StudyFolder) -> None:
    write_owner(folder)
    with pytest.raises(StudyBusy, match="process 1 on elsewhere"), study_lock(folder):
        pass
    silent = datetime.now(UTC) - timedelta(seconds=STALE_SECONDS + 1)
    write_owner(folder, heartbeat=silent.isoformat())
    with study_lock(folder) as lock:
        assert "process 1 on elsewhere, which gave no sign of life for" in str(lock.taken_over_from)


def test_a_claim_of_a_process_that_died_while_taking_over_blocks_nobody(folder: StudyFolder) -> None:
    long_ago = datetime.fromtimestamp(0, UTC).isoformat()
    write_owner(folder, heartbeat=long_ago)
    text = folder.get_text(LOCK)
    assert text is not None
    folder.put_text("takeover-theirs.json", text)
    with study_lock(folder) as lock:
        assert lock.taken_over_from is not None
    assert folder.names("") == []


def test_an_unreadable_lock_is_taken_over(folder: StudyFolder) -> None:
    folder.put_text(LOCK, "{")
    with study_lock(folder) as lock:
        assert "an unknown host" in str(lock.taken_over_from)


def test_the_heart_beats(folder: StudyFolder) -> None:
    with study_lock(folder, heartbeat_seconds=0.01):
        first = lock_text(folder)
        beaten = threading.Event()
        while not beaten.wait(0.005):
            if lock_text(folder)["heartbeat"] != first["heartbeat"]:
                beaten.set()
        later = lock_text(folder)
    assert {**later, "heartbeat": ""} == {**first, "heartbeat": ""}


def test_who_lost_the_lock_is_told_and_leaves_the_new_owners_lock(folder: StudyFolder) -> None:
    with study_lock(folder, heartbeat_seconds=0.01) as lock:
        while lock_text(folder)["token"] != "theirs":  # a beat in flight may write over it once
            write_owner(folder)
            lock.lost.wait(0.05)
        assert lock.lost.wait(30)
    assert lock_text(folder)["token"] == "theirs"
