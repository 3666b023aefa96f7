"""MLflow's SQLite database, whole or not at all.

SQLite commits every statement of MLflow's migrations by itself: a process that is killed among them, or a disk that
fills up, would leave a database that MLflow refuses for ever. So it is made under another name.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
import tempfile
from pathlib import Path

from grokstudy.tracking.mlflow_api import MlflowClient


def make_database(file: Path) -> None:
    """Makes an empty, migrated database; one that is there by then, made by another process, stays as it is.

    Raises:
        OSError, sqlite3.Error, MlflowException, SQLAlchemyError: there is no room, or the folder cannot be written.
    """
    ready = file.with_name(f".{file.name}.{secrets.token_hex(4)}")
    try:
        with tempfile.TemporaryDirectory(prefix="grokstudy-mlflow-") as scratch:
            made = Path(scratch) / file.name
            MlflowClient(tracking_uri=f"sqlite:///{made}").search_experiments(max_results=1)
            _copy(made, ready)
        _name(ready, file)
    finally:
        ready.unlink(missing_ok=True)


def _name(ready: Path, file: Path) -> None:
    try:
        os.link(ready, file)  # refuses where a rename would take the place of another's
    except FileExistsError:
        return
    except OSError:  # a file system without links
        ready.replace(file)


def _copy(made: Path, ready: Path) -> None:
    """One file with all that is committed: MLflow keeps its connections, and may keep a journal beside its own."""
    source, target = sqlite3.connect(made), sqlite3.connect(ready)
    with contextlib.closing(source), contextlib.closing(target):
        source.backup(target)
