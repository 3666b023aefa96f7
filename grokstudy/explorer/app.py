"""The explorer as a web application: pages, data, and what a mistake in an address looks like."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import plotly
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from grokstudy.explorer import routes_cell, routes_study, routes_trial
from grokstudy.explorer.health import Probes
from grokstudy.explorer.page import STATIC, page
from grokstudy.explorer.security import BelowPath, SecurityHeaders
from grokstudy.explorer.studies import Studies
from grokstudy.spec.errors import BadInput, GrokstudyError, StorageUnavailable

MLFLOW = "http://127.0.0.1:5000"
LOOPBACK_HOSTS = ("127.0.0.1", "localhost", "[::1]")


def create_app(
    root: str, *, root_path: str = "", hosts: tuple[str, ...] = LOOPBACK_HOSTS, sql: bool = True, mlflow: str = MLFLOW
) -> FastAPI:
    """The explorer over the studies of one storage root. It only reads.

    Args:
        root: storage root.
        root_path: path below which a proxy shows it, e.g. "/grokstudy".
        hosts: names under which it answers; others get 400 (a page elsewhere could otherwise rebind its name to this
            machine and read the studies).
        sql: whether the page may send SQL; only for loopback.
        mlflow: address of the UI that `grokstudy mlflow` starts; links lead there.
    """
    app = FastAPI(title="grokstudy", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.studies = Studies(root=root)
    app.state.sql = sql
    app.state.mlflow = mlflow
    app.state.root_path = root_path
    app.add_middleware(GZipMiddleware, minimum_size=2_000, compresslevel=5)
    app.add_middleware(SecurityHeaders)
    if root_path:
        app.add_middleware(BelowPath, path=root_path)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))
    app.add_middleware(Probes, root=root, path=root_path)
    app.add_exception_handler(GrokstudyError, _mistake)
    app.add_exception_handler(OSError, _lost)
    app.add_exception_handler(RequestValidationError, _unreadable)
    app.add_exception_handler(HTTPException, _refused)
    for router in (routes_study.router, routes_cell.router, routes_trial.router):
        app.include_router(router, prefix="/api")
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_api_route("/plotly.min.js", _plotly, include_in_schema=False)
    for path in ("/", "/s/{study}", "/t/{trial}"):
        app.add_api_route(path, _page, response_class=HTMLResponse, include_in_schema=False)
    return app


async def _page(request: Request) -> HTMLResponse:
    """Every address of a page gets the same document; its script reads the address."""
    return HTMLResponse(page(request.app.state.root_path, sql=request.app.state.sql))


async def _plotly() -> FileResponse:
    """plotly.js of the installed wheel, the version that the figures were made for."""
    path = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    return FileResponse(path, media_type="text/javascript", headers={"Cache-Control": "public, max-age=86400"})


async def _mistake(request: Request, error: Any) -> Response:
    """What a person asked cannot be answered: one sentence, shown where they look."""
    status = 422 if isinstance(error, BadInput) else 503 if isinstance(error, StorageUnavailable) else 409
    return JSONResponse({"error": str(error)}, status_code=status)


async def _lost(request: Request, error: Any) -> Response:
    """A folder that went away or may not be read: the person can put it right, the page says what."""
    text = f"{error.filename or 'file'}: {error.strerror or error}. Is the storage root still there?"
    return JSONResponse({"error": text}, status_code=409)


async def _unreadable(request: Request, error: Any) -> Response:
    first = error.errors()[0]
    name = str(first["loc"][-1])
    return JSONResponse({"error": f"address: '{name}': {first['msg'].lower()}."}, status_code=422)


async def _refused(request: Request, error: Any) -> Response:
    if request.url.path.startswith(f"{request.scope.get('root_path', '')}/api"):
        return JSONResponse({"error": str(error.detail)}, status_code=error.status_code)
    if error.status_code == 404:
        return HTMLResponse(page(request.app.state.root_path, sql=False), status_code=404)
    return Response(str(error.detail), status_code=error.status_code)
