"""Free ports: asked of the system, so that tests of two processes never meet."""

from __future__ import annotations

import socket
import time

_GIVEN: set[int] = set()


def free_port(host: str = "127.0.0.1", low: int = 20_000, high: int = 32_000) -> int:
    """A port nobody listens at and this process has not been given before.

    Below the range that the system hands to outgoing connections, so that none takes it in the meantime, and outside
    10002-19999, where Ray's workers listen.
    """
    # Where a process begins to look depends on the time, so that two processes that start together seldom meet.
    begin = time.time_ns() // 1000
    for offset in range(high - low):
        port = low + (begin + offset) % (high - low)
        if port not in _GIVEN and _is_free(host, port):
            _GIVEN.add(port)
            return port
    raise OSError(f"no free port between {low} and {high} at {host}")


def answers(host: str, port: int, seconds: float = 1.0) -> bool:
    """Whether somebody accepts a connection there."""
    try:
        with socket.create_connection((host, port), timeout=seconds):
            return True
    except OSError:
        return False


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True
