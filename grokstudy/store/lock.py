"""One writer per study: a lock file with its owner's name and heartbeat.

The lock keeps two runs from computing the same trials. It does not protect the data, which needs no protection: writers
only add whole parts with names of their own.

No clock of another machine decides whether its process lives: whoever wants the lock watches for a sign of life.
"""

from __future__ import annotations

import contextlib
import dataclasses
import sys
import threading
import time
from collections.abc import Callable, Iterator

from grokstudy.spec.errors import GrokstudyError, StorageUnavailable, StudyBusy
from grokstudy.store.folder import StudyFolder
from grokstudy.store.owner import Owner, is_held_by, owner_in, this_process

LOCK = "lock.json"
TAKEOVER = "takeover-"
"""A claim to replace a dead owner, named by its token, is a lock of its own."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How often an owner gives a sign of life, and how long others wait for one. All in seconds."""

    heartbeat: float = 10.0
    again: float = 2.0
    """Until the next try after a heartbeat that the storage did not take."""
    watched: float = 30.0
    """This process itself must have seen no new heartbeat for so long, whatever the stamps say: three are missing, or
    two after an outage that made one late."""
    stale: float = 120.0
    """And by the stamps it must be silent for so long; or this process has watched for so long."""
    look: float = 2.0
    """Between two looks."""
    told: float = 10.0
    """Between two words to whoever waits."""


PACE = Pace()


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class StudyLock:
    """A lock that is held."""

    folder: StudyFolder
    owner: Owner
    taken_over_from: str | None
    """One line about the dead owner that it was taken from."""
    lost: threading.Event = dataclasses.field(default_factory=threading.Event)
    """Set when another process took the lock over, because this one showed no heartbeat for too long."""

    def refuse_if_lost(self) -> None:
        """Call it before what only the owner may do.

        Raises:
            StudyBusy: another process has the study now, or the lock's file was deleted.
        """
        if not self.lost.is_set():
            return
        now = owner_in(self.folder, LOCK)
        whose = "nobody" if now is None else str(now)
        raise StudyBusy(
            f"study '{self.folder.name}' belongs to {whose} now: this process gave no sign of life for too long (it "
            f"was paused, or its storage was away) or {self.folder.where(LOCK)} was deleted. It has stopped; "
            "everything finished is kept. Run it again when the other one has ended."
        )


def on_stderr(message: str) -> None:
    """Tells a person who waits where there is no better place."""
    print(message, file=sys.stderr, flush=True)


@contextlib.contextmanager
def study_lock(folder: StudyFolder, tell: Callable[[str], None] = on_stderr, pace: Pace = PACE) -> Iterator[StudyLock]:
    """Holds the study for this process and renews a heartbeat; released at exit if it is still ours.

    An owner that died where its pid can be looked at is replaced at once. For one elsewhere this waits, with words to
    `tell`, until it gives a sign of life or has been silent for `pace.watched` or more. Ctrl-C ends the waiting.

    Raises:
        StudyBusy: a live process holds it; the message names it.
        StorageUnavailable: the storage is away.
    """
    owner, dead = _take(folder, LOCK, this_process(), tell, pace)
    lock = StudyLock(folder, owner, dead)
    ended = threading.Event()
    heart = threading.Thread(target=_beat, args=(lock, ended, pace), name="heartbeat", daemon=True)
    heart.start()
    try:
        _forget_claims(folder, owner)
        yield lock
    finally:
        ended.set()
        heart.join()
        with contextlib.suppress(GrokstudyError, OSError):  # one that stays is taken over
            if is_held_by(folder, LOCK, owner.token):
                folder.delete([LOCK])


def _take(
    folder: StudyFolder, name: str, me: Owner, tell: Callable[[str], None], pace: Pace
) -> tuple[Owner, str | None]:
    """Makes the file `name` this process's, in place of a dead one's if need be; says whose it was.

    Many may find the same dead owner. The one that holds the claim on its token replaces it, if it is still there; the
    holder of a claim may die too, and is replaced by the same rule.
    """
    while not _created(folder, name, me.alive_now()):
        owner = owner_in(folder, name)
        cause = None if owner is None else _cause_of_death(folder, name, owner, tell, pace)
        if owner is None or cause is None:  # released, or taken over by another
            continue
        claim = f"{TAKEOVER}{owner.token}.json"
        _take(folder, claim, me, tell, pace)
        try:
            if is_held_by(folder, name, owner.token):
                me = me.alive_now().after(owner)
                folder.put_bytes(name, me.encoded())
                return me, f"took over from {owner}, which {cause}"
        finally:
            folder.delete([claim])
    return me, None


def _created(folder: StudyFolder, name: str, me: Owner) -> bool:
    """Whether the file is this process's now. A PUT may arrive though its answer is lost: then its token tells."""
    try:
        return folder.storage.create(folder.key(name), me.encoded()) or is_held_by(folder, name, me.token)
    except StorageUnavailable:
        if is_held_by(folder, name, me.token):
            return True
        raise


def _cause_of_death(
    folder: StudyFolder, name: str, owner: Owner, tell: Callable[[str], None], pace: Pace
) -> str | None:
    """Why the owner counts as dead; None if the file is no longer its own.

    Raises:
        StudyBusy: it lives.
    """
    if owner.is_here:
        if owner.runs:
            raise _busy(folder, owner)
        return "has ended without releasing it"
    watched, told, last = 0.0, -pace.told, time.monotonic()
    while watched < pace.watched or max(watched, owner.silent_seconds) < pace.stale:
        if watched - told >= pace.told:
            told = watched
            silent = max(watched, owner.silent_seconds)
            tell(f"{folder.name}: waiting for a sign of life of {owner} (last {silent:.0f} s ago)")
        time.sleep(pace.look)
        now = owner_in(folder, name)
        if now is None or now.token != owner.token:
            return None
        if now.heartbeat != owner.heartbeat:
            raise _busy(folder, now)
        # A look that took long (this process was paused, the storage away) saw no more than a short one.
        watched, last = watched + min(time.monotonic() - last, 2 * pace.look), time.monotonic()
    return f"gave no sign of life for {max(watched, owner.silent_seconds):.0f} s"


def _beat(lock: StudyLock, ended: threading.Event, pace: Pace) -> None:
    """Renews the heartbeat until the lock is released or lost. A storage that does not answer is tried again."""
    wait = pace.heartbeat
    while not ended.wait(wait):
        try:
            now = owner_in(lock.folder, LOCK)
            # One of those before may have written over this one's name, if it was paused just before writing.
            if now is None or now.token not in (lock.owner.token, *lock.owner.replaced):
                lock.lost.set()
                return
            lock.folder.put_bytes(LOCK, lock.owner.alive_now().encoded())
            wait = pace.heartbeat
        except (GrokstudyError, OSError):
            wait = min(pace.again, pace.heartbeat)


def _forget_claims(folder: StudyFolder, owner: Owner) -> None:
    """Deletes claims of processes that died while taking over: on any token but the present one they are worthless."""
    names = [key.removeprefix(f"{folder.name}/") for key in folder.storage.direct(folder.name)]
    folder.delete([name for name in names if name.startswith(TAKEOVER) and owner.token not in name])


def _busy(folder: StudyFolder, owner: Owner) -> StudyBusy:
    return StudyBusy(
        f"study '{folder.name}' is being written by {owner} since {owner.since} (last sign of life {owner.heartbeat}). "
        f"Wait for it or stop it, or give this run another --name. If it is gone, its lock ends by itself: the same "
        f"command takes over when it has seen no sign of life for {PACE.watched:.0f} to {PACE.stale:.0f} s."
    )
