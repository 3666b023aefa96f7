"""Prepares the database of a group's MLflow: tables of runs, tables of users, the first administrator.

    python -m grokstudy.tracking.group_database upgrade    once before a new version starts (it may run twice at once)
    python -m grokstudy.tracking.group_database wait       until that is done: what a server does before it starts

The address is MLFLOW_BACKEND_STORE_URI, `postgresql+psycopg2://` where PGHOST, PGDATABASE, PGUSER, PGPASSWORD ... say
the rest. A server that starts on an empty database makes the tables itself, and two of them fail at it.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from configparser import ConfigParser
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final, TypeVar

from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, inspect, text
from sqlalchemy.exc import OperationalError, SQLAlchemyError

from grokstudy.spec.errors import BadInput, GrokstudyError
from grokstudy.tracking.group_server import check_settings, use_login_settings
from grokstudy.tracking.mlflow_api import MlflowException

Result = TypeVar("Result")
ADDRESS: Final = "MLFLOW_BACKEND_STORE_URI"
DRIVER: Final = "postgresql+psycopg2://"
LOCK: Final = 7_471_236
"""Key of the lock in PostgreSQL that one upgrade at a time holds, until its connection ends."""
PATIENCE: Final = 600.0
"""Seconds that either command waits for the database, or for the upgrade."""
PAUSE: Final = 2.0
SCHEMA: Final = re.compile(r"-c\s*search_path=(\w+)")


class NotReady(GrokstudyError):
    """What is still missing; another look a little later may find it."""


def upgrade() -> None:
    """Makes or renews all tables and makes the first administrator, unless they are there.

    Raises:
        BadInput: the environment names no database.
        MlflowException: it names no administrator, or too short a password.
        NotReady: the database does not answer.
    """
    runs, users = _engines()
    with _alone(runs):
        from mlflow.db import upgrade as make_runs
        from mlflow.server.auth import bootstrap_admin_user

        assert make_runs.callback is not None  # the command `mlflow db upgrade`
        make_runs.callback(os.environ[ADDRESS])
        if (schema := _schema(users)) is not None:
            with users.begin() as connection:
                connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {schema}"))
        bootstrap_admin_user()


def check() -> None:
    """Raises NotReady: tables of another version than MLflow's here, no administrator, or no answer."""
    runs, users = _engines()
    tables = (
        (runs, "alembic_version", "store/db_migrations"),
        (users, "alembic_version_auth", "server/auth/db/migrations"),
    )
    with _answering():
        for engine, table, migrations in tables:
            found, wanted = _first(engine, table, f"SELECT version_num FROM {table}"), _newest(migrations)
            if found != wanted:
                raise NotReady(f"its tables are of version {found or 'none'}, MLflow here needs {wanted}")
        if _first(users, "users", "SELECT 1 FROM users WHERE is_admin") is None:
            raise NotReady("it has no administrator")


def wait(seconds: float = PATIENCE) -> None:
    """Returns when `check` finds nothing.

    Raises:
        BadInput: the environment would not let the server start.
        NotReady: still so after `seconds`.
    """
    check_settings(os.environ)
    _patiently(check, seconds)


def main(words: list[str]) -> int:
    """Runs the command that the words name; 2 after a mistake, with one line on stderr."""
    commands = {"upgrade": upgrade, "wait": wait}
    if len(words) != 1 or words[0] not in commands:
        print(__doc__, file=sys.stderr)
        return 2
    logging.getLogger("alembic").setLevel(logging.WARNING)
    try:
        commands[words[0]]()
    except (GrokstudyError, MlflowException, SQLAlchemyError) as error:
        print(f"MLflow's database: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def _engines() -> tuple[Engine, Engine]:
    """Of the tables of runs, and of those of users."""
    runs = os.environ.get(ADDRESS)
    if not runs:
        raise BadInput(f"{ADDRESS}: is not set, must be {DRIVER} (with PGHOST ... set).")
    login = ConfigParser()
    login.read(use_login_settings())
    users = login.get("mlflow", "database_uri", fallback="")
    for address in (runs, users):
        if not address.startswith(DRIVER):
            raise BadInput(f"got {address.partition(':')[0] or 'no address'}, must be {DRIVER} for several processes.")
    return create_engine(runs), create_engine(users)


def _newest(migrations: str) -> str | None:
    """The version that MLflow's migrations in this folder lead to. Its server is not imported: that takes 5 s."""
    found = find_spec("mlflow")
    assert found is not None
    assert found.origin is not None
    return ScriptDirectory(str(Path(found.origin).parent / migrations)).get_current_head()


def _schema(engine: Engine) -> str | None:
    """The schema that connections of this engine work in; None = the database's own."""
    options = engine.url.query.get("options", "")
    found = SCHEMA.search(options if isinstance(options, str) else " ".join(options))
    return None if found is None else found[1]


def _patiently(act: Callable[[], Result], seconds: float) -> Result:
    """What it returns, tried again while it raises NotReady, for so long."""
    end = time.monotonic() + seconds
    while True:
        try:
            return act()
        except NotReady:
            if time.monotonic() > end:
                raise
            time.sleep(PAUSE)


@contextmanager
def _alone(engine: Engine) -> Iterator[None]:
    """The block, while no other upgrade runs; waits for a database that has just been started."""

    def connected() -> Connection:
        with _answering():
            return engine.connect()

    with _patiently(connected, PATIENCE) as connection, connection.begin():
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": LOCK})
        yield


@contextmanager
def _answering() -> Iterator[None]:
    """Raises NotReady: no connection."""
    try:
        yield
    except OperationalError as error:
        said = str(error.orig).strip() or "no answer"
        raise NotReady(f"{said}. Check PGHOST, PGPORT, PGDATABASE, PGUSER and PGPASSWORD") from error


def _first(engine: Engine, table: str, question: str) -> object:
    """The first value of an answer; None without one, or without the table."""
    if table not in inspect(engine).get_table_names():
        return None
    with engine.connect() as connection:
        return connection.execute(text(question)).scalar()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
