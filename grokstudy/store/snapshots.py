"""Snapshots: the full state of a pack for resuming, one safetensors file per pack, overwritten as a whole."""

from __future__ import annotations

import dataclasses
import json
import warnings
from collections.abc import Mapping

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from grokstudy.spec.errors import DamagedFile
from grokstudy.store.folder import StudyFolder

FOLDER = "snapshots"
META = "grokstudy"
"""Key of the JSON text in the file's metadata."""


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


def put_snapshot(folder: StudyFolder, pack_id: str, tensors: Mapping[str, Tensor], meta: SnapshotMeta) -> None:
    """Replaces the pack's snapshot; a reader (or a crash) sees the old one or the new one."""
    whole = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    data = safetensors.torch.save(whole, metadata={META: json.dumps(dataclasses.asdict(meta))})
    folder.put_bytes(_name(pack_id), data)


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


def get_snapshot(folder: StudyFolder, pack_id: str) -> tuple[SnapshotMeta, dict[str, Tensor]]:
    """The state of a pack.

    Raises:
        FileNotFoundError: it has no snapshot.
        DamagedFile: the file is not whole.
    """
    name = _name(pack_id)
    meta = _read_meta(folder, name)
    try:
        return meta, safetensors.torch.load(folder.storage.get(folder.key(name)))
    except SafetensorError as error:
        raise _damaged(folder, name, str(error)) from error


def delete_snapshot(folder: StudyFolder, pack_id: str) -> None:
    """Removes the pack's snapshot, if there is one."""
    folder.delete([_name(pack_id)])


def _name(pack_id: str) -> str:
    return f"{FOLDER}/{pack_id}.safetensors"


def _read_meta(folder: StudyFolder, name: str) -> SnapshotMeta:
    """From the header: 8 bytes of its length (little endian), then JSON with the metadata and every tensor's place."""
    key = folder.key(name)
    size = folder.storage.size(key)
    try:
        length = int.from_bytes(folder.storage.get_range(key, 0, 8), "little") if size >= 8 else 0
        if not 0 < length <= size - 8:
            raise ValueError(f"{size} bytes, its header is cut off")
        header = json.loads(folder.storage.get_range(key, 8, length))
        meta = json.loads(header.pop("__metadata__")[META])
        whole = 8 + length + max((tensor["data_offsets"][1] for tensor in header.values()), default=0)
        if size != whole:
            raise ValueError(f"{size} bytes, must be {whole}")
        return SnapshotMeta(**{**meta, "trial_ids": tuple(meta["trial_ids"])})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(folder, name, str(error)) from error


def _damaged(folder: StudyFolder, name: str, reason: str) -> DamagedFile:
    return DamagedFile(
        f"{folder.where(name)}: this snapshot is damaged ({reason}). Lost is computing time only: "
        "its trials start again; the next snapshot replaces it, or delete it."
    )
