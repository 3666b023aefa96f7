"""What stands round every answer: headers that keep other sites out, and the path of a proxy."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; connect-src 'self'; font-src 'self'; worker-src blob:; "
    "base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
"""Scripts come from the server itself alone. plotly.js compiles its WebGL calls from text of its own (without that, no
parallel coordinates and no long curves), writes inline styles and makes images from blobs."""


class SecurityHeaders:
    """Says with each answer that nothing from elsewhere runs on the page and that no other page shows it in a frame."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = POLICY
                headers["X-Content-Type-Options"] = "nosniff"
                headers["Referrer-Policy"] = "no-referrer"
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        await self._app(scope, receive, with_headers)


class BelowPath:
    """The explorer below a path of a proxy, whether the proxy cuts the path off or leaves it."""

    def __init__(self, app: ASGIApp, *, path: str) -> None:
        self._app, self._path = app, path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(f"{self._path}/"):
            scope = {**scope, "path": scope["path"].removeprefix(self._path)}
        await self._app(scope, receive, send)
