"""Views that connections share: to make them costs more than most questions, and the parts they read never change.

Each set of views is a schema of the process's database. It lives as long as a connection that looks at it, and the
latest ones longer.
"""

from __future__ import annotations

import atexit
import functools
import itertools
import os
import weakref
from collections.abc import Mapping
from pathlib import Path

import duckdb

from grokstudy.store.cache import cache_root
from grokstudy.store.counting import MAKING, database, database_of

KEPT = 16
"""Sets of views that are kept for the next connection."""
_NUMBERS = itertools.count()
_PREFIX = "views_"


class _Schema:
    """A schema with views in it, dropped with this object."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, views: tuple[tuple[str, str], ...]) -> None:
        self.name = f"{_PREFIX}{next(_NUMBERS)}"
        connection.execute(f"CREATE SCHEMA {self.name}")
        weakref.finalize(self, _drop, connection, self.name).atexit = False
        for view, text in views:
            connection.execute(f"CREATE VIEW {self.name}.{view} AS {text}")


def connected(views: Mapping[str, str]) -> duckdb.DuckDBPyConnection:
    """A connection that sees these views (SELECT by name) and no others.

    Raises:
        duckdb.Error: a file that they read is gone or damaged.
    """
    with MAKING:
        schema = _made(os.getpid(), cache_root(), tuple(views.items()))
    connection = database()
    connection.execute(f"USE {schema.name}")
    weakref.finalize(connection, id, schema).atexit = False  # holds the schema for as long as the connection lives
    return connection


def views_of(connection: duckdb.DuckDBPyConnection) -> str | None:
    """A name for the views that a connection sees; None if they are not from here.

    Equal names read equal rows, always: parts never change.
    """
    name = str(connection.execute("SELECT current_schema()").fetchall()[0][0])
    return name if name.startswith(_PREFIX) else None


@functools.lru_cache(maxsize=KEPT)
def _made(process: int, cache: Path, views: tuple[tuple[str, str], ...]) -> _Schema:
    return _Schema(database_of(process, cache).cursor(), views)


atexit.register(_made.cache_clear)


def _drop(connection: duckdb.DuckDBPyConnection, name: str) -> None:
    connection.execute(f"DROP SCHEMA {name} CASCADE")
    connection.close()
