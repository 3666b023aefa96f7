"""Where a group's artifacts lie is the server's to say.

An experiment may be created with an `artifact_location`, which the server then reads and writes for whoever asks: any
folder that it sees, any bucket that its key opens. So an experiment of a group's server may name none.
"""

from __future__ import annotations

import json
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CREATE: Final = "/mlflow/experiments/create"
FIELD: Final = "artifactlocation"
"""`artifact_location` and, as protocol buffers write it too, `artifactLocation`."""
REFUSED: Final = {
    "error_code": "INVALID_PARAMETER_VALUE",
    "message": "artifact_location: this server chooses where artifacts lie; create the experiment without it.",
}


def names_no_place(body: bytes) -> bool:
    """Whether this request leaves the place of its artifacts to the server. What cannot be read does not."""
    try:
        asked = json.loads(body or b"{}")
        asked = json.loads(asked) if isinstance(asked, str) else asked  # MLflow also takes JSON within JSON
    except (ValueError, RecursionError):
        return False
    return isinstance(asked, dict) and not any(
        value for name, value in asked.items() if name.replace("_", "").lower() == FIELD
    )


class OwnPlaces:
    """ASGI middleware: as `app` answers; 400 for an experiment that names a place for its artifacts."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].endswith(CREATE):
            await self._app(scope, receive, send)
            return
        body = await Request(scope, receive).body()
        if not names_no_place(body):
            await JSONResponse(REFUSED, 400)(scope, receive, send)
            return

        async def again() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        await self._app(scope, again, send)
