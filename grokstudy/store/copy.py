"""Copying a study, or some of its trials, into another study folder: the rows that count, and the files they name.

Sources are only read and need no lock: parts never change. Read `trials` first, as its rows are written last: what is
read after them is all there. A compaction meanwhile removes parts, and they are listed again.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Collection, Iterator, Sequence

import duckdb
import pyarrow as pa

from grokstudy.spec.errors import DamagedFile
from grokstudy.spec.rows import CheckpointRow
from grokstudy.store.compact import ORDERS
from grokstudy.store.counting import PartFiles, database
from grokstudy.store.damage import ATTEMPTS, refuse
from grokstudy.store.folder import StudyFolder
from grokstudy.store.parts import ROW_GROUP, SETTLED, Kind, encode_batches


def copy_rows(
    source: StudyFolder,
    target: StudyFolder,
    kind: Kind,
    trial_ids: Collection[str],
    columns: Collection[str] | None = None,
) -> None:
    """Writes the counting rows of these trials into the target as one part.

    Args:
        source: the study that is read.
        target: the study that is written.
        kind: of rows.
        trial_ids: the trials.
        columns: those whose values are kept, the others are NULL; None = all.

    Raises:
        DamagedFile: a part of the source cannot be read: the copy would lack rows without showing it.
    """
    for attempt in range(1, ATTEMPTS + 1):
        try:
            data = _encoded(source, kind, trial_ids, columns)
        except (FileNotFoundError, duckdb.IOException):  # compacted between listing and reading
            if attempt == ATTEMPTS:
                raise
        else:
            target.put_part(kind, data)
            return


def copy_checkpoints(source: StudyFolder, target: StudyFolder, rows: Sequence[CheckpointRow]) -> None:
    """Copies the files of these checkpoints, each verified, and writes their index.

    Raises:
        DamagedFile: a file is missing or is not the one that was written.
    """
    files = {row.file: row.sha256 for row in rows}
    names = {file: _put_once(target, file, _verified(source, file, sha256)) for file, sha256 in files.items()}
    target.put_index([dataclasses.replace(row, file=names[row.file]) for row in rows])


def _encoded(source: StudyFolder, kind: Kind, trial_ids: Collection[str], columns: Collection[str] | None) -> bytes:
    files = PartFiles.of([source], kind)
    refuse(files.damaged)
    with database() as connection:
        connection.register("wanted", pa.table({"trial_id": pa.array(sorted(trial_ids), pa.string())}))
        reader = connection.sql(
            f"SELECT * EXCLUDE (_path, _row) FROM ({files.counting()}) SEMI JOIN wanted USING (trial_id) "
            f"ORDER BY {ORDERS[kind]}"
        ).to_arrow_reader(ROW_GROUP)
        # A column without any value keeps its open type, which unites with the type it has in other parts.
        empty = {name for name in reader.schema.names if columns is not None and name not in columns}
        empty |= set(files.valueless)
        types = [field.with_type(pa.null()) if field.name in empty else field for field in reader.schema]
        schema = pa.schema(types, SETTLED)
        return encode_batches(schema, _retyped(reader, schema))


def _retyped(batches: pa.RecordBatchReader, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        columns = [
            pa.nulls(len(batch)) if field.type == pa.null() else column
            for field, column in zip(schema, batch.columns, strict=True)
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _verified(source: StudyFolder, file: str, sha256: str) -> bytes:
    data = source.get_bytes(file)
    if data is not None and hashlib.sha256(data).hexdigest() == sha256:
        return data
    what = "is missing" if data is None else "is not what was written (its sha256 differs)"
    raise DamagedFile(
        f"{source.where(file)}: this checkpoint file {what}. Restore it from a backup, or leave the weights out "
        "(share --checkpoints none)."
    )


def _put_once(target: StudyFolder, name: str, data: bytes) -> str:
    """Name of the file in the target: other content under the same name gets a name of its own."""
    if target.storage.create(target.key(name), data) or target.get_bytes(name) == data:
        return name
    stem, _, suffix = name.rpartition(".")
    name = f"{stem}-{hashlib.sha256(data).hexdigest()[:12]}.{suffix}"
    target.put_bytes(name, data)
    return name
