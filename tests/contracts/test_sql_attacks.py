"""Attempts to reach anything but the views, to write, or to take the machine's time and memory: all refused."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from test_store_parts import NEVER, ROW, curve

from grokstudy.spec.errors import BadInput
from grokstudy.store.folder import StudyFolder
from grokstudy.store.sql import query

SECONDS = 0.5
"""Time limit here: attacks on time are to be many and quick."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    root = str(tmp_path_factory.mktemp("root"))
    folder = StudyFolder.open(root, "study")
    for one in (folder, StudyFolder.open(root, "other")):
        one.put_trials([ROW])
        one.put_trials([NEVER])
        one.put_curves([curve("a", [1.0, 2.0])])
        one.put_text("study.yaml", "name: study")
    return folder


FILES = [
    "FROM read_csv('/etc/passwd')",
    "FROM read_csv_auto('/etc/passwd')",
    "SELECT * FROM read_text('{folder}/study.yaml')",
    "FROM read_blob('{folder}/study.yaml')",
    "FROM read_parquet('{part}')",
    "FROM parquet_scan('{part}')",
    "FROM read_parquet('{folder}/trials/*.parquet')",
    "FROM read_parquet('{other}')",
    "FROM read_json('{folder}/study.yaml')",
    "FROM read_ndjson_objects('/etc/passwd')",
    "FROM read_duckdb('{folder}/a.db')",
    "FROM sniff_csv('/etc/passwd')",
    "FROM glob('/*')",
    "FROM glob('{folder}/*')",
    "FROM '/etc/passwd'",
    "FROM '{part}'",
    "FROM '{other}'",
    'FROM "{part}"',
    "FROM 'study.yaml'",
    "FROM '../other/trials/*.parquet'",
    "FROM '/proc/self/environ'",
    "FROM read_text('/proc/self/environ')",
    "FROM '~/.bashrc.csv'",
    "DESCRIBE '{other}'",
    "SUMMARIZE '{other}'",
    "SELECT (SELECT count(*) FROM '{other}')",
    "SELECT * FROM trials WHERE EXISTS (FROM read_csv('/etc/passwd'))",
    "WITH a AS (FROM read_csv('/etc/passwd')) FROM a",
    "FROM parquet_metadata('{part}')",
    "FROM parquet_kv_metadata('{part}')",
    "FROM 'http://127.0.0.1:9/x.parquet'",
    "FROM read_csv('https://127.0.0.1:9/x.csv')",
    "FROM 's3://bucket/x.parquet'",
    "FROM read_parquet('gcs://bucket/x.parquet')",
    "FROM read_parquet('hf://datasets/a/b.parquet')",
]
WRITES = [
    "COPY (SELECT 1) TO '{part}'",
    "COPY (SELECT 1) TO '{folder}/new.parquet'",
    "COPY trials TO '{folder}/trials/part-new.parquet'",
    "COPY trials FROM '{other}'",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{part}'",
    "EXPLAIN /**/ ANALYZE COPY (SELECT 1) TO '{part}'",
    "/**/ EXPLAIN ANALYZE COPY (SELECT 1) TO '{part}'",
    "EXPLAIN (ANALYZE) COPY (SELECT 1) TO '{part}'",
    "EXPLAIN\nANALYZE DROP VIEW trials",
    "EXPLAIN EXPLAIN ANALYZE COPY (SELECT 1) TO '{part}'",
    "FROM query('COPY (SELECT 1) TO ''{part}''')",
    "EXPORT DATABASE '{folder}/out'",
    "IMPORT DATABASE '{folder}/out'",
    "ATTACH '{folder}/other.db'",
    "ATTACH ':memory:' AS more",
    "DETACH memory",
    "INSERT INTO trials SELECT * FROM trials",
    "UPDATE trials SET seed = 1",
    "DELETE FROM trials",
    "TRUNCATE trials",
    "MERGE INTO trials USING curves ON true WHEN MATCHED THEN DELETE",
    "ALTER VIEW trials RENAME TO mine",
    "DROP VIEW trials",
    "CREATE TABLE t AS SELECT 1",
    "CREATE OR REPLACE VIEW trials AS SELECT 1",
    "CREATE TEMP VIEW v AS FROM '/etc/passwd'",
    "CREATE MACRO f() AS TABLE FROM read_csv('/etc/passwd')",
    "CREATE SECRET s (TYPE s3)",
    "CREATE SEQUENCE s",
    "CREATE TYPE mood AS ENUM ('a')",
    "COMMENT ON VIEW trials IS 'x'",
]
STATE = [
    "",
    ";",
    "-- nothing",
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP VIEW trials",
    "SELECT 1 /* ; */ ; -- x\n COPY (SELECT 1) TO '{part}'",
    "SELECT 1) UNION ALL (SELECT 2",
    "SELECT * FROM (trials) LIMIT 1) TO '{part}' --",
    "INSTALL httpfs",
    "LOAD httpfs",
    "FORCE INSTALL httpfs FROM 'http://127.0.0.1:9'",
    "LOAD '{folder}/evil.duckdb_extension'",
    "UPDATE EXTENSIONS",
    "SET threads = 1",
    "SET enable_external_access = true",
    "SET memory_limit = '100GB'",
    "RESET lock_configuration",
    "SET VARIABLE x = 1",
    "PRAGMA database_list",
    "PRAGMA memory_limit = '100GB'",
    "PRAGMA enable_profiling",
    "CALL enable_logging()",
    "CALL pragma_version()",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "DEALLOCATE p",
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "CHECKPOINT",
    "FORCE CHECKPOINT",
    "VACUUM",
    "ANALYZE",
    "USE memory",
    "SELECT $1",
    "SELECT ?",
]
ABOUT_THE_MACHINE = [
    "SELECT getenv('HOME')",
    "SELECT GetEnv('HOME')",
    "SELECT \"getenv\"('HOME')",
    "SELECT main.getenv('HOME')",
    "SELECT list_transform([1], lambda x: current_setting('allowed_paths'))",
    "SELECT current_setting('home_directory')",
    "SELECT getvariable('x')",
    "SELECT current_query()",
    "SELECT * FROM trials ORDER BY pg_sleep(1)",
    "SELECT sleep_ms(100)",
    "SELECT write_log('x')",
    "SELECT json_serialize_sql('SELECT 1')",
    "FROM json_execute_serialized_sql('{{}}')",
    "FROM duckdb_settings()",
    "FROM duckdb_settings",
    "FROM duckdb_secrets()",
    "FROM which_secret('s3://a', 's3')",
    "FROM duckdb_extensions()",
    "FROM duckdb_views()",
    "SELECT sql FROM duckdb_views",
    "FROM sqlite_master",
    "FROM information_schema.tables",
    "FROM pg_catalog.pg_settings",
    "FROM memory.information_schema.columns",
    "FROM duckdb_temporary_files()",
    "FROM duckdb_logs()",
    "FROM pragma_database_size()",
    "FROM enable_logging()",
    "FROM query('SELECT 1')",
    "FROM query_table('duckdb_settings')",
    "FROM query_table(['trials'])",
    "SHOW DATABASES",
    "SHOW ALL TABLES",
    "WITH duckdb_settings AS (FROM duckdb_settings) FROM duckdb_settings",
    "SELECT (WITH duckdb_settings AS (SELECT 1) FROM duckdb_settings), (SELECT count(*) FROM duckdb_settings)",
    "FROM secret",
    "FROM arrow_scan(1, 2, 3)",
    "FROM python_map_function(1)",
    "FROM st_read('/etc/passwd')",
    "FROM sql_auto_complete('SEL')",
    "FROM load_aws_credentials()",
    "SELECT http_get('http://127.0.0.1:9')",
    "FROM postgres_scan('host=127.0.0.1', 'a', 'b')",
    "FROM ｔrials",
    "SELECT ＇x＇; DROP VIEW trials",
    "SELECT 1\0; DROP VIEW trials",
    "\ud800",
]
TIME_AND_MEMORY = {
    "recursion without end": "WITH RECURSIVE t(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM t) SELECT count(*) FROM t",
    "doubling text": "WITH RECURSIVE t(s) AS (SELECT 'x' UNION ALL SELECT s || s FROM t) SELECT count(*) FROM t",
    "cross joins": "SELECT count(*) FROM range(1000000) a, range(1000000) b, range(1000) c",
    "cross joins of trials": "SELECT count(*) FROM " + ", ".join(f"(FROM trials, range(1000)) t{i}" for i in range(9)),
    "1e12 rows": "SELECT count(*) FROM generate_series(1, 1000000000000)",
    "sorting 1e12 rows": "SELECT i FROM range(1000000000000) r(i) ORDER BY random()",
    "a set of 1e12 rows": "SELECT count(DISTINCT i) FROM range(1000000000000) r(i)",
    "a list of 1e12 rows": "SELECT list(i) FROM range(1000000000000) r(i)",
    "a list in one call": "SELECT list_sum(range(2000000000))",
    "lists in lists": "SELECT len(flatten(list_transform(range(100000), lambda x: range(100000))))",
    "text in one call": "SELECT length(repeat('x', 4000000000))",
    "text in two calls": "SELECT length(repeat(repeat('x', 60000), 60000))",
    "padding": "SELECT length(lpad('x', 2000000000, 'y'))",
    "formatting": "SELECT length(printf('%2000000000d', 1))",
    "replacing": "SELECT length(replace(repeat('x', 100000), 'x', repeat('y', 100000)))",
    "joining text": "SELECT string_agg(repeat('x', 1000000), '') FROM range(1000000)",
    "distance of long texts": "SELECT levenshtein(repeat('a', 1000000), repeat('b', 1000000))",
    "a large hash table": "SELECT count(*) FROM range(1000000000) a(i) JOIN range(1000000000) b(i) USING (i)",
    "doubling CTEs": "WITH a0 AS (SELECT 1 x), "
    + ", ".join(f"a{i + 1} AS (FROM a{i} UNION ALL FROM a{i})" for i in range(40))
    + " SELECT count(*) FROM a40",
    "nested brackets": "SELECT " + "(" * 9000 + "1" + ")" * 9000,
    "nested subqueries": "FROM " + "(FROM " * 2000 + "range(1)" + ")" * 2000,
    "nested signs": "SELECT " + "- " * 9000 + "1",
    "a long text": "SELECT 1 IN (" + ", ".join(map(str, range(200_000))) + ")",
}
ATTACKS = [*FILES, *WRITES, *STATE, *ABOUT_THE_MACHINE]


@pytest.mark.parametrize("sql", ATTACKS, ids=[repr(sql)[1:60] for sql in ATTACKS])
def test_nothing_but_reading_the_views_is_allowed(folder: StudyFolder, sql: str) -> None:
    secret = pa.table({"x": [1]})
    before = everything(folder)
    other = StudyFolder(folder.storage, "other")
    names = {
        "part": folder.where(folder.parts("trials")[0]),
        "other": other.where(other.parts("trials")[0]),
        "folder": folder.where("").rstrip("/"),
    }
    with pytest.raises(BadInput, match=r"^query: .*\.") as error:
        query([folder], sql.format(**names), 10, seconds=SECONDS)
    assert len(str(error.value).splitlines()) in (1, 3), "a sentence, or one with the line and a caret"
    assert "/proc" not in str(error.value).splitlines()[0].replace("'/proc/self/environ'", "")
    assert everything(folder) == before
    assert still_answers(folder)
    assert len(secret) == 1


@pytest.mark.parametrize("attack", TIME_AND_MEMORY)
def test_time_and_memory_are_bounded(folder: StudyFolder, attack: str) -> None:
    before = everything(folder)
    with pytest.raises(BadInput, match=r"took too|nested too deeply|must be at most|maximum"):
        query([folder], TIME_AND_MEMORY[attack], 10, seconds=SECONDS)
    assert everything(folder) == before
    assert still_answers(folder)


def still_answers(folder: StudyFolder) -> bool:
    return query([folder], "SELECT count(*) AS n FROM trials", 1).to_pylist() == [{"n": 2}]


def everything(folder: StudyFolder) -> dict[str, bytes]:
    root = Path(folder.storage.uri)
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}
