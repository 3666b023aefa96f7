"""A connection to MLflow that gives up soon and says so in one line; the global tracking state is left alone."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from grokstudy.spec.errors import GrokstudyError
from grokstudy.spec.settings import TrackingSettings
from grokstudy.tracking.causes import cause
from grokstudy.tracking.mlflow_api import MlflowClient, MlflowException
from grokstudy.tracking.new_database import make_database
from grokstudy.tracking.settings import check_uri, redacted, sqlite_file

PATIENCE = {
    # MLflow's own are 7 retries of 120 s, also of a create_run whose answer was lost: minutes, and a run twice. We try
    # again ourselves, by looking first at what is there.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # stdout belongs to `--format json`
}
"""Environment of every call to MLflow, where the user has not chosen otherwise."""
SQLITE_MAGIC = b"SQLite format 3\0"
FAILURES = (MlflowException, SQLAlchemyError, sqlite3.Error, OSError, json.JSONDecodeError)
"""What its client raises: errors of requests are OSErrors."""
LONGEST = 400
"""Characters of a cause; a proxy's page of HTML is cut."""
DIAGNOSIS_SECONDS = 4
"""For each of the two calls of a diagnosis; a name that no resolver answers for takes up to twice as long."""


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


def connect(settings: TrackingSettings, uri: str, *, seconds: int | None = None) -> Connection:
    """Connects and asks once; creates the SQLite database if there is none (its migrations take seconds, once).

    Args:
        settings: of the study.
        uri: the resolved tracking.uri.
        seconds: how long to wait for a server's answer; None = as the environment or PATIENCE says.

    Raises:
        BadInput: an address of a kind that is not supported.
        TrackingUnavailable: no answer, or a file that is not an SQLite database.
    """
    check_uri(uri)
    file = sqlite_file(uri)
    if file is not None:
        uri = f"sqlite:///{file}"
        _check_file(file)
    logging.getLogger("alembic").setLevel(logging.WARNING)  # a new database is no news
    # it prints the traceback of every error of the database that it then raises
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    more = {} if seconds is None else {"MLFLOW_HTTP_REQUEST_TIMEOUT": str(seconds)}
    with reaching(uri, **more):
        if file is not None and not file.exists():
            make_database(file)
        client = MlflowClient(tracking_uri=uri)
        client.search_experiments(max_results=1)
    return Connection(settings=settings, uri=uri, client=client)


def diagnose(settings: TrackingSettings, uri: str) -> str | None:
    """What keeps MLflow at this address from being used, as one line with its remedy; None = nothing does.

    Takes at most about ten seconds and writes nothing.

    Args:
        settings: of the study.
        uri: the resolved tracking.uri.
    """
    try:
        check_uri(uri)
        file = sqlite_file(uri)
        if file is not None:
            _check_file(file, make=False)
            return None
    except GrokstudyError as error:
        return str(error)
    said: list[str | None] = [f"tracking.uri: MLflow at {redacted(uri)} did not answer within 10 s."]

    def ask() -> None:
        try:
            connect(settings, uri, seconds=DIAGNOSIS_SECONDS)
            said.append(None)
        except GrokstudyError as error:
            said.append(str(error))

    thread = threading.Thread(target=ask, daemon=True)  # nothing bounds the time that a resolver takes
    thread.start()
    thread.join(10)
    return said[-1]


@contextmanager
def reaching(uri: str, **more: str) -> Iterator[None]:
    """Calls to MLflow at `uri`: with PATIENCE and more in the environment, every failure as TrackingUnavailable."""
    ours = {key: value for key, value in (PATIENCE | more).items() if key not in os.environ or key in more}
    before = {key: os.environ[key] for key in ours if key in os.environ}
    os.environ.update(ours)
    try:
        yield
    except FAILURES as error:
        raise _unavailable(uri, cause(error, uri)) from error
    finally:
        for key in ours:
            os.environ.pop(key, None)
        os.environ.update(before)


def _check_file(file: Path, *, make: bool = True) -> None:
    """MLflow retries a file it cannot open for most of an hour, so it is looked at first."""
    uri = f"sqlite:///{file}"
    try:
        if make:
            file.parent.mkdir(parents=True, exist_ok=True)
        if file.exists():
            with file.open("rb+") as stream:
                head = stream.read(len(SQLITE_MAGIC))
            if head not in (b"", SQLITE_MAGIC):
                raise _unavailable(uri, "the file is not an SQLite database; delete it to have it built again")
        elif not os.access(_nearest_folder(file), os.W_OK):
            raise _unavailable(uri, f"{_nearest_folder(file)} is not writable")
    except OSError as error:
        raise _unavailable(uri, str(error)) from error


def _nearest_folder(file: Path) -> Path:
    """The folder of a file, or the one in which it would be made."""
    return next(folder for folder in file.parents if folder.exists())


def _unavailable(uri: str, why: str) -> TrackingUnavailable:
    shown = redacted(uri)
    why = " ".join(why.replace(uri, shown).split())
    why = why if len(why) <= LONGEST else why[: LONGEST - 1] + "…"
    return TrackingUnavailable(
        f"tracking.uri: MLflow at {shown} is not available: {why.rstrip('.')}. Nothing is lost: results are in the "
        "study folder, and MLflow is brought up to date when it answers. Check the address, or set "
        "tracking.enabled=false."
    )
