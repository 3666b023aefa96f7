"""MLflow for a group: whoever comes must log in, and routes that run code or fetch addresses are closed.

`mlflow server --app-name grokstudy-group` finds `app` by the entry point group `mlflow.app`. Users, the first
administrator and the tables are made beforehand, once, by `python -m grokstudy.tracking.group_database upgrade`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from grokstudy.spec.errors import BadInput

if TYPE_CHECKING:
    from starlette.types import ASGIApp

LOGIN_SETTINGS: Final = Path(__file__).with_suffix(".ini")
"""What MLflow's login reads where MLFLOW_AUTH_CONFIG_PATH names nothing else."""
FALSE: Final = ("false", "0")
PROTECTION: Final = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": (FALSE, "must be false: else whoever logs in can run code on the server"),
    "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE": (("", *FALSE), "must be unset: else other sites' pages are answered"),
    "MLFLOW_BASIC_AUTH_FAIL_CLOSED": (("", "true", "1"), "must be unset: else routes without a rule are everybody's"),
}
"""Variables, the values that protect, and what must hold. MLflow takes an unset first one for true."""


def check_settings(environment: Mapping[str, str]) -> None:
    """Raises BadInput: the server would run without protection, or would not start."""
    for name, (values, must) in PROTECTION.items():
        given = environment.get(name, "").strip().lower()
        if given not in values:
            shown = f"got '{given}'" if given else "is not set"
            raise BadInput(f"{name}: {shown}, {must}.")
    hosts = [host.strip() for host in environment.get("MLFLOW_SERVER_ALLOWED_HOSTS", "").split(",")]
    if not all(hosts) or "*" in hosts:
        raise BadInput(
            f"MLFLOW_SERVER_ALLOWED_HOSTS: got '{','.join(hosts)}', must be the names that the server is called by, "
            "with their ports: mlflow,mlflow:5000. Give them here or with --allowed-hosts."
        )
    if not environment.get("MLFLOW_FLASK_SERVER_SECRET_KEY"):
        raise BadInput("MLFLOW_FLASK_SERVER_SECRET_KEY: is not set, must be a random text, the same in every replica.")


def use_login_settings() -> str:
    """The file that MLflow's login will read once it is imported: ours, unless the environment names another."""
    return os.environ.setdefault("MLFLOW_AUTH_CONFIG_PATH", str(LOGIN_SETTINGS))


def app() -> ASGIApp:
    """The application of one process of the server.

    Raises:
        BadInput: settings that leave it unprotected, or another server than uvicorn.
    """
    check_settings(os.environ)
    if os.environ.get("_MLFLOW_SGI_NAME") != "uvicorn":
        raise BadInput("mlflow server: --app-name grokstudy-group needs uvicorn; leave --gunicorn-opts out.")
    use_login_settings()
    from mlflow.server.auth import create_app

    from grokstudy.tracking.artifact_places import OwnPlaces
    from grokstudy.tracking.open_routes import OnlyOpen
    from grokstudy.tracking.training_mode import TrainingMode

    return OnlyOpen(OwnPlaces(TrainingMode(create_app())), prefix=os.environ.get("_MLFLOW_STATIC_PREFIX", ""))
