"""The process that runs a stranger's SQL: no files but the parts it is given, no network, little memory.

Started as a script of its own (it imports nothing of this package), because a single SQL function can take any time and
memory without noticing a limit from inside. One request and one answer at a time, each as its length and its bytes:
a JSON request on stdin; on stdout JSON {"error": None or [type, message]} and the rows as an Arrow stream.
"""

from __future__ import annotations

import contextlib
import functools
import json
import sys
from collections.abc import Mapping
from typing import Any, BinaryIO

import duckdb
import pyarrow as pa

try:
    import resource
except ImportError:  # Windows has no such limits; DuckDB's own remain
    resource = None  # type: ignore[assignment]

PROCESS_BYTES = 2 << 30
"""Memory that the process may write to. DuckDB's own limit is lower: what it does not count is single huge values."""
MEMORY = "1GB"
THREADS = 2
BATCH = 65_536
"""Rows that are fetched at a time."""


def read_block(source: BinaryIO) -> bytes:
    """One block of bytes. Raises EOFError when the other side is gone."""
    head = source.read(8)
    size = int.from_bytes(head, "big")
    data = source.read(size) if len(head) == 8 else b""
    if len(head) < 8 or len(data) < size:
        raise EOFError
    return data


def write_block(target: BinaryIO, data: bytes | pa.Buffer) -> None:
    """Sends one block of bytes."""
    target.write(len(data).to_bytes(8, "big"))
    target.write(data)
    target.flush()


def main() -> None:
    """Answers requests until stdin ends."""
    if resource is not None:
        with contextlib.suppress(ValueError, OSError):  # not every system lets the limit be set
            resource.setrlimit(resource.RLIMIT_DATA, (PROCESS_BYTES, PROCESS_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for sign in (b"ready", b""):
        write_block(sys.stdout.buffer, sign)
    while True:
        try:
            request = json.loads(read_block(sys.stdin.buffer))
        except EOFError:
            return
        error: list[str] | None = None
        rows: bytes | pa.Buffer = b""
        try:
            rows = _answer(request)
        except (duckdb.Error, MemoryError, pa.ArrowException, RuntimeError, ValueError) as problem:
            error = [type(problem).__name__, str(problem)]
        write_block(sys.stdout.buffer, json.dumps({"error": error}).encode())
        write_block(sys.stdout.buffer, rows)


def _answer(request: Mapping[str, Any]) -> pa.Buffer:
    """At most `limit` rows of the statement, as an Arrow stream."""
    views = tuple(request["views"].items())
    with _database(views, tuple(request["paths"]), request["seconds"]).cursor() as connection:
        sink, left = pa.BufferOutputStream(), request["limit"]
        reader = connection.sql(request["sql"]).to_arrow_reader(min(BATCH, max(left, 1)))
        with pa.ipc.new_stream(sink, reader.schema) as writer:
            while left > 0 and (batch := next(reader, None)) is not None:  # the rest is never computed
                writer.write_batch(batch.slice(0, left))
                left -= batch.num_rows
        reader.close()
    return sink.getvalue()


@functools.lru_cache(maxsize=1)
def _database(views: tuple[tuple[str, str], ...], paths: tuple[str, ...], seconds: float) -> duckdb.DuckDBPyConnection:
    """The views, in a database that can reach nothing but these files; kept until others are asked for."""
    connection = duckdb.connect(
        ":memory:",
        config={
            "threads": THREADS,
            "memory_limit": MEMORY,
            "python_enable_replacements": False,
            "autoload_known_extensions": False,
            "autoinstall_known_extensions": False,
            "allow_community_extensions": False,
            "temp_directory": "",
            "max_temp_directory_size": "0KB",
        },
    )
    for name, text in views:
        connection.execute(f"CREATE VIEW {name} AS {text}")
    quoted = ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
    connection.execute(f"SET allowed_paths = [{quoted}]")
    connection.execute("SET enable_external_access = false")
    connection.execute(f"SET max_execution_time = {round(seconds * 1000)}")
    connection.execute("SET GLOBAL errors_as_json = true")
    connection.execute("SET parquet_metadata_cache = true")
    connection.execute("SET lock_configuration = true")
    return connection


if __name__ == "__main__":
    main()
