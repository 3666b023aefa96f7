"""What a cluster asks the explorer: does the process answer, can it show studies?"""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import Future
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from grokstudy.spec.errors import GrokstudyError
from grokstudy.store.storage import Storage

LIVE, READY = "/healthz", "/readyz"
SECONDS_BETWEEN: Final = 1.0
"""The storage is asked at most this often, however often we are."""
SECONDS_FOR_AN_ANSWER: Final = 3.0
"""Shorter than a probe waits, so that it hears why."""
NO_STUDY: Final = ".ready"
"""A folder that can be no study's: listing it takes one small request, and the same rights as any other listing."""


def storage_trouble(root: str) -> str | None:
    """Why the storage root cannot be listed; None if it can. One request to a bucket."""
    try:
        Storage.open(root).direct(NO_STUDY)
    except GrokstudyError as error:
        return str(error)
    except OSError as error:
        return f"{error.strerror or error}. Is the storage root still there?"
    return None


class Readiness:
    """What the last look at the storage found. One look at a time: one that hangs holds one thread, and no exit."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._look: Future[str | None] | None = None
        self._began = 0.0

    async def trouble(self) -> str | None:
        """Why studies cannot be shown; None if they can."""
        now = time.monotonic()
        if self._look is None or (self._look.done() and now - self._began >= SECONDS_BETWEEN):
            self._look, self._began = _looking(self._root), now
        look = self._look
        await asyncio.wait((asyncio.wrap_future(look),), timeout=SECONDS_FOR_AN_ANSWER)
        if not look.done():
            return f"storage.root: no answer for {time.monotonic() - self._began:.0f} s."
        return look.result()


def _looking(root: str) -> Future[str | None]:
    """`storage_trouble` in a thread that the process does not wait for when it ends, as an executor's would be."""
    found: Future[str | None] = Future()
    found.set_running_or_notify_cancel()
    threading.Thread(target=lambda: found.set_result(storage_trouble(root)), daemon=True).start()
    return found


class Probes:
    """Answers the two addresses before anything else looks at a request: a probe names no host that we know of."""

    def __init__(self, app: ASGIApp, *, root: str, path: str = "") -> None:
        self._app, self._path, self._readiness = app, path, Readiness(root)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].removeprefix(self._path) in (LIVE, READY):
            answer = await self._answer(Request(scope))
            await answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
        if request.method not in ("GET", "HEAD"):
            return PlainTextResponse("Method Not Allowed", 405, {**headers, "Allow": "GET, HEAD"})
        ready = request.scope["path"].endswith(READY)
        trouble = await self._readiness.trouble() if ready else None
        return PlainTextResponse(trouble or "ok", 503 if trouble else 200, headers)
