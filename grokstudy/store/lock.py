"""One writer per study: a lock file with its owner's name and heartbeat.

The lock keeps two runs from computing the same trials. It does not protect the data, which needs no protection: writers
only add whole parts with names of their own.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import secrets
import socket
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from grokstudy.spec.errors import GrokstudyError, StudyBusy
from grokstudy.store.folder import StudyFolder

LOCK = "lock.json"
STALE_SECONDS = 120.0
"""Age of a heartbeat from which an owner that cannot be looked at (another host) counts as dead."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A process that holds the lock. `pid` alone is not enough: pids are used again, and differ between containers."""

    host: str
    place: str
    """Boot of the machine and pid namespace: where `pid` means something."""
    pid: int
    process_start: str
    token: str
    """Made for this one time of holding the lock."""
    since: str
    heartbeat: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class StudyLock:
    """A lock that is held."""

    owner: Owner
    taken_over_from: str | None
    """One line about the dead owner that it was taken from."""
    lost: threading.Event
    """Set when another process took the lock over, because this one showed no heartbeat for too long."""


@contextlib.contextmanager
def study_lock(folder: StudyFolder, heartbeat_seconds: float = 10.0) -> Iterator[StudyLock]:
    """Holds the study for this process and renews a heartbeat; released at exit if it is still ours.

    An owner that died on this machine is replaced at once, one elsewhere when its heartbeat is older than 120 s.

    Raises:
        StudyBusy: a live process holds it; the message names it.
    """
    lock = _acquire(folder)
    ended = threading.Event()
    heart = threading.Thread(target=_beat, args=(folder, lock, ended, heartbeat_seconds), daemon=True)
    heart.start()
    try:
        yield lock
    finally:
        ended.set()
        heart.join()
        if _holder(folder, LOCK, lock.owner.token):
            folder.delete([LOCK])


def _acquire(folder: StudyFolder) -> StudyLock:
    me = _me()
    if _create(folder, LOCK, me):
        return StudyLock(me, None, threading.Event())
    owner = _read(folder, LOCK)
    if owner is None:  # released since
        return _acquire(folder)
    dead = _cause_of_death(owner)
    if dead is None:
        raise _busy(folder, owner)
    # Two processes may find the same dead owner: the one that creates the claim replaces it, after a second look.
    claim = f"takeover-{owner.token}.json"
    if not _create(folder, claim, me):
        rival = _read(folder, claim)
        if rival is not None and _cause_of_death(rival) is None:
            raise _busy(folder, rival)
        folder.delete([claim])
        return _acquire(folder)
    try:
        if not _holder(folder, LOCK, owner.token):
            return _acquire(folder)
        _write(folder, LOCK, me)
    finally:
        folder.delete([claim])
    return StudyLock(me, f"took over from {owner}, which {dead}", threading.Event())


def _beat(folder: StudyFolder, lock: StudyLock, ended: threading.Event, seconds: float) -> None:
    """Renews the heartbeat until the lock is released or lost. A storage that does not answer is tried again."""
    while not ended.wait(seconds):
        with contextlib.suppress(GrokstudyError, OSError):
            if not _holder(folder, LOCK, lock.owner.token):
                lock.lost.set()
                return
            _write(folder, LOCK, dataclasses.replace(lock.owner, heartbeat=_now()))


def _cause_of_death(owner: Owner) -> str | None:
    """Why the owner counts as dead; None if it may live."""
    if owner.place == _place():
        return None if _process_start(owner.pid) == owner.process_start else "has ended without releasing it"
    age = (datetime.now(UTC) - datetime.fromisoformat(owner.heartbeat)).total_seconds()
    return f"gave no sign of life for {age:.0f} s" if age > STALE_SECONDS else None


def _busy(folder: StudyFolder, owner: Owner) -> StudyBusy:
    return StudyBusy(
        f"study '{folder.name}' is being written by {owner} since {owner.since} (last sign of life {owner.heartbeat}). "
        f"Wait for it or stop it, or give this run another --name. If it is gone, its lock ends by itself after "
        f"{STALE_SECONDS:.0f} s without a sign of life, or when {folder.where(LOCK)} is deleted."
    )


def _create(folder: StudyFolder, name: str, owner: Owner) -> bool:
    return folder.storage.create(folder.key(name), _encoded(owner))


def _write(folder: StudyFolder, name: str, owner: Owner) -> None:
    folder.put_bytes(name, _encoded(owner))


def _encoded(owner: Owner) -> bytes:
    return json.dumps(dataclasses.asdict(owner)).encode()


def _read(folder: StudyFolder, name: str) -> Owner | None:
    """Who is named in the file; None if there is no file. An unreadable file names nobody who could live."""
    text = folder.get_text(name)
    if text is None:
        return None
    try:
        return Owner(**json.loads(text))
    except (ValueError, TypeError):
        long_ago = datetime.fromtimestamp(0, UTC).isoformat()
        return Owner(
            host="an unknown host",
            place="",
            pid=0,
            process_start="",
            token="unreadable",
            since=long_ago,
            heartbeat=long_ago,
        )


def _holder(folder: StudyFolder, name: str, token: str) -> bool:
    owner = _read(folder, name)
    return owner is not None and owner.token == token


def _me() -> Owner:
    now = _now()
    return Owner(
        host=socket.gethostname(),
        place=_place(),
        pid=os.getpid(),
        process_start=_process_start(os.getpid()),
        token=secrets.token_hex(8),
        since=now,
        heartbeat=now,
    )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _place() -> str:
    """Two processes with equal places see each other's pids. The host's name where there is no /proc."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return socket.gethostname()


def _process_start(pid: int) -> str:
    """When the process began, in clock ticks since boot; "" if it does not run ("?" where only that can be told)."""
    try:
        # The 2nd field, the command in parentheses, may hold anything; after it, state is the 1st, start the 20th.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return "" if fields[0] in "ZX" else fields[19]
    except OSError:
        if Path("/proc/self/stat").exists():
            return ""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "?"
