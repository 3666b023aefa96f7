"""One writer per study, whoever dies."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from grokstudy.spec.errors import StorageUnavailable, StudyBusy
from grokstudy.store.folder import StudyFolder
from grokstudy.store.lock import LOCK, Pace, study_lock
from grokstudy.store.storage import Storage

QUICK = Pace(heartbeat=0.02, again=0.02, watched=0.1, stale=0.2, look=0.01, told=0.05)
PATIENT = Pace(look=0.02)
"""Waits as long as in earnest for a sign of life, but sees it soon."""


@pytest.fixture(params=["disk", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> StudyFolder:
    root = str(tmp_path / "root") if request.param == "disk" else f"memory://{tmp_path}"
    return StudyFolder.open(root, "study")


def lock_text(folder: StudyFolder) -> dict[str, object]:
    text = folder.get_text(LOCK)
    assert text is not None
    return json.loads(text)


def write_owner(folder: StudyFolder, name: str = LOCK, **changes: object) -> None:
    """A lock as a living process on another host has it, with changes."""
    now = datetime.now(UTC).isoformat()
    owner = {"host": "elsewhere", "place": "another boot", "pid": 1, "process_start": "1", "token": "theirs"}
    folder.put_text(name, json.dumps({**owner, "since": now, "heartbeat": now, **changes}))


@contextmanager
def living_elsewhere(folder: StudyFolder, ahead: timedelta = timedelta()) -> Iterator[None]:
    """A process on another host, whose clock may differ, holds the lock and renews it."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(0.02):
            write_owner(folder, heartbeat=(datetime.now(UTC) + ahead).isoformat())

    write_owner(folder, heartbeat=(datetime.now(UTC) + ahead).isoformat())
    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def test_a_study_is_held_by_one_and_free_afterwards(folder: StudyFolder) -> None:
    with study_lock(folder) as lock:
        assert lock.taken_over_from is None
        lock.refuse_if_lost()
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


HEARS = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
"""A test that was started in the background would hand on that interrupts are ignored."""
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


@pytest.mark.parametrize("ahead", [timedelta(), timedelta(hours=-2), timedelta(hours=2)], ids=["same", "slow", "fast"])
def test_an_owner_elsewhere_that_gives_signs_of_life_lives_whatever_its_clock_says(
    folder: StudyFolder, ahead: timedelta
) -> None:
    with (
        living_elsewhere(folder, ahead),
        pytest.raises(StudyBusy, match="process 1 on elsewhere"),
        study_lock(folder, pace=PATIENT),
    ):
        pass


@pytest.mark.parametrize("ahead", [timedelta(), timedelta(hours=-2), timedelta(hours=2)], ids=["same", "slow", "fast"])
def test_an_owner_elsewhere_that_stays_silent_is_dead_whatever_its_clock_says(
    folder: StudyFolder, ahead: timedelta
) -> None:
    write_owner(folder, heartbeat=(datetime.now(UTC) + ahead).isoformat())
    said: list[str] = []
    with study_lock(folder, said.append, QUICK) as lock:
        assert "process 1 on elsewhere, which gave no sign of life for" in str(lock.taken_over_from)
    assert re.fullmatch(r"study: waiting for a sign of life of process 1 on elsewhere \(last \d+ s ago\)", said[0])
    assert folder.names("") == []


def test_an_old_stamp_alone_proves_nothing(folder: StudyFolder) -> None:
    """Watching is what counts: this process waits although the stamp is from yesterday."""
    write_owner(folder, heartbeat=(datetime.now(UTC) - timedelta(days=1)).isoformat())
    said: list[str] = []
    with study_lock(folder, said.append, QUICK):
        assert said


def test_waiting_ends_with_an_interrupt(tmp_path: Path) -> None:
    folder = StudyFolder.open(str(tmp_path), "study")
    write_owner(folder)
    with subprocess.Popen(
        [sys.executable, "-c", HEARS + HOLDER, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as waiter:
        assert waiter.stderr is not None
        assert waiter.stderr.readline().startswith("study: waiting for a sign of life of process 1 on elsewhere")
        waiter.send_signal(signal.SIGINT)
        _, error = waiter.communicate(timeout=60)
    assert "KeyboardInterrupt" in error
    assert lock_text(folder)["token"] == "theirs"


def test_an_owner_that_is_released_while_others_wait_is_followed_by_them(folder: StudyFolder) -> None:
    write_owner(folder)
    freed = threading.Timer(0.2, folder.delete, [[LOCK]])
    freed.start()
    with study_lock(folder, lambda _: None, PATIENT) as lock:
        assert lock.taken_over_from is None
    freed.join()


def test_a_claim_of_a_process_that_died_while_taking_over_blocks_nobody(folder: StudyFolder) -> None:
    long_ago = datetime.fromtimestamp(0, UTC).isoformat()
    write_owner(folder, heartbeat=long_ago)
    write_owner(folder, "takeover-theirs.json", heartbeat=long_ago, token="rival")
    write_owner(folder, "takeover-of-one-long-gone.json", token="other")
    with study_lock(folder, lambda _: None, QUICK) as lock:
        assert lock.taken_over_from is not None
        assert folder.names("") == [LOCK]
    assert folder.names("") == []


def test_an_unreadable_lock_is_taken_over(folder: StudyFolder) -> None:
    folder.put_text(LOCK, "{")
    with study_lock(folder, lambda _: None, QUICK) as lock:
        assert "an unknown host" in str(lock.taken_over_from)


def test_an_owner_that_came_back_in_the_middle_of_a_heartbeat_does_not_displace_its_successor(
    folder: StudyFolder,
) -> None:
    """It was paused just before it wrote its name, which now stands over that of the new owner."""
    write_owner(folder)
    with study_lock(folder, lambda _: None, QUICK) as lock:
        write_owner(folder)
        while lock_text(folder)["token"] == "theirs":
            time.sleep(0.005)
        assert lock_text(folder)["token"] == lock.owner.token
        assert not lock.lost.is_set()
    assert folder.names("") == []


def test_a_lock_whose_answer_was_lost_is_known_by_its_token(
    folder: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first PUT arrived, its answer did not, and the second one finds the object there."""
    create = Storage.create

    def twice(storage: Storage, key: str, data: bytes) -> bool:
        create(storage, key, data)
        return create(storage, key, data)

    def then_away(storage: Storage, key: str, data: bytes) -> bool:
        create(storage, key, data)
        raise StorageUnavailable("it does not answer")

    for broken in (twice, then_away):
        monkeypatch.setattr(Storage, "create", broken)
        with study_lock(folder) as lock:
            assert lock.taken_over_from is None
        assert folder.names("") == []


def test_the_heart_beats_on_after_an_outage(folder: StudyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    away, tried = threading.Event(), threading.Event()
    get = Storage.get

    def sometimes(storage: Storage, key: str) -> bytes:
        if away.is_set():
            tried.set()
            raise StorageUnavailable("it does not answer")
        return get(storage, key)

    monkeypatch.setattr(Storage, "get", sometimes)
    with study_lock(folder, pace=QUICK) as lock:
        away.set()
        assert tried.wait(30)
        away.clear()
        before = lock_text(folder)["heartbeat"]
        while lock_text(folder)["heartbeat"] == before:
            time.sleep(0.005)
        assert not lock.lost.is_set()


def test_the_heart_beats(folder: StudyFolder) -> None:
    with study_lock(folder, pace=QUICK):
        first = lock_text(folder)
        beaten = threading.Event()
        while not beaten.wait(0.005):
            if lock_text(folder)["heartbeat"] != first["heartbeat"]:
                beaten.set()
        later = lock_text(folder)
    assert {**later, "heartbeat": ""} == {**first, "heartbeat": ""}


def test_who_lost_the_lock_is_told_and_leaves_the_new_owners_lock(folder: StudyFolder) -> None:
    with study_lock(folder, pace=QUICK) as lock:
        while lock_text(folder)["token"] != "theirs":  # a beat in flight may write over it once
            write_owner(folder)
            lock.lost.wait(0.05)
        assert lock.lost.wait(30)
        with pytest.raises(StudyBusy, match="study 'study' belongs to process 1 on elsewhere now"):
            lock.refuse_if_lost()
    assert lock_text(folder)["token"] == "theirs"
