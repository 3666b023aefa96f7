"""Compaction: many parts become one, so that queries open few files."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Collection

import duckdb
import pyarrow as pa

from grokstudy.store.counting import PartFiles, database, literal
from grokstudy.store.folder import StudyFolder
from grokstudy.store.parts import ROW_GROUP, SETTLED, Kind, encode_batches, stamp_of

ABANDONED_SECONDS = 3600.0
"""Age at which an unfinished file is nobody's any more."""
AT_A_TIME = 100_000
"""Rows that are sorted together, at the least: 150 MB for curves (with 2,000,000 it was 400 MB for 750,000 rows)."""
SLICES = 32
"""At the most: each of them reads all parts."""
ORDERS: dict[Kind, str] = {
    "trials": "trial_id",
    "curves": "trial_id, step",
    # The default protocol of a measure is the one written first: the order of writing must survive.
    "measures": "written_at, parse_filename(_path), _row",
    "proposals": "number",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PartsOfKind:
    """How many parts of a kind a study has."""

    kind: Kind
    parts: int
    size: int
    """Bytes."""
    damaged: int
    """Parts that cannot be read, for which the others wait."""

    @property
    def is_due(self) -> bool:
        """Whether compaction would make them one."""
        return self.parts > 1 and not self.damaged


def parts_now(folder: StudyFolder) -> tuple[PartsOfKind, ...]:
    """The parts of every kind that `compact` makes one."""
    found = []
    for kind in ORDERS:
        names = folder.parts(kind)
        damaged = PartFiles.read({folder: names}, kind).damaged
        size = sum(folder.storage.size(folder.key(name)) for name in names)
        found.append(PartsOfKind(kind=kind, parts=len(names), size=size, damaged=len(damaged)))
    return tuple(found)


def compact(folder: StudyFolder, *, at_least: int = 2, kinds: Collection[Kind] = tuple(ORDERS)) -> int:
    """Writes the counting rows of trials, curves, measures and proposals as one part each, then deletes their sources.

    A reader in between sees rows twice and the views count one; a crash in between costs disk space only. Call it with
    the study's lock held. Checkpoint indices stay, they are small. With a damaged part, the parts of its kind are left
    as they are: which of them are newer than its rows must still show when it comes back whole.

    Args:
        folder: the study.
        at_least: a kind with fewer parts than this is left as it is; 2 or more.
        kinds: those to compact.

    Returns:
        Number of parts removed.
    """
    removed = sum(_compact(folder, kind, at_least) for kind in kinds)
    folder.storage.sweep(folder.name, ABANDONED_SECONDS)
    return removed


def _compact(folder: StudyFolder, kind: Kind, at_least: int) -> int:
    sources = folder.parts(kind)
    if len(sources) < max(at_least, 2):
        return 0
    files = PartFiles.read({folder: sources}, kind)
    if files.damaged:
        return 0
    try:
        data = _encoded(files)
    except (
        duckdb.Error,
        pa.ArrowException,
        OSError,
    ):  # damaged behind its footer, or too large for the memory: the parts as they are lose nothing
        return 0
    # Named like its newest source, so that a part written meanwhile still counts as newer.
    folder.put_part(kind, data, stamp_of(sources[-1]))
    folder.delete(sources)
    return len(sources)


def _encoded(files: PartFiles) -> bytes:
    """The rows that count, in order, as one part."""
    with database() as connection:
        readers = (_sorted_rows(connection, files, some) for some in _slices(connection, files))
        first = next(readers)
        return encode_batches(
            first.schema.with_metadata(SETTLED), itertools.chain(first, itertools.chain.from_iterable(readers))
        )


def _sorted_rows(connection: duckdb.DuckDBPyConnection, files: PartFiles, condition: str) -> pa.RecordBatchReader:
    return connection.sql(
        f"SELECT * EXCLUDE (_path, _row) FROM ({files.counting()}) WHERE {condition} ORDER BY {ORDERS[files.kind]}"
    ).to_arrow_reader(ROW_GROUP)


def _slices(connection: duckdb.DuckDBPyConnection, files: PartFiles) -> list[str]:
    """Conditions that cut the rows where their order allows it, so that few are in memory together."""
    if not ORDERS[files.kind].startswith("trial_id"):
        return ["true"]
    query = f"SELECT trial_id, count(*) FROM ({files.all_rows()}) GROUP BY ALL ORDER BY 1"
    counted = connection.execute(query).fetchall()
    together = max(AT_A_TIME, sum(count for _, count in counted) // SLICES)
    lasts, rows = [], 0
    for trial_id, count in counted:
        rows += count
        if rows >= together:
            lasts.append(literal(trial_id))
            rows = 0
    after = ["true", *(f"trial_id > {last}" for last in lasts)]
    until = [*(f"trial_id <= {last}" for last in lasts), "true"]
    return [f"{low} AND {high}" for low, high in zip(after, until, strict=True)]
