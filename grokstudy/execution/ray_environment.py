"""What Ray reads from a driver's environment, set before it is imported, never against what is there; its signals."""

from __future__ import annotations

import os
import secrets
import signal
import sys
import threading

from grokstudy.spec.errors import BadInput

QUIET = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "TUNE_WARN_THRESHOLD_S": "60",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_DEDUP_LOGS": "1",
}
"""Nothing phones home; Tune writes no logs of its own and keeps its hands off signals."""
LOOPBACK = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
"""At 0, Ray behaves as on the systems that have no clusters: every port is bound to 127.0.0.1 and nothing else."""
AUTH = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


def for_embedded() -> None:
    """Before Ray is started in this process: ports on this machine alone, behind a token that nobody else knows.

    Ray would otherwise keep its token in the home directory, which may be read-only, and open its ports to the network.
    """
    _set(QUIET)
    if "ray" not in sys.modules:  # Ray reads it when it is imported
        _set({LOOPBACK: "0"})
    if not any(os.environ.get(name) for name in AUTH):
        os.environ.update({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)})


def for_cluster() -> None:
    """Before this process joins a running cluster as a driver.

    Raises:
        BadInput: this process has had Ray for itself, where nobody else reaches it.
    """
    if os.environ.get(LOOPBACK) == "0":
        raise BadInput(
            "cluster.kind: got ray, but this process has already run Ray embedded (cluster=local), with ports that no "
            "cluster reaches. Start a new process for cluster=ray."
        )
    _set(QUIET)


def keep_sigterm() -> None:
    """After Ray was started or joined: SIGTERM goes to this process's own handler again, and to nobody before it.

    Ray's C++ puts a handler of its own in front, which prints a trace of itself on the user's terminal.
    """
    handler = signal.getsignal(signal.SIGTERM)
    if handler is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)


def _set(variables: dict[str, str]) -> None:
    for name, value in variables.items():
        os.environ.setdefault(name, value)
