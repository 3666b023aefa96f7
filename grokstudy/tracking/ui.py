"""MLflow's own UI on the study's database."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from grokstudy.spec.errors import BadInput
from grokstudy.tracking.settings import check_uri, redacted, sqlite_file


def ui_command(uri: str, host: str = "127.0.0.1", port: int = 5000) -> list[str]:
    """Command line of an MLflow server on an SQLite address; run it with `ui_environment()`.

    Raises:
        BadInput: `uri` is a server already, or no database is there.
    """
    check_uri(uri)
    file = sqlite_file(uri)
    if file is None:
        raise BadInput(f"tracking.uri: {redacted(uri)} is an MLflow server already; open it in a browser.")
    if not file.exists():
        raise BadInput(f"tracking.uri: no MLflow database at {file}; run a study with tracking.enabled=true first.")
    return [
        *(sys.executable, "-m", "mlflow", "server"),
        *("--backend-store-uri", f"sqlite:///{file}"),
        *("--artifacts-destination", (file.parent / "mlflow-artifacts").as_uri()),
        *("--host", host, "--port", str(port)),
        *("--workers", "1"),  # one reader; four would each load MLflow
    ]


def ui_environment() -> Mapping[str, str]:
    """This process's environment with telemetry and the server's job runner off, where the user has not chosen."""
    return {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", **os.environ}
