"""The views over the parts of one or more studies, and SQL that a stranger may run on them."""

from __future__ import annotations

import dataclasses
import os
import re
from collections import Counter
from collections.abc import Sequence

import duckdb
import pyarrow as pa

from grokstudy.spec.errors import BadInput
from grokstudy.spec.rows import Status
from grokstudy.store.columns import DERIVED, explain
from grokstudy.store.counting import PART, PartFiles, database, literal, quoted
from grokstudy.store.folder import StudyFolder
from grokstudy.store.parts import PREFIXES, TYPES

__all__ = ["TrialState", "connect", "explain", "lock_down", "query", "read_trials"]

VIEWS = ("trials", "curves", "measures_long", "measures", "checkpoints")
ATTEMPTS = 5
"""Times that a reader lists parts anew when a compaction removes them under it."""
SECONDS = 5.0
"""Time limit of a query."""


def connect(folders: Sequence[StudyFolder]) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB with the views `trials`, `curves`, `measures`, `measures_long` and `checkpoints`.

    Parts are listed now: the views show the study as it is at this moment, also after more is written. (After a
    compaction they fail; connect again.) Every view shows the rows that count (`counting.RULES`). `measures` has one
    column per measure with the value under its default protocol: the one that was written first.

    Raises:
        DamagedFile: a part cannot be read.
    """
    return _connect(folders, VIEWS)


def lock_down(
    connection: duckdb.DuckDBPyConnection, folders: Sequence[StudyFolder], *, seconds: float = SECONDS
) -> None:
    """Leaves the connection nothing but the parts of these studies: no other file, no extension, no setting.

    The statement check of `query` is the other half: without it, COPY could still write over a part.
    """
    paths = [path for kind in PREFIXES for path in PartFiles.of(folders, kind).paths]
    connection.execute("SET temp_directory = ''")
    connection.execute("SET memory_limit = '1GB'")
    connection.execute(f"SET allowed_paths = [{', '.join(literal(str(path)) for path in paths)}]")
    connection.execute("SET enable_external_access = false")
    connection.execute(f"SET max_execution_time = {round(seconds * 1000)}")
    connection.execute("SET lock_configuration = true")


def query(connection: duckdb.DuckDBPyConnection, sql: str, limit: int) -> pa.Table:
    """At most `limit` rows of one SELECT (or EXPLAIN) on a connection that `lock_down` has closed.

    To see whether rows were cut off, ask for one more than is shown.

    Raises:
        BadInput: not exactly one SELECT, an SQL error, something forbidden, or out of time; one line that says which.
    """
    if not connection.execute("SELECT current_setting('lock_configuration')").fetchall()[0][0]:
        raise RuntimeError("query: call lock_down(connection, folders) first.")
    try:
        statement = _one_select(connection, sql)
        return connection.sql(statement).limit(limit).to_arrow_table()
    except duckdb.InterruptException:
        raise BadInput(
            "query: took too long and was stopped. Ask for less: fewer trials, or a WHERE on trial_id."
        ) from None
    except duckdb.Error as error:
        parts = connection.execute("SELECT current_setting('allowed_paths')").fetchall()[0][0]
        if not all(os.path.exists(part) for part in parts):
            raise BadInput("query: the study was compacted since it was opened; open it again.") from None
        raise BadInput(f"query: {_one_line(error)}") from None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TrialState:
    """How far a trial has come, by its counting row."""

    trial_id: str
    status: Status
    steps_run: int
    budget: int
    diverged_step: int | None
    t_gen: int | None
    seconds: float


def read_trials(folder: StudyFolder) -> list[TrialState]:
    """The counting row of every trial, for planning; ordered by trial_id.

    Raises:
        DamagedFile: a part of `trials/` cannot be read.
    """
    fields = [field.name for field in dataclasses.fields(TrialState)]
    for attempt in range(1, ATTEMPTS + 1):
        with _connect([folder], ("trials",)) as connection:
            try:
                rows = connection.execute(f"SELECT {', '.join(fields)} FROM trials ORDER BY trial_id").fetchall()
            except duckdb.IOException:  # compacted between listing and reading
                if attempt == ATTEMPTS:
                    raise
            else:
                return [TrialState(**dict(zip(fields, row, strict=True))) for row in rows]
    raise AssertionError("unreachable")


def _connect(folders: Sequence[StudyFolder], views: Sequence[str]) -> duckdb.DuckDBPyConnection:
    """A database with these views; parts are listed anew if a compaction removes them meanwhile."""
    for attempt in range(1, ATTEMPTS + 1):
        connection = database()
        try:
            for view in views:
                connection.execute(f"CREATE VIEW {view} AS {_definition(connection, folders, view)}")
        except (FileNotFoundError, duckdb.IOException):
            connection.close()
            if attempt == ATTEMPTS:
                raise
        except BaseException:
            connection.close()
            raise
        else:
            return connection
    raise AssertionError("unreachable")


def _definition(connection: duckdb.DuckDBPyConnection, folders: Sequence[StudyFolder], view: str) -> str:
    match view:
        case "trials":
            return _trials(PartFiles.of(folders, "trials"))
        case "curves":
            return _stored(PartFiles.of(folders, "curves"))
        case "checkpoints":
            return _stored(PartFiles.of(folders, "checkpoints"))
        case "measures_long":
            return _stored(PartFiles.of(folders, "measures"))
        case _:
            return _measures(connection, PartFiles.of(folders, "measures"))


def _stored(files: PartFiles) -> str:
    return f"SELECT * EXCLUDE (_path, _row) FROM ({files.counting()})"


def _trials(files: PartFiles) -> str:
    """Stored columns, derived ones and aliases. A config column without any value is text."""
    text = ", ".join(f"{quoted(path)}::VARCHAR AS {quoted(path)}" for path in files.valueless)
    stored = f"SELECT * {f'REPLACE ({text})' if text else ''} FROM ({_stored(files)})"
    derived = [f"{expression} AS {name}" for name, (expression, _) in DERIVED.items()]
    aliases = [f"{quoted(path)} AS {quoted(leaf)}" for leaf, path in _aliases(files.extra).items()]
    return f"SELECT *, {', '.join([*derived, *aliases])} FROM ({stored})"


def _aliases(paths: Sequence[str]) -> dict[str, str]:
    """Config path by leaf name, where one path only has the leaf and no column its name (SQL names ignore case)."""
    taken = {name.casefold() for name in (*TYPES["trials"], *DERIVED, *paths)}
    leaves = Counter(path.rpartition(".")[2].casefold() for path in paths)
    named = {path.rpartition(".")[2]: path for path in paths}
    return {leaf: path for leaf, path in named.items() if leaves[leaf.casefold()] == 1 and leaf.casefold() not in taken}


def _measures(connection: duckdb.DuckDBPyConnection, files: PartFiles) -> str:
    """One row per trial and step, one column per measure; the set of columns is fixed now."""
    defaults = connection.execute(
        f"""SELECT measure, protocol FROM ({files.counting()})
            QUALIFY row_number() OVER (PARTITION BY measure ORDER BY protocol = '', written_at, {PART}, _row) = 1
            ORDER BY measure"""
    ).fetchall()
    columns = [
        f"any_value(value) FILTER (measure = {literal(name)} AND protocol = {literal(protocol)}) AS {quoted(name)}"
        for name, protocol in defaults
    ]
    return f"SELECT {', '.join(['trial_id', 'step', *columns])} FROM measures_long GROUP BY trial_id, step"


def _one_select(connection: duckdb.DuckDBPyConnection, sql: str) -> duckdb.Statement:
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        raise BadInput(f"query: got {len(statements)} statements, must be exactly one SELECT.")
    statement = statements[0]
    if statement.type == duckdb.StatementType.EXPLAIN:
        # EXPLAIN ANALYZE runs what it explains, COPY included: what follows must be a SELECT by itself.
        inner = re.sub(r"^\s*explain(\s+analyze)?\b", "", sql, count=1, flags=re.IGNORECASE)
        explained = connection.extract_statements(inner)
        if len(explained) == 1 and explained[0].type == duckdb.StatementType.SELECT:
            return statement
    if statement.type != duckdb.StatementType.SELECT:
        kind = str(statement.type).rpartition(".")[2]
        raise BadInput(
            f"query: {kind} is not allowed, must be one SELECT: queries only read (views: {', '.join(VIEWS)})."
        )
    return statement


def _one_line(error: duckdb.Error) -> str:
    """DuckDB's message without the picture of the statement below it."""
    return " ".join(str(error).partition("\nLINE ")[0].split())
