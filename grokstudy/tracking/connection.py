"""A connection to MLflow that gives up soon and says so in one line; the global tracking state is left alone."""

from __future__ import annotations

import dataclasses
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from grokstudy.spec.errors import GrokstudyError
from grokstudy.spec.settings import TrackingSettings
from grokstudy.tracking.mlflow_api import MlflowClient, MlflowException
from grokstudy.tracking.settings import check_uri, redacted, sqlite_file

PATIENCE = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",  # MLflow's own: 7 retries of 120 s, minutes of a study's time
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_BACKOFF_JITTER": "0.2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # stdout belongs to `--format json`
}
"""Environment of every call to MLflow, where the user has not chosen otherwise."""
SQLITE_MAGIC = b"SQLite format 3\0"


class TrackingUnavailable(GrokstudyError):
    """MLflow cannot be reached or refuses. The study goes on: everything is in its folder, a later sync writes it."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Connection:
    """An MLflow that answered."""

    settings: TrackingSettings
    uri: str
    client: MlflowClient

    def artifact_folder(self, study: str) -> str | None:
        """Where a study's artifacts go; None = the server decides (SQLite would take the working directory)."""
        file = sqlite_file(self.uri)
        return None if file is None else (file.parent / "mlflow-artifacts" / study).as_uri()


def connect(settings: TrackingSettings, uri: str) -> Connection:
    """Connects and asks once; creates the SQLite database if there is none (its migrations take seconds, once).

    Raises:
        BadInput: an address of a kind that is not supported.
        TrackingUnavailable: no answer, or a file that is not an SQLite database.
    """
    check_uri(uri)
    file = sqlite_file(uri)
    if file is not None:
        uri = f"sqlite:///{file}"
        _check_file(file)
    for name in ("mlflow.store.db.utils", "alembic"):  # a new database is no news
        logging.getLogger(name).setLevel(logging.WARNING)
    with reaching(uri):
        client = MlflowClient(tracking_uri=uri)
        client.search_experiments(max_results=1)
    return Connection(settings=settings, uri=uri, client=client)


@contextmanager
def reaching(uri: str) -> Iterator[None]:
    """Calls to MLflow at `uri`: with PATIENCE in the environment, every failure as TrackingUnavailable."""
    ours = {key: value for key, value in PATIENCE.items() if key not in os.environ}
    os.environ.update(ours)
    try:
        yield
    except (MlflowException, SQLAlchemyError, OSError) as error:  # requests' errors are OSErrors
        raise _unavailable(uri, str(error)) from error
    finally:
        for key in ours:
            os.environ.pop(key, None)


def _check_file(file: Path) -> None:
    """MLflow retries a file it cannot open for most of an hour, so it is looked at first."""
    uri = f"sqlite:///{file}"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists():
            with file.open("rb+") as stream:
                head = stream.read(len(SQLITE_MAGIC))
            if head not in (b"", SQLITE_MAGIC):
                raise _unavailable(uri, "the file is not an SQLite database; delete it to have it built again")
        elif not os.access(file.parent, os.W_OK):
            raise _unavailable(uri, f"{file.parent} is not writable")
    except OSError as error:
        raise _unavailable(uri, str(error)) from error


def _unavailable(uri: str, cause: str) -> TrackingUnavailable:
    shown = redacted(uri)
    reason = " ".join(cause.replace(uri, shown).split())
    reason = reason if len(reason) <= 200 else reason[:199] + "…"
    return TrackingUnavailable(
        f"tracking.uri: MLflow at {shown} is not available ({reason}). Nothing is lost: results are in the study "
        "folder, and the next run or sync shows them. Check the address, or set tracking.enabled=false."
    )
