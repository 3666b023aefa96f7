"""Serving the explorer until it is interrupted."""

from __future__ import annotations

import uvicorn

from grokstudy.explorer.app import LOOPBACK_HOSTS, MLFLOW, create_app

PORT = 8501
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    return host in _LOOPBACK


def serve(root: str, *, host: str, port: int, root_path: str, hosts: tuple[str, ...], mlflow: str = MLFLOW) -> None:
    """Runs the explorer until it is interrupted."""
    app = create_app(
        root,
        root_path=root_path,
        hosts=(*LOOPBACK_HOSTS, *hosts),
        sql=is_loopback(host) and not hosts,  # whoever comes through a proxy is not this machine's user
        mlflow=mlflow,
    )
    uvicorn.run(app, host=host, port=port, log_level="warning", access_log=False, server_header=False)
