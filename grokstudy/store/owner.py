"""Who holds a study's lock: a process, where its pid means something, and its last sign of life."""

from __future__ import annotations

import dataclasses
import json
import os
import secrets
import socket
from datetime import UTC, datetime
from pathlib import Path

from grokstudy.store.folder import StudyFolder

KEPT_TOKENS = 16
"""Of the owners before: a process may be paused while so many others hold the lock after it."""
LONG_AGO = datetime.fromtimestamp(0, UTC).isoformat()


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
    """UTC by the owner's own clock, ISO 8601."""
    replaced: tuple[str, ...] = ()
    """Tokens of the owners it took over from. One of them may have been paused in the middle of a sign of life."""

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"

    @property
    def is_here(self) -> bool:
        """Whether this process can see if the owner runs."""
        return self.place == _place()

    @property
    def runs(self) -> bool:
        """Whether the process is there; only where `is_here`."""
        return _process_start(self.pid) == self.process_start

    @property
    def silent_seconds(self) -> float:
        """Since its last sign of life by its clock and ours, which may differ."""
        return (datetime.now(UTC) - datetime.fromisoformat(self.heartbeat)).total_seconds()

    def alive_now(self) -> Owner:
        """With a new sign of life."""
        return dataclasses.replace(self, heartbeat=_now())

    def after(self, dead: Owner) -> Owner:
        """The owner that takes over from another."""
        return dataclasses.replace(self, replaced=(*dead.replaced, dead.token)[-KEPT_TOKENS:])

    def encoded(self) -> bytes:
        return json.dumps(dataclasses.asdict(self)).encode()


def this_process() -> Owner:
    """This process, as an owner with a token that nobody had before."""
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


def owner_in(folder: StudyFolder, name: str) -> Owner | None:
    """Who is named in the file; None if there is no file. An unreadable file names nobody who could live."""
    data = folder.get_bytes(name)
    if data is None:
        return None
    try:
        fields = json.loads(data.decode())
        known = {field.name: fields[field.name] for field in dataclasses.fields(Owner) if field.name in fields}
        owner = Owner(**{**known, "replaced": tuple(known.get("replaced", ()))})
        owner.silent_seconds  # noqa: B018 (its stamp can be read)
    except (ValueError, TypeError, AttributeError, RecursionError):
        return Owner(
            host="an unknown host",
            place="",
            pid=0,
            process_start="",
            token="unreadable",
            since=LONG_AGO,
            heartbeat=LONG_AGO,
        )
    return owner


def is_held_by(folder: StudyFolder, name: str, token: str) -> bool:
    """Whether the file names the owner with this token."""
    owner = owner_in(folder, name)
    return owner is not None and owner.token == token


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
