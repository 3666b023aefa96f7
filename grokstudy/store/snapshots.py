"""Snapshots: the full state of a pack for resuming, one safetensors file per pack, overwritten as a whole."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import warnings
from collections.abc import Mapping

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from grokstudy.spec.errors import DamagedFile
from grokstudy.store.folder import StudyFolder
from grokstudy.store.tensors_file import LENGTH, Header, header_length, header_of

FOLDER = "snapshots"
META = "grokstudy"
"""Key of the JSON text in the file's metadata."""
SEAL = "sha256"
"""Key of the file's digest in its metadata, computed with zeros in the digest's place."""
_BLANK = "0" * 64


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotMeta:
    """What a snapshot says of itself."""

    pack_id: str
    step: int
    trial_ids: tuple[str, ...]
    written_at: str
    """UTC, ISO 8601."""
    numerics: str
    """Mode the bits depend on: a pack is only resumed in the mode it was begun in."""
    updates: int = 0
    """Made by all members together so far."""
    ended: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Outcomes of the pack's trials that had ended by then, which a start from here does not step again."""


def put_snapshot(folder: StudyFolder, pack_id: str, tensors: Mapping[str, Tensor], meta: SnapshotMeta) -> None:
    """Replaces the pack's snapshot; a reader (or a crash) sees the old one or the new one."""
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = {META: json.dumps(dataclasses.asdict(meta)), SEAL: _BLANK}
    folder.put_bytes(_name(pack_id), _sealed(safetensors.torch.save(whole, metadata=metadata)))


def snapshots(folder: StudyFolder) -> list[SnapshotMeta]:
    """Every whole snapshot, ordered by pack_id; only headers are read.

    A damaged one is left out with a warning: it costs the time since the pack's start, never results.
    """
    found = []
    for name in folder.names(FOLDER):
        try:
            found.append(_read_meta(folder, name))
        except FileNotFoundError:  # deleted since it was listed
            continue
        except DamagedFile as error:
            warnings.warn(str(error), stacklevel=2)
    return found


def snapshot_meta(folder: StudyFolder, pack_id: str) -> SnapshotMeta | None:
    """What the pack's snapshot says of itself; None if there is none. A damaged one counts as none, with a warning."""
    try:
        return _read_meta(folder, _name(pack_id))
    except FileNotFoundError:
        return None
    except DamagedFile as error:
        warnings.warn(str(error), stacklevel=2)
        return None


def get_snapshot(folder: StudyFolder, pack_id: str) -> tuple[SnapshotMeta, dict[str, Tensor]]:
    """The state of a pack.

    Raises:
        FileNotFoundError: it has no snapshot.
        DamagedFile: the file is not what was written.
    """
    name = _name(pack_id)
    data = folder.storage.get(folder.key(name))
    try:
        return meta_in(data), safetensors.torch.load(data)
    except (ValueError, SafetensorError) as error:
        raise _damaged(folder, name, str(error)) from error


def delete_snapshot(folder: StudyFolder, pack_id: str) -> None:
    """Removes the pack's snapshot, if there is one."""
    folder.delete([_name(pack_id)])


def meta_in(data: bytes) -> SnapshotMeta:
    """What the bytes of a snapshot say of themselves, after checking every one of them.

    Raises:
        ValueError: they are not those of a whole snapshot; says why.
    """
    header = _header(data[:LENGTH], data[LENGTH : LENGTH + header_length(data, len(data))], len(data))
    if header.metadata.keys() == {META, SEAL}:
        seal = header.metadata[SEAL]
        if seal != _digest(data, header.start, seal):
            raise ValueError("its bytes are not those that were written")
    elif header.metadata.keys() != {META}:  # what was written before snapshots had a digest
        raise ValueError("its header is not readable (no digest)")
    return _meta(header)


def _name(pack_id: str) -> str:
    return f"{FOLDER}/{pack_id}.safetensors"


def _read_meta(folder: StudyFolder, name: str) -> SnapshotMeta:
    """From the header alone."""
    key = folder.key(name)
    size = folder.storage.size(key)
    try:
        first = folder.storage.get_range(key, 0, LENGTH) if size >= LENGTH else b""
        return _meta(_header(first, folder.storage.get_range(key, LENGTH, header_length(first, size)), size))
    except ValueError as error:
        raise _damaged(folder, name, str(error)) from error


def _header(first: bytes, text: bytes, size: int) -> Header:
    header_length(first, size)
    return header_of(text, size)


def _meta(header: Header) -> SnapshotMeta:
    try:
        meta = json.loads(header.metadata[META])
        return SnapshotMeta(**{**meta, "trial_ids": tuple(meta["trial_ids"])})
    except (KeyError, TypeError) as error:
        raise ValueError(f"it does not say whose it is ({error})") from error


def _sealed(data: bytes) -> bytes:
    """The file with its digest in place of the zeros."""
    start = LENGTH + header_length(data, len(data))
    at = _place(data, start, _BLANK)
    return b"".join((data[:at], hashlib.sha256(data).hexdigest().encode(), memoryview(data)[at + len(_BLANK) :]))


def _digest(data: bytes, start: int, seal: str) -> str:
    at = _place(data, start, seal)
    digest = hashlib.sha256(data[:at])
    digest.update(_BLANK.encode())
    digest.update(memoryview(data)[at + len(seal) :])
    return digest.hexdigest()


def _place(data: bytes, start: int, seal: str) -> int:
    """Where the digest stands in the header."""
    before = f'"{SEAL}":"'.encode()
    at = data.find(before + seal.encode(), 0, start)
    if at < 0:
        raise ValueError("its header is not readable (no digest)")
    return at + len(before)


def _damaged(folder: StudyFolder, name: str, reason: str) -> DamagedFile:
    return DamagedFile(
        f"{folder.where(name)}: this snapshot is damaged ({reason}). Lost is computing time only: "
        f"its trials start again; the next snapshot replaces it, or `grokstudy store check {folder.name} --repair` "
        "moves it away."
    )
