"""What of MLflow a group's server answers: experiments, runs and their artifacts, models to read, users; nothing else.

MLflow also runs code that is sent to it, fetches addresses that it is told, keeps keys of language models and hands out
addresses of the bucket. A list of what is open stays right when a new version brings more of that; of every route that
is not in it nobody learns more than that there is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

OPEN: Final = """
GET             /
GET             /health
GET             /version
GET             /static-files/<path>
GET             /get-artifact
GET             /api/3.0/mlflow/server-info

POST            /graphql

POST            /api/2.0/mlflow/experiments/create
GET             /api/2.0/mlflow/experiments/get
GET             /api/2.0/mlflow/experiments/get-by-name
GET POST        /api/2.0/mlflow/experiments/search
POST            /api/2.0/mlflow/experiments/search-datasets
POST            /api/2.0/mlflow/experiments/update
POST            /api/2.0/mlflow/experiments/delete
POST            /api/2.0/mlflow/experiments/restore
POST            /api/2.0/mlflow/experiments/set-experiment-tag
POST            /api/2.0/mlflow/experiments/delete-experiment-tag

POST            /api/2.0/mlflow/runs/create
GET             /api/2.0/mlflow/runs/get
POST            /api/2.0/mlflow/runs/search
POST            /api/2.0/mlflow/runs/update
POST            /api/2.0/mlflow/runs/delete
POST            /api/2.0/mlflow/runs/restore
POST            /api/2.0/mlflow/runs/log-batch
POST            /api/2.0/mlflow/runs/log-inputs
POST            /api/2.0/mlflow/runs/log-metric
POST            /api/2.0/mlflow/runs/log-parameter
POST            /api/2.0/mlflow/runs/set-tag
POST            /api/2.0/mlflow/runs/delete-tag
GET             /api/2.0/mlflow/metrics/get-history
GET             /api/2.0/mlflow/metrics/get-history-bulk
GET             /api/2.0/mlflow/metrics/get-history-bulk-interval

GET             /api/2.0/mlflow/artifacts/list
GET             /api/2.0/mlflow-artifacts/artifacts
GET PUT DELETE  /api/2.0/mlflow-artifacts/artifacts/<path>

GET             /api/2.0/mlflow/logged-models/<name>
GET             /api/2.0/mlflow/logged-models/<name>/artifacts/directories
POST            /api/2.0/mlflow/logged-models/search
GET             /api/2.0/mlflow/model-versions/get
GET             /api/2.0/mlflow/model-versions/search
GET             /api/2.0/mlflow/registered-models/alias
GET             /api/2.0/mlflow/registered-models/get
GET POST        /api/2.0/mlflow/registered-models/get-latest-versions
GET             /api/2.0/mlflow/registered-models/search

GET             /api/2.0/mlflow/users/current
GET             /api/2.0/mlflow/users/get
GET             /api/2.0/mlflow/users/list
POST            /api/2.0/mlflow/users/create
PATCH           /api/2.0/mlflow/users/update-password
PATCH           /api/2.0/mlflow/users/update-admin
DELETE          /api/2.0/mlflow/users/delete
GET             /api/3.0/mlflow/users/current/permissions
GET             /api/3.0/mlflow/users/permissions/get
GET             /api/3.0/mlflow/users/permissions/list
POST            /api/3.0/mlflow/users/permissions/grant
POST            /api/3.0/mlflow/users/permissions/revoke
GET             /api/3.0/mlflow/users/roles/list
GET             /api/3.0/mlflow/roles/get
GET             /api/3.0/mlflow/roles/list
GET             /api/3.0/mlflow/roles/users/list
GET             /api/3.0/mlflow/roles/permissions/list
POST            /api/3.0/mlflow/roles/create
PATCH           /api/3.0/mlflow/roles/update
DELETE          /api/3.0/mlflow/roles/delete
POST            /api/3.0/mlflow/roles/assign
DELETE          /api/3.0/mlflow/roles/unassign
POST            /api/3.0/mlflow/roles/permissions/add
PATCH           /api/3.0/mlflow/roles/permissions/update
DELETE          /api/3.0/mlflow/roles/permissions/remove
"""
"""Methods and addresses; /api/ stands for /ajax-api/ too, which the pages use. <name> is one part of an address, <path>
any number of them."""

ODD: Final = re.compile(r"[\x00-\x1f\x7f\\]|//|/\.{1,2}(?:/|$)")
"""Addresses that one program reads otherwise than the next. Who routes behind this never sees them."""


def rows() -> Iterator[tuple[str, str]]:
    """Every open (method, address) of the list."""
    for line in OPEN.split("\n"):
        *methods, address = line.split() or ("",)
        for method in methods:
            yield method, address


def _pattern(address: str) -> str:
    """A regular expression of the whole address."""
    parts = {"<name>": "[^/]+", "<path>": ".+"}
    words = (parts.get(word) or re.escape(word) for word in re.split("(<[a-z]+>)", address))
    return "".join(words).replace("/api/", "/(?:ajax-)?api/", 1) if address.startswith("/api/") else "".join(words)


def _patterns() -> dict[str, re.Pattern[str]]:
    """One regular expression for each method."""
    found: dict[str, list[str]] = {}
    for method, address in rows():
        found.setdefault(method, []).append(_pattern(address))
    return {method: re.compile("|".join(patterns)) for method, patterns in found.items()}


PATTERNS: Final = _patterns()


def is_open(method: str, path: str) -> bool:
    """Whether the server answers this.

    Args:
        method: HEAD counts as GET.
        path: as the routes behind see it: percent-decoded, without a query, and without MLflow's --static-prefix.
    """
    pattern = PATTERNS.get("GET" if method == "HEAD" else method)
    return pattern is not None and ODD.search(path) is None and pattern.fullmatch(path) is not None


class OnlyOpen:
    """ASGI middleware: what is open, as `app` answers it; 404 for all else, and no websockets."""

    def __init__(self, app: ASGIApp, *, prefix: str = "") -> None:
        self._app, self._prefix = app, prefix.rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or (scope["type"] == "http" and self._is_open(scope)):
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await PlainTextResponse("Not Found", status_code=404)(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    def _is_open(self, scope: Scope) -> bool:
        """MLflow puts its prefix before most of its routes but not before all."""
        path: str = scope["path"]
        below = path.removeprefix(self._prefix) if path.startswith(f"{self._prefix}/") else path
        return is_open(scope["method"], path) or is_open(scope["method"], below)
