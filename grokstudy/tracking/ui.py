"""MLflow's own UI on the study's database: its command, its address, its life as a process."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from types import FrameType
from typing import Final

from grokstudy.spec.errors import BadInput, GrokstudyError
from grokstudy.tracking.settings import check_uri, redacted, sqlite_file

APP_NAME: Final = "grokstudy"
"""Entry point of `training_mode.app` in the group `mlflow.app`."""
PORTS_TRIED: Final = 20
TAKEN: Final = (errno.EADDRINUSE, errno.EACCES)
"""In use, or reserved for the administrator."""
START_SECONDS: Final = 120
"""A server that has not answered by then is given up; on a busy laptop it takes about ten."""
END_SECONDS: Final = 10


def ui_command(uri: str, host: str = "127.0.0.1", port: int = 5000) -> list[str]:
    """Command line of an MLflow server on an SQLite address; run it with `ui_environment()`.

    Raises:
        BadInput: `uri` is a server already, or no database is there.
    """
    check_uri(uri)
    file = sqlite_file(uri)
    if file is None:
        raise BadInput(f"tracking.uri: {redacted(uri)} is an MLflow server already; open it in a browser.")
    if not file.exists():
        raise BadInput(f"tracking.uri: no MLflow database at {file}; run a study with tracking.enabled=true first.")
    if not is_database(file):
        raise BadInput(
            f"tracking.uri: {file} is damaged, or no SQLite database. MLflow only shows what the studies hold: move "
            "the file away and run a study again, which writes its runs anew."
        )
    ours = entry_points(group="mlflow.app", name=APP_NAME)  # missing in a source tree that was never installed
    return [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--backend-store-uri", f"sqlite:///{file}"),
        *("--artifacts-destination", (file.parent / "mlflow-artifacts").as_uri()),
        *("--host", host, "--port", str(port)),
        *("--workers", "1"),  # one reader; four would each load MLflow
        *("--uvicorn-opts", "--log-level warning"),
        *(("--app-name", APP_NAME) if ours else ()),
    ]


def is_database(file: Path) -> bool:
    """Whether a file is an SQLite database that can be read."""
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            connection.execute("SELECT name FROM sqlite_master").fetchall()
    except sqlite3.DatabaseError:
        return False
    return True


def ui_environment() -> Mapping[str, str]:
    """This process's environment with telemetry, the server's job runner and its libraries' deprecation warnings off,
    where the user has not chosen."""
    quiet = {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_LOGGING_LEVEL": "WARNING",
        "PYTHONWARNINGS": "ignore",
    }
    return {**quiet, **os.environ}


def free_port(wanted: int, host: str = "127.0.0.1") -> int:
    """`wanted`, or the next port that nobody listens on.

    Raises:
        BadInput: no such port, the next 20 are taken too, or the host is no address of this machine.
    """
    if not 1 <= wanted <= 65535:
        raise BadInput(f"--port: got {wanted}, must lie between 1 and 65535.")
    tried = range(wanted, min(wanted + PORTS_TRIED, 65536))
    found = next((port for port in tried if _is_free(host, port)), None)
    if found is None:
        raise BadInput(f"--port: {wanted} to {tried[-1]} are all taken on {host}; give another with --port.")
    return found


@contextmanager
def served(command: Sequence[str], host: str, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """Runs the server and enters once it answers; leaving ends it with all its processes.

    Raises:
        GrokstudyError: it ended or stayed silent for 120 s; its own words stand on stderr.
    """
    with _interruptible():  # around it all: an end asked for at any moment leaves no server behind
        # a session of its own: Ctrl-C reaches this process alone, which then ends the server in order
        # stdout holds its advice on security for servers on a network; errors go to stderr
        environment = dict(ui_environment())
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)
        try:
            _wait_for_answer(process, host, port)
            yield process
        finally:
            _end(process)


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as asked:
        asked.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as the server does: connections may be dying
        try:
            asked.bind((host, port))
        except OSError as error:
            if error.errno not in TAKEN:
                raise BadInput(f"--host: got '{host}', which is no address of this machine ({error}).") from None
            return False
        return True


def _wait_for_answer(process: subprocess.Popen[bytes], host: str, port: int) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise GrokstudyError(
                f"MLflow's server ended at once (exit code {process.returncode}); its words stand above."
            )
        with socket.socket() as asked:
            if asked.connect_ex((host, port)) == 0:
                return
        time.sleep(0.1)
    raise GrokstudyError(f"MLflow's server did not answer on {host}:{port} within {START_SECONDS} s.")


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGTERM ends the block like Ctrl-C, so that the server is not left behind; both whatever a library has set."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)  # None: set outside Python


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the whole group: MLflow's command line, its web server and that one's worker."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except (ProcessLookupError, PermissionError):  # macOS says the latter of a group that has only just ended
            break
        try:
            process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            continue
