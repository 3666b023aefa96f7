"""The views over the parts of one or more studies."""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import duckdb

from grokstudy.spec.rows import Status
from grokstudy.store.columns import DERIVED
from grokstudy.store.counting import PART, PartFiles, database, literal, quoted
from grokstudy.store.damage import ATTEMPTS, look_closer, warn
from grokstudy.store.damaged_part import DamagedPart
from grokstudy.store.folder import StudyFolder
from grokstudy.store.parts import TYPES, Kind
from grokstudy.store.shared_views import connected

Answer = TypeVar("Answer")
VIEWS = ("trials", "curves", "measures_long", "measures", "checkpoints", "proposals")
_SOURCES: dict[str, Kind] = {
    "trials": "trials",
    "curves": "curves",
    "measures_long": "measures",
    "measures": "measures",
    "checkpoints": "checkpoints",
    "proposals": "proposals",
}


def connect(folders: Sequence[StudyFolder]) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB with the views `trials`, `curves`, `measures`, `measures_long`, `checkpoints` and
    `proposals`.

    Parts are listed now: the views show the study as it is at this moment, also after more is written. After a
    compaction they fail (duckdb.IOException); `asked` then asks anew. Every view shows the rows that count
    (`counting.RULES`). `measures` has one column per measure with the value under its default protocol: the one that
    was written first.

    Damaged parts are left out, each with a `DamagedPartWarning`.
    """
    return _connect(folders, VIEWS)


def asked(
    folders: Sequence[StudyFolder],
    question: Callable[[duckdb.DuckDBPyConnection], Answer],
    views: Sequence[str] = VIEWS,
) -> Answer:
    """The answer to a question about the views of `connect`, which may be asked again.

    It is if parts were compacted away under it, or one proved to be damaged, which then is left out.
    """
    for attempt in range(1, ATTEMPTS + 1):
        with _connect(folders, views) as connection:
            try:
                return question(connection)
            except (FileNotFoundError, duckdb.Error):
                if attempt == ATTEMPTS:
                    raise
                look_closer(folders, attempt)
    raise AssertionError("unreachable")


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

    Damaged parts are left out, each with a `DamagedPartWarning`: their trials look as if they were never run.
    """
    fields = [field.name for field in dataclasses.fields(TrialState)]
    sql = f"SELECT {', '.join(fields)} FROM trials ORDER BY trial_id"
    rows = asked([folder], lambda connection: connection.execute(sql).fetchall(), ("trials",))
    return [TrialState(**dict(zip(fields, row, strict=True))) for row in rows]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Definitions:
    """What the views are, as the parts stand now."""

    texts: Mapping[str, str]
    """SELECT by view."""
    paths: tuple[Path, ...]
    """Local files that they read."""
    damaged: tuple[DamagedPart, ...]
    """Parts that they leave out."""


def definitions(folders: Sequence[StudyFolder], views: Sequence[str]) -> Definitions:
    """The views of these names.

    Raises:
        FileNotFoundError, duckdb.Error: a part was compacted away meanwhile, or is damaged behind its footer.
    """
    kinds = {kind: PartFiles.of(folders, kind) for kind in dict.fromkeys(_SOURCES[view] for view in views)}
    return Definitions(
        texts={view: _definition(view, kinds[_SOURCES[view]]) for view in views},
        paths=tuple(path for files in kinds.values() for path in files.paths),
        damaged=tuple(part for files in kinds.values() for part in files.damaged),
    )


def _connect(folders: Sequence[StudyFolder], views: Sequence[str]) -> duckdb.DuckDBPyConnection:
    """A database with these views; parts are listed anew if a compaction removes them meanwhile, or one is damaged."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            defined = definitions(folders, views)
            connection = connected(defined.texts)
        except (FileNotFoundError, duckdb.Error):
            if attempt == ATTEMPTS:
                raise
            look_closer(folders, attempt)
            continue
        try:
            warn(defined.damaged)
        except BaseException:  # warnings may be errors
            connection.close()
            raise
        return connection
    raise AssertionError("unreachable")


def _definition(view: str, files: PartFiles) -> str:
    match view:
        case "trials":
            return _trials(files)
        case "measures":
            return _measures(files)
        case _:
            return _stored(files)


def _stored(files: PartFiles) -> str:
    return f"SELECT {', '.join(files.columns())} FROM {files.source()}"


def _trials(files: PartFiles) -> str:
    """Stored columns, derived ones and aliases. A config column without any value is text."""
    text = {quoted(path): f"{quoted(path)}::VARCHAR AS {quoted(path)}" for path in files.valueless}
    stored = [text.get(column, column) for column in files.columns()]
    derived = [f"{expression} AS {name}" for name, (expression, _) in DERIVED.items()]
    aliases = [f"{quoted(path)} AS {quoted(leaf)}" for leaf, path in _aliases(files.extra).items()]
    return f"SELECT {', '.join([*stored, *derived, *aliases])} FROM {files.source()}"


def _aliases(paths: Sequence[str]) -> dict[str, str]:
    """Config path by leaf name, where one path only has the leaf and no column its name (SQL names ignore case)."""
    taken = {name.casefold() for name in (*TYPES["trials"], *DERIVED, *paths)}
    leaves = Counter(path.rpartition(".")[2].casefold() for path in paths)
    named = {path.rpartition(".")[2]: path for path in paths}
    return {leaf: path for leaf, path in named.items() if leaves[leaf.casefold()] == 1 and leaf.casefold() not in taken}


def _measures(files: PartFiles) -> str:
    """One row per trial and step, one column per measure; the set of columns is fixed now."""
    columns = [
        f"any_value(value) FILTER (measure = {literal(name)} AND protocol = {literal(protocol)}) AS {quoted(name)}"
        for name, protocol in _default_protocols(files)
    ]
    chosen = ", ".join(["trial_id", "step", *columns])
    return f"SELECT {chosen} FROM (SELECT * FROM ({files.counting()})) GROUP BY trial_id, step"


@functools.lru_cache(maxsize=1000)
def _default_protocols(files: PartFiles) -> list[tuple[str, str]]:
    """(measure, protocol) of every measure: the protocol that was written first. Parts never change: read once."""
    if not files.paths:
        return []
    with database() as connection:
        return connection.execute(
            f"""SELECT measure, protocol FROM ({files.counting()})
                QUALIFY row_number() OVER (PARTITION BY measure ORDER BY protocol = '', written_at, {PART}, _row) = 1
                ORDER BY measure"""
        ).fetchall()
