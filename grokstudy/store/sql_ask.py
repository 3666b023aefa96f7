"""The other end of `sql_process.py`: starts it, asks it one thing at a time, ends it when it must be."""

from __future__ import annotations

import atexit
import dataclasses
import json
import os
import subprocess
import sys
import threading
from typing import BinaryIO, cast

import pyarrow as pa

from grokstudy.spec.errors import BadInput
from grokstudy.store import sql_process
from grokstudy.store.sql_process import read_block, write_block
from grokstudy.store.views import Definitions

GRACE = 1.0
"""Seconds past its limit after which a query that does not end by itself is ended with its process."""
STARTING = 60.0
"""Seconds that the process may take to start on a busy machine."""

KEPT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
"""Variables without which an interpreter may not start."""


EXHAUSTING = ("InterruptException", "OutOfMemoryException")
"""Errors after which the process ends: the next query finds all of its time and memory."""


@dataclasses.dataclass(frozen=True, slots=True)
class Failure:
    """An error as DuckDB says it."""

    kind: str
    message: str


class SqlProcess:
    """A process that answers queries; it starts with the first one and again after one that had to be ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: subprocess.Popen[bytes] | None = None
        self._owner = os.getpid()

    def ask(self, views: Definitions, sql: str, limit: int, seconds: float) -> pa.Table | Failure:
        """At most `limit` rows of a statement that `sql_check.check` has let through; waits for its turn."""
        request = {
            "views": dict(views.texts),
            "paths": [str(path) for path in views.paths],
            "sql": sql,
            "limit": limit,
            "seconds": seconds,
        }
        with self._lock:
            self._start()
            answer = self._within(seconds + GRACE, json.dumps(request).encode())
        if isinstance(answer, Failure):
            return answer
        head, rows = answer
        error = json.loads(head)["error"]
        if error and error[0] in EXHAUSTING:  # what it took may not be free again yet
            with self._lock:
                self.close()
        return Failure(*error) if error else pa.ipc.open_stream(rows).read_all()

    def close(self) -> None:
        """Ends the process, if there is one."""
        running, self._running = self._running, None
        if running is not None and self._owner == os.getpid():
            running.kill()
            running.communicate()

    def _start(self) -> None:
        """Starts the process if it does not run."""
        if self._owner != os.getpid():  # a fork has no part in its parent's process
            self._running, self._owner = None, os.getpid()
        if self._running is None:
            # -P: the script's folder is no place to import from. The environment is left behind: it may hold secrets.
            self._running = subprocess.Popen(
                [sys.executable, "-P", "-s", str(sql_process.__file__)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={name: os.environ[name] for name in KEPT if name in os.environ}
                | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )
            if isinstance(self._within(STARTING, None), Failure):
                raise BadInput("query: the process that runs SQL does not start. Is there memory left?")

    def _within(self, seconds: float, request: bytes | None) -> tuple[bytes, bytes] | Failure:
        """The answer (without a request: the first sign of life), or why there is none; the process is then ended."""
        running, late = self._running, threading.Event()
        assert running is not None
        source, target = cast(BinaryIO, running.stdout), cast(BinaryIO, running.stdin)

        def end() -> None:
            late.set()
            running.kill()

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        try:
            if request is not None:
                write_block(target, request)
            answer = read_block(source), read_block(source)
        except (EOFError, BrokenPipeError):
            self.close()
            return Failure("InterruptException" if late.is_set() else "OutOfMemoryException", "")
        except BaseException:  # an interrupt in between: what is still to come would be taken for the next answer
            self.close()
            raise
        finally:
            timer.cancel()
        timer.join()
        if late.is_set():  # the time ran out just after the answer: the next query needs another process
            self.close()
        return answer


PROCESS = SqlProcess()
atexit.register(PROCESS.close)
