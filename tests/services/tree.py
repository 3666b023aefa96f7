"""Processes as /proc shows them: whose child each is, what it was started with."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import time
from collections.abc import Iterable, Iterator
from pathlib import Path


@dataclasses.dataclass(frozen=True, slots=True)
class Process:
    """A process at one moment."""

    pid: int
    parent: int
    command: str
    """Its words, or what it calls itself."""


def processes() -> Iterator[Process]:
    """Everything that runs (no zombies)."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, ValueError):
                state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
                if state not in "ZX":
                    yield Process(int(entry.name), int(parent), command)


def below(pid: int) -> list[Process]:
    """Children of a process, their children, and so on."""
    everyone = list(processes())
    found: list[Process] = []
    parents = {pid}
    while parents:
        children = [one for one in everyone if one.parent in parents]
        found += children
        parents = {one.pid for one in children}
    return found


def with_variable(name: str, value: str) -> list[Process]:
    """Processes of this user that were started with an environment variable."""
    wanted = f"{name}={value}".encode()
    found = []
    for one in processes():
        with contextlib.suppress(OSError):
            if wanted in Path(f"/proc/{one.pid}/environ").read_bytes().split(b"\0"):
                found.append(one)
    return found


def send(pids: Iterable[int], number: int) -> None:
    """Sends a signal to each; one that is gone is no error."""
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def kill(pids: Iterable[int], seconds: float = 10.0) -> None:
    """SIGKILL to each, and waits until they are gone (or nobody's but their parent's)."""
    left = set(pids)
    send(left, signal.SIGKILL)
    end = time.monotonic() + seconds
    while left & {one.pid for one in processes()} and time.monotonic() < end:
        time.sleep(0.02)
