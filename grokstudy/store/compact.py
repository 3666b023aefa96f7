"""Compaction: many parts become one, so that queries open few files."""

from __future__ import annotations

import duckdb
import pyarrow as pa

from grokstudy.store.counting import PartFiles, database
from grokstudy.store.folder import StudyFolder
from grokstudy.store.parts import ROW_GROUP, SETTLED, Kind, encode_batches, part_name, stamp_of

ABANDONED_SECONDS = 3600.0
"""Age at which an unfinished file is nobody's any more."""
ORDERS: dict[Kind, str] = {
    "trials": "trial_id",
    "curves": "trial_id, step",
    # The default protocol of a measure is the one written first: the order of writing must survive.
    "measures": "written_at, parse_filename(_path), _row",
}


def compact(folder: StudyFolder, *, at_least: int = 2) -> int:
    """Writes the counting rows of trials, curves and measures as one part each, then deletes the parts they came from.

    A reader in between sees rows twice and the views count one; a crash in between costs disk space only. Call it with
    the study's lock held. Checkpoint indices stay, they are small. With a damaged part, the parts of its kind are left
    as they are: which of them are newer than its rows must still show when it comes back whole.

    Args:
        folder: the study.
        at_least: a kind with fewer parts than this is left as it is; 2 or more.

    Returns:
        Number of parts removed.
    """
    removed = sum(_compact(folder, kind, at_least) for kind in ORDERS)
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
    folder.put_bytes(part_name(kind, stamp_of(sources[-1])), data)
    folder.delete(sources)
    return len(sources)


def _encoded(files: PartFiles) -> bytes:
    """The rows that count, in order, as one part."""
    with database() as connection:
        reader = connection.sql(
            f"SELECT * EXCLUDE (_path, _row) FROM ({files.counting()}) ORDER BY {ORDERS[files.kind]}"
        ).to_arrow_reader(ROW_GROUP)
        return encode_batches(reader.schema.with_metadata(SETTLED), reader)
