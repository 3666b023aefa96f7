"""MLflow's web application, opened for people who train networks.

MLflow 3 shows a first visitor its pages for language models and an assistant that can run commands on this machine.
Which pages are shown is kept in the browser; an address can ask for others, but the first click forgets it. So the
first visit chooses: training pages, assistant closed. Whoever chooses otherwise in MLflow keeps that. The names of the
two choices are MLflow's own and undocumented: where it does not know them, nothing changes.

`mlflow server --app-name grokstudy` finds `app` by the entry point group `mlflow.app`.
"""

from __future__ import annotations

import json
from typing import Final

from mlflow.server.fastapi_app import app as mlflow_app
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FIRST_CHOICES: Final = {
    "mlflow.workflowType_v1": "machine_learning",
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": True,  # "has been opened for this visitor"
}
SCRIPT: Final = (
    "<script>try{for(const[k,v]of Object.entries("
    + json.dumps({key: json.dumps(value) for key, value in FIRST_CHOICES.items()})
    + "))if(localStorage.getItem(k)===null)localStorage.setItem(k,v)}catch{}</script>"
)


def with_first_choices(html: bytes) -> bytes:
    """The page with a script that runs before MLflow's own."""
    return html.replace(b"<head>", b"<head>" + SCRIPT.encode(), 1)


class TrainingMode:
    """ASGI middleware: everything as `app` answers it, but the start page with `with_first_choices`."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/":
            await self._app(scope, receive, send)
            return
        start: Message = {}
        body = b""

        async def hold(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                start = message
                return
            body += message.get("body", b"")
            if not message.get("more_body", False):
                page = with_first_choices(body)
                if page != body:
                    MutableHeaders(raw=start["headers"])["content-length"] = str(len(page))
                await send(start)
                await send({"type": "http.response.body", "body": page})

        await self._app(scope, receive, hold)


app = TrainingMode(mlflow_app)
