"""Serving the explorer: the address, a port that is free, and its end."""

from __future__ import annotations

import errno
import socket

import uvicorn

from grokstudy.explorer.app import LOOPBACK_HOSTS, create_app
from grokstudy.spec.errors import BadInput

PORT = 8501
_TRIED = 50
"""Ports above a taken one that are tried."""
_TAKEN = (errno.EADDRINUSE, errno.EACCES)
"""In use, or reserved for the administrator."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the address."""
    return host in _LOOPBACK


def free_port(host: str, port: int) -> int:
    """The first free port from `port` on.

    Raises:
        BadInput: the address is not this machine's, or all of them are taken.
    """
    for candidate in range(port, min(port + _TRIED, 65536)):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, candidate))
            except OSError as error:
                if isinstance(error, socket.gaierror) or error.errno not in _TAKEN:
                    raise BadInput(f"--host: got '{host}', which is no address of this machine ({error}).") from None
                continue
            return candidate
    raise BadInput(f"--port: {port} and the {_TRIED - 1} ports above it are taken; give another one.")


def serve(root: str, *, host: str, port: int, root_path: str, hosts: tuple[str, ...]) -> None:
    """Runs the explorer until it is interrupted."""
    app = create_app(
        root, root_path=root_path, hosts=(*LOOPBACK_HOSTS, *hosts) if hosts else LOOPBACK_HOSTS, sql=is_loopback(host)
    )
    uvicorn.run(app, host=host, port=port, log_level="warning", access_log=False, server_header=False)
