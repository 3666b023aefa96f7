"""Settings of the MLflow projection (config group `tracking`)."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

from grokstudy.spec.errors import BadInput
from grokstudy.spec.settings import TrackingSettings

Granularity = Literal["trial", "cell", "study"]
TRIAL_LIMIT = 2000
"""Planned trials up to which `auto` shows every trial: MLflow's pages and charts stop being usable above."""
CELL_LIMIT = 500
"""Cells up to which `auto` shows every cell of a larger study. A run costs MLflow's client about 40 ms of processor
time, most of it for the run itself: 2,000 of them are a third of the training of 10,000 small networks."""
SERVER_SCHEMES = ("http", "https")


def chosen_granularity(settings: TrackingSettings, planned: int, cells: int | None = None) -> Granularity:
    """What a new study gets: as set, or by the number of planned trials and of their cells (None = not known)."""
    if settings.granularity != "auto":
        return settings.granularity
    if planned <= TRIAL_LIMIT:
        return "trial"
    return "cell" if cells is None or cells <= CELL_LIMIT else "study"


def resolved_uri(settings: TrackingSettings, storage_uri: str) -> str:
    """`tracking.uri`, or the default for this storage root."""
    if settings.uri is None:
        return default_uri(storage_uri)
    check_uri(settings.uri)
    return settings.uri


def default_uri(storage_uri: str) -> str:
    """`sqlite:///<absolute local root>/mlflow.db`.

    Raises:
        BadInput: for a root that is not a local folder; MLflow then needs an address of its own.
    """
    scheme = urlsplit(storage_uri).scheme if "://" in storage_uri else ""
    if scheme not in ("", "file"):
        raise BadInput(
            f"tracking.uri: null, but the storage root {storage_uri} is not a local folder, so MLflow's database "
            "has no place there. Give tracking.uri=http://HOST:PORT of an MLflow server or sqlite:////path/mlflow.db, "
            "or set tracking.enabled=false."
        )
    folder = Path(unquote(urlsplit(storage_uri).path)) if scheme else Path(storage_uri)
    return f"sqlite:///{folder.expanduser().resolve() / 'mlflow.db'}"


def check_uri(uri: str) -> None:
    """Raises BadInput unless `uri` is a server's address or an SQLite file."""
    if uri.startswith("sqlite:///") and len(uri) > len("sqlite:///"):
        return
    if urlsplit(uri).scheme in SERVER_SCHEMES and urlsplit(uri).hostname:
        return
    raise BadInput(
        f"tracking.uri: got '{redacted(uri)}', must be http(s)://HOST[:PORT] of an MLflow server or sqlite:///FILE. "
        "For another database start `mlflow server --backend-store-uri ...` and give its address."
    )


def sqlite_file(uri: str) -> Path | None:
    """The database file of an sqlite address, absolute; None for a server."""
    return Path(uri.removeprefix("sqlite:///")).expanduser().absolute() if uri.startswith("sqlite:///") else None


def redacted(uri: str) -> str:
    """The address without user name and password, for messages."""
    head, at, tail = uri.rpartition("@")
    return f"{head.partition('://')[0]}://...@{tail}" if at and "://" in head else uri
