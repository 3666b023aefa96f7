"""The explorer as a user starts it, on a loopback port of its own, and what it answers."""

from __future__ import annotations

import dataclasses
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import Request, urlopen

import uvicorn

from grokstudy.explorer.app import MLFLOW, create_app

SECONDS = 30.0
"""Until the server must have started or answered."""


@dataclasses.dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the server."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The sentence for the person who asked."""
        text: str = self.json["error"]
        return text


@dataclasses.dataclass(frozen=True, slots=True)
class Explorer:
    """A running explorer."""

    url: str

    def get(self, path: str, *parameters: tuple[str, str], headers: Mapping[str, str] | None = None) -> Reply:
        """Asks for a path such as `/api/studies`."""
        query = f"?{urlencode(parameters)}" if parameters else ""
        request = Request(f"{self.url}{path}{query}", headers=dict(headers or {}))
        try:
            with urlopen(request, timeout=SECONDS) as answer:
                return Reply(answer.status, dict(answer.headers), answer.read())
        except HTTPError as answer:
            return Reply(answer.code, dict(answer.headers), answer.read())


@contextmanager
def explorer(root: str, *, root_path: str = "", sql: bool = True, mlflow: str = MLFLOW) -> Iterator[Explorer]:
    """Serves the studies of a storage root until the block ends."""
    config = uvicorn.Config(
        create_app(root, root_path=root_path, sql=sql, mlflow=mlflow),
        host="127.0.0.1",
        port=0,
        log_level="error",
        ws="none",
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + SECONDS
        while not server.started:
            assert time.monotonic() < deadline, "the explorer did not start"
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield Explorer(f"http://127.0.0.1:{port}")
    finally:
        server.should_exit = True
        thread.join(SECONDS)
