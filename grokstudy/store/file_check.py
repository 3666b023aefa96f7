"""One file of a study folder, read to its last byte: is it what was written?"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from grokstudy.spec import bounded_yaml
from grokstudy.store.cache import renew
from grokstudy.store.contents import FileKind, kind_of
from grokstudy.store.damage import wrong_schema
from grokstudy.store.folder import StudyFolder
from grokstudy.store.parts import Kind, digest_in, digest_of, refuse_nan
from grokstudy.store.seal import is_changed
from grokstudy.store.snapshots import SnapshotMeta, meta_in
from grokstudy.store.tensors_file import LENGTH, header_length, header_of

CHUNK = 16 << 20
"""Bytes of a checkpoint file in memory at a time."""
CHANGED = "its bytes are not those that were written"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FileCheck:
    """What was found when a file was read."""

    name: str
    kind: FileKind
    size: int
    """Bytes."""
    damage: str | None = None
    """Why it cannot be used; None if it is whole."""
    sha256: str | None = None
    """Of a checkpoint file."""
    lanes: int | None = None
    """Trials (or steps) stacked in a checkpoint file."""
    snapshot: SnapshotMeta | None = None


def check_file(folder: StudyFolder, name: str) -> FileCheck | None:
    """Reads the file itself, never a local copy of it; None if it is gone."""
    kind = kind_of(name)
    try:
        if kind == "weights":
            return _weights(folder, name)
        if kind == "report" or kind == "working" or kind == "quarantine" or kind == "unknown":
            return FileCheck(name=name, kind=kind, size=folder.storage.size(folder.key(name)))
        data = folder.storage.get(folder.key(name))
    except FileNotFoundError:
        return None
    if kind == "snapshot":
        return _snapshot(name, data)
    if kind == "settings":
        damage = _settings(data)
    elif kind == "ending" or kind == "gone":
        damage = _document(data)
    else:
        damage = _part(name, kind, data)
        renew(folder, name, data if damage is None else None)
    return FileCheck(name=name, kind=kind, size=len(data), damage=damage)


def _part(name: str, kind: Kind, data: bytes) -> str | None:
    """Why a part cannot be used: every page is decoded, and every value looked at."""
    if not data:
        return "an empty file"
    try:
        with pq.ParquetFile(io.BytesIO(data)) as file:
            damage = wrong_schema(file.schema_arrow, kind)
            for batch in file.iter_batches():
                refuse_nan(batch)
    except ValueError as error:  # ArrowInvalid is one too
        damage = str(error).partition("\n")[0] if "NaN" in str(error) else "it cannot be decoded"
    except (pa.ArrowException, OSError):
        damage = "it cannot be decoded"
    written = digest_in(name)
    return damage or (CHANGED if written is not None and written != digest_of(data) else None)


def _weights(folder: StudyFolder, name: str) -> FileCheck:
    """Digest and shapes of a checkpoint file, which may be larger than the memory."""
    size = folder.storage.size(folder.key(name))
    digest, head, lanes, damage = hashlib.sha256(), b"", None, None
    for chunk in _chunks(folder, name, size):
        digest.update(chunk)
        head = head or chunk
    try:
        length = header_length(head, size)
        text = head[LENGTH : LENGTH + length]
        if len(text) < length:
            text = folder.storage.get_range(folder.key(name), LENGTH, length)
        lanes = header_of(text, size).lanes()
        damage = "its tensors are not stacked over one number of lanes" if lanes is None else None
    except ValueError as error:
        damage = str(error)
    return FileCheck(name=name, kind="weights", size=size, damage=damage, sha256=digest.hexdigest(), lanes=lanes)


def _chunks(folder: StudyFolder, name: str, size: int) -> Iterator[bytes]:
    for start in range(0, size, CHUNK):
        yield folder.storage.get_range(folder.key(name), start, min(CHUNK, size - start))


def _snapshot(name: str, data: bytes) -> FileCheck:
    try:
        meta = meta_in(data)
    except ValueError as error:
        return FileCheck(name=name, kind="snapshot", size=len(data), damage=str(error))
    damage = None if name == f"snapshots/{meta.pack_id}.safetensors" else f"it is of pack {meta.pack_id}"
    return FileCheck(name=name, kind="snapshot", size=len(data), damage=damage, snapshot=meta)


def _settings(data: bytes) -> str | None:
    try:
        text = data.decode()
        document = bounded_yaml.load(text)
    except (UnicodeDecodeError, yaml.YAMLError):
        return "not readable text"
    if not isinstance(document, dict) or not {"name", "base", "axes", "sampler", "budget"} <= document.keys():
        return "not the settings of a study"
    return CHANGED if is_changed(text) else None


def _document(data: bytes) -> str | None:
    try:
        json.loads(data)
    except ValueError:
        return "not readable JSON"
    return None
