"""Compaction: many parts become one, so that queries open few files."""

from __future__ import annotations

from grokstudy.store.counting import PartFiles, database
from grokstudy.store.folder import StudyFolder
from grokstudy.store.parts import ROW_GROUP, Kind, encode_batches, part_name, stamp_of

ABANDONED_SECONDS = 3600.0
"""Age at which an unfinished file is nobody's any more."""
ORDERS: dict[Kind, str] = {
    "trials": "trial_id",
    "curves": "trial_id, step",
    # The default protocol of a measure is the one written first: the order of writing must survive.
    "measures": "written_at, parse_filename(_path), _row",
}


def compact(folder: StudyFolder) -> int:
    """Writes the counting rows of trials, curves and measures as one part each, then deletes the parts they came from.

    A reader in between sees rows twice and the views count one; a crash in between costs disk space only. Call it with
    the study's lock held. Checkpoint indices stay, they are small.

    Returns:
        Number of parts removed.

    Raises:
        DamagedFile: a part cannot be read; the parts of its kind are left as they are.
    """
    removed = sum(_compact(folder, kind) for kind in ORDERS)
    folder.storage.sweep(folder.name, ABANDONED_SECONDS)
    return removed


def _compact(folder: StudyFolder, kind: Kind) -> int:
    sources = folder.parts(kind)
    if len(sources) < 2:
        return 0
    files = PartFiles.read({folder: sources}, kind)
    with database() as connection:
        reader = connection.sql(
            f"SELECT * EXCLUDE (_path, _row) FROM ({files.counting()}) ORDER BY {ORDERS[kind]}"
        ).to_arrow_reader(ROW_GROUP)
        data = encode_batches(reader.schema, reader)
    # Named like its newest source, so that a part written meanwhile still counts as newer.
    folder.put_bytes(part_name(kind, stamp_of(sources[-1])), data)
    folder.delete(sources)
    return len(sources)
