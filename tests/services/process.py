"""A service's process: started in a group of its own, its output in a file, stopped by id whatever happens."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

STOP_SECONDS = 10.0
LAST_LINES = 25


class ServiceFailed(Exception):
    """A service that did not come up; the message has the last lines of its log."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Service:
    """A process group that runs in the background."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def last_lines(self, count: int = LAST_LINES) -> str:
        """The end of what it printed."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Waits until `ready` says so.

        Raises:
            ServiceFailed: it ended, or is not ready in time.
        """
        end = time.monotonic() + seconds
        while not ready():
            if not self.alive:
                raise ServiceFailed(f"{self.name} ended with {self.process.returncode}:\n{self.last_lines()}")
            if time.monotonic() > end:
                raise ServiceFailed(f"{self.name} is not ready after {seconds:g} s:\n{self.last_lines()}")
            time.sleep(0.05)

    def send(self, number: int) -> None:
        """Sends a signal to the whole group; none if it is gone."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def pause(self) -> None:
        """SIGSTOP: it holds its connections and answers nothing."""
        self.send(signal.SIGSTOP)

    def resume(self) -> None:
        self.send(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL, and waits until it is gone."""
        self.send(signal.SIGKILL)
        self.process.wait()

    def stop(self, seconds: float = STOP_SECONDS, number: int = signal.SIGTERM) -> None:
        """Asks it to end, then kills what is left of its group."""
        self.resume()
        if self.alive:
            self.send(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
        self.kill()


def start(
    name: str, words: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Service:
    """Starts a process with exactly this environment (default: this one's); its output goes to folder/NAME.log."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{name}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            list(words),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=None if environment is None else dict(environment),
            cwd=cwd or folder,
            start_new_session=True,
        )
    return Service(name, process, log)


@contextlib.contextmanager
def running(
    name: str,
    words: Sequence[str],
    folder: Path,
    environment: Mapping[str, str] | None = None,
    *,
    ready: Callable[[], bool],
    seconds: float = 60.0,
    stop_seconds: float = STOP_SECONDS,
) -> Iterator[Service]:
    """A service that is ready inside the block and gone after it.

    Raises:
        ServiceFailed: it did not come up.
    """
    service = start(name, words, folder, environment)
    try:
        service.wait_until(ready, seconds)
        yield service
    finally:
        service.stop(stop_seconds)


def done(words: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None, seconds: float = 120) -> str:
    """Runs a command to its end; what it printed on stdout.

    Raises:
        ServiceFailed: it failed; the message has what it said.
    """
    folder.mkdir(parents=True, exist_ok=True)
    result = subprocess.run(
        list(words),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=None if environment is None else dict(environment),
        cwd=folder,
        timeout=seconds,
        check=False,
    )
    if result.returncode:
        said = (result.stdout + result.stderr).decode(errors="replace").splitlines()[-LAST_LINES:]
        raise ServiceFailed(f"{words[0]} ended with {result.returncode}:\n" + "\n".join(said))
    return result.stdout.decode(errors="replace")


@contextlib.contextmanager
def in_environment(settings: Mapping[str, str]) -> Iterator[None]:
    """These variables are this process's own in the block; each is what it was after it, all others stay."""
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def own_environment(**more: str) -> dict[str, str]:
    """This process's environment without what would point a service or a client elsewhere."""
    dropped = ("GROKSTUDY_", "RAY_", "MLFLOW_", "AWS_", "PG")
    return {**{key: value for key, value in os.environ.items() if not key.startswith(dropped)}, **more}
