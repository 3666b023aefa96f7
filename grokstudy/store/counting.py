"""Which rows count: SQL that reads parts and resolves several rows about one thing to one. The rule's only place."""

from __future__ import annotations

import atexit
import dataclasses
import functools
import os
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from grokstudy.spec.rows import RAISED
from grokstudy.store.cache import cache_root, local_files
from grokstudy.store.damage import footer_of
from grokstudy.store.damaged_part import DamagedPart
from grokstudy.store.folder import StudyFolder
from grokstudy.store.parts import TYPES, Kind

SQL_TYPES: Mapping[pa.DataType, str] = {
    pa.string(): "VARCHAR",
    pa.int64(): "BIGINT",
    pa.float64(): "DOUBLE",
    pa.list_(pa.float64()): "DOUBLE[]",
}
PART = "parse_filename(_path)"
"""A part's name, which sorts by time."""
NEWEST = f"{PART} DESC, _row DESC"
RULES: Mapping[Kind, tuple[str, str]] = {
    # Studies may share trials (equal settings): each keeps its row of the trial, while curves, measures and
    # checkpoints are functions of the trial and so exist once.
    "trials": (
        "parse_dirpath(_path), trial_id",
        f"steps_run DESC, (status = 'done') DESC, written_at DESC, {NEWEST}",
    ),
    "curves": ("trial_id, step", NEWEST),
    "measures": ("trial_id, step, measure, protocol", f"version DESC, written_at DESC, {NEWEST}"),
    "checkpoints": (
        "trial_id, step",
        f"CASE kind WHEN 'scheduled' THEN 0 WHEN 'end' THEN 1 ELSE 2 END, {NEWEST}",
    ),
    "proposals": ("parse_dirpath(_path), number", NEWEST),
}
"""What a row is about, and which of several rows about it comes first: that one counts."""
_RAISED = f"starts_with(coalesce(reason, ''), '{RAISED}')"
SUPERSEDED = f"{_RAISED} AND count(*) FILTER (NOT {_RAISED}) OVER (PARTITION BY trial_id, step, measure) > 0"
"""A measure that raised has no protocol; what it gave once it was repaired counts in its place."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PartFiles:
    """The parts of one kind as local files, and the columns they hold together."""

    kind: Kind
    paths: tuple[Path, ...]
    stored: frozenset[str]
    """Columns that at least one part has."""
    extra: tuple[str, ...]
    """Stored columns that are not fixed, sorted: the config paths of trials."""
    valueless: tuple[str, ...]
    """Those of `extra` without a value in any part, whose type is therefore open."""
    damaged: tuple[DamagedPart, ...]
    """Parts that are left out."""
    settled: bool
    """There is one part, and every row of it counts."""

    @classmethod
    def of(cls, folders: Sequence[StudyFolder], kind: Kind) -> PartFiles:
        """Every part of the studies that can be read.

        Raises:
            FileNotFoundError: a part was compacted away between listing and reading.
        """
        return cls.read({folder: folder.parts(kind) for folder in folders}, kind)

    @classmethod
    def read(cls, parts: Mapping[StudyFolder, Sequence[str]], kind: Kind) -> PartFiles:
        """Those of the parts that can be read, by their footers. Raises as `of`."""
        paths: list[Path] = []
        damaged: list[DamagedPart] = []
        types: dict[str, set[pa.DataType]] = {}
        settled: list[bool] = []
        for folder, names in parts.items():
            for name, path in zip(names, local_files(folder, names), strict=True):
                footer = footer_of(folder, name, path, kind)
                if isinstance(footer, DamagedPart):
                    damaged.append(footer)
                    continue
                paths.append(path)
                settled.append(footer.settled)
                for column, type_ in footer.types.items():
                    types.setdefault(column, set()).add(type_)
        extra = tuple(sorted(name for name in types if name not in TYPES[kind]))
        valueless = tuple(name for name in extra if types[name] == {pa.null()})
        return cls(
            kind=kind,
            paths=tuple(paths),
            stored=frozenset(types),
            extra=extra,
            valueless=valueless,
            damaged=tuple(damaged),
            settled=settled == [True],
        )

    def columns(self) -> list[str]:
        """Every column as it is selected from the files: NULL under its name where no part has it."""
        return [*map(self._column, TYPES[self.kind]), *map(quoted, self.extra)]

    def source(self) -> str:
        """Where `columns` of the rows that count are selected from."""
        if self.paths and self._all_count():
            return f"read_parquet([{self._files()}], union_by_name = true)"  # every SELECT around it takes its time
        return f"({self.counting()})"

    def counting(self) -> str:
        """SELECT of the rows that count, with `_path` and `_row` (file and position) beside the columns."""
        about, first = RULES[self.kind]
        if self._all_count():
            return self.all_rows()  # the window below costs several times as much as reading
        superseded = f" AND NOT ({SUPERSEDED})" if self.kind == "measures" else ""
        return f"{self.all_rows()} QUALIFY row_number() OVER (PARTITION BY {about} ORDER BY {first}) = 1{superseded}"

    def all_rows(self) -> str:
        """SELECT of every row of every part; without parts no rows, but all fixed columns."""
        columns = self.columns()
        if not self.paths:
            return f"SELECT {', '.join(columns)}, ''::VARCHAR AS _path, 0::BIGINT AS _row WHERE false"
        return (
            f"SELECT {', '.join(columns)}, _path, file_row_number AS _row FROM "
            f"read_parquet([{self._files()}], union_by_name = true, filename = '_path', file_row_number = true)"
        )

    def _all_count(self) -> bool:
        """Whether no row gives way to another one."""
        return self.settled or (self.kind == "trials" and _each_once(self))

    def _files(self) -> str:
        return ", ".join(literal(str(path)) for path in self.paths)

    def _column(self, name: str) -> str:
        """A fixed column; NULL where every part is older than the column."""
        type_ = SQL_TYPES[TYPES[self.kind][name]]
        return quoted(name) if name in self.stored else f"NULL::{type_} AS {quoted(name)}"


@functools.lru_cache(maxsize=1000)
def _each_once(files: PartFiles) -> bool:
    """Whether no trial has a second row in these parts, which never change: read once."""
    if not files.paths:
        return True
    about, _ = RULES[files.kind]
    with database() as connection:
        sql = f"SELECT count(*) = count(DISTINCT ({about})) FROM ({files.all_rows()})"
        return bool(connection.execute(sql).fetchall()[0][0])


def database() -> duckdb.DuckDBPyConnection:
    """A connection with nothing in it, that loads no extensions and does not see Python variables.

    All connections of a process share one in-memory database, and with it the footers of parts that one of them has
    read. What a connection makes must be TEMP, which the others do not see.
    """
    return database_of(os.getpid(), cache_root()).cursor()


MAKING = threading.RLock()
"""Held while a database or what all connections share in it is made: the first requests of a server come together."""


def database_of(process: int, cache: Path) -> duckdb.DuckDBPyConnection:
    """One database per process: a forked one must not use its parent's."""
    with MAKING:
        return _database_of(process, cache)


@functools.cache
def _database_of(process: int, cache: Path) -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect(
        ":memory:",
        config={
            "python_enable_replacements": False,
            "autoload_known_extensions": False,
            "autoinstall_known_extensions": False,
            "allow_community_extensions": False,
            "temp_directory": str(cache / "spill"),
        },
    )
    connection.execute("SET parquet_metadata_cache = true")  # parts never change
    return connection


atexit.register(_database_of.cache_clear)  # DuckDB complains of connections that outlive the interpreter


def quoted(name: str) -> str:
    """An SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """An SQL string."""
    return "'" + text.replace("'", "''") + "'"
