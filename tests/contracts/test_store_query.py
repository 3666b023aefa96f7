"""SQL that a stranger may run: reads the views and nothing else, in bounded time, with errors of one line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from test_store_parts import NEVER, ROW

from grokstudy.spec.errors import BadInput
from grokstudy.store.compact import compact
from grokstudy.store.folder import StudyFolder
from grokstudy.store.views import connect, lock_down, query


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudyFolder:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = StudyFolder.open(str(tmp_path / "root"), "study")
    folder.put_trials([ROW])
    folder.put_trials([NEVER])
    return folder


@pytest.fixture
def connection(folder: StudyFolder) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect([folder]) as connection:
        lock_down(connection, [folder], seconds=0.5)
        yield connection


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT trial_id FROM trials ORDER BY trial_id", [("a",), ("n",)]),
        ("SELECT trial_id FROM trials ORDER BY trial_id DESC;", [("n",), ("a",)]),
        ("SELECT 1 -- a comment", [(1,)]),
        ("WITH one AS (SELECT 1) FROM one", [(1,)]),
        ("FROM trials SELECT count(*) FILTER (NOT censored)", [(1,)]),
        ("SELECT seed, seed FROM trials LIMIT 1", [(1, 1)]),
        ("SELECT count(*) FROM curves", [(0,)]),
    ],
)
def test_reading_works(connection: duckdb.DuckDBPyConnection, sql: str, rows: list[tuple[object, ...]]) -> None:
    found = query(connection, sql, 10)
    assert list(zip(*(column.to_pylist() for column in found.columns), strict=True)) == rows


@pytest.mark.parametrize("sql", ["DESCRIBE trials", "SHOW TABLES", "SUMMARIZE trials", "EXPLAIN SELECT 1"])
def test_questions_about_the_views_work(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    assert query(connection, sql, 10).num_rows > 0


def test_explain_analyze_of_a_select_works(connection: duckdb.DuckDBPyConnection) -> None:
    assert query(connection, "explain analyze SELECT * FROM trials", 10).num_rows == 1


def test_no_more_than_the_limit_is_returned(connection: duckdb.DuckDBPyConnection) -> None:
    assert query(connection, "SELECT * FROM range(1000)", 10).column(0).to_pylist() == list(range(10))


ATTACKS = [
    "",
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP VIEW trials",
    "SELECT 1) UNION ALL (SELECT 2",
    "DROP VIEW trials",
    "INSERT INTO trials SELECT * FROM trials",
    "CREATE TABLE t AS SELECT 1",
    "COPY (SELECT 1) TO '{part}'",
    "COPY (SELECT 1) TO '{folder}/new.parquet'",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{part}'",
    "EXPLAIN /**/ ANALYZE COPY (SELECT 1) TO '{part}'",
    "/**/ EXPLAIN ANALYZE COPY (SELECT 1) TO '{part}'",
    "EXPLAIN (ANALYZE) COPY (SELECT 1) TO '{part}'",
    "EXPLAIN\nANALYZE DROP VIEW trials",
    "FROM query('COPY (SELECT 1) TO ''{part}''')",
    "FROM read_csv('/etc/passwd')",
    "FROM read_text('{folder}/study.yaml')",
    "FROM read_parquet('{folder}/trials/*.parquet')",
    "FROM glob('/*')",
    "FROM '/etc/passwd'",
    "FROM 'https://127.0.0.1/x.parquet'",
    "SELECT getenv('HOME')",
    "ATTACH '{folder}/other.db'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET threads = 1",
    "SET enable_external_access = true",
    "RESET lock_configuration",
    "PRAGMA database_list",
    "EXPORT DATABASE '{folder}/out'",
    "PREPARE p AS SELECT 1",
    "CALL enable_logging()",
    "FROM enable_logging()",
]


@pytest.mark.parametrize("sql", ATTACKS)
def test_everything_else_is_refused_in_one_line_and_changes_nothing(
    folder: StudyFolder, connection: duckdb.DuckDBPyConnection, sql: str
) -> None:
    folder.put_text("study.yaml", "name: study")
    before = everything(folder)
    part = folder.where(folder.parts("trials")[0])
    with pytest.raises(BadInput) as error:
        query(connection, sql.format(part=part, folder=folder.where("").rstrip("/")), 10)
    assert str(error.value).startswith("query: ")
    assert "\n" not in str(error.value)
    assert everything(folder) == before
    assert query(connection, "SELECT count(*) FROM trials", 1).column(0).to_pylist() == [2]


def everything(folder: StudyFolder) -> dict[str, bytes | None]:
    return {name: folder.get_bytes(name) for name in folder.names("")}


def test_python_variables_are_not_tables(connection: duckdb.DuckDBPyConnection) -> None:
    secret = pa.table({"x": [1]})
    with pytest.raises(BadInput, match="secret does not exist"):
        query(connection, "FROM secret", secret.num_rows)


def test_a_query_that_does_not_end_is_ended(connection: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(BadInput, match="took too long"):
        query(connection, "SELECT count(*) FROM range(1000000) a, range(1000000) b, range(1000) c", 10)
    assert query(connection, "SELECT 1", 1).num_rows == 1


def test_a_misspelt_column_gets_the_nearest_names(connection: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(BadInput, match=r'Referenced column "steps_ran" not found.*"steps_run"'):
        query(connection, "SELECT steps_ran FROM trials", 10)


def test_an_open_connection_is_not_queried(folder: StudyFolder) -> None:
    with connect([folder]) as connection, pytest.raises(RuntimeError, match="lock_down"):
        query(connection, "SELECT 1", 1)


def test_after_a_compaction_the_reader_is_told_to_open_again(
    folder: StudyFolder, connection: duckdb.DuckDBPyConnection
) -> None:
    compact(folder)
    with pytest.raises(BadInput, match="open it again"):
        query(connection, "SELECT * FROM trials", 10)
