"""Checkpoints: weights for measuring, one safetensors file per pack and step with the pack's trials as lanes.

With `checkpoint.state` the optimizer's state lies beside the weights, under names that start with `optimizer.`: whoever
reads weights does not see it.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import safetensors
import safetensors.torch
from jaxtyping import Float
from torch import Tensor

from grokstudy.spec.errors import DamagedFile
from grokstudy.spec.rows import CheckpointRow
from grokstudy.store.cache import forget, local_files
from grokstudy.store.folder import StudyFolder
from grokstudy.store.views import connect

Kind = Literal["scheduled", "ring", "end"]
STATE = "optimizer."
"""Start of the names of optimizer state: flat tensors [lanes, size] beside the weights."""


def put_checkpoint(
    folder: StudyFolder,
    pack_id: str,
    step: int,
    tensors: Mapping[str, Tensor],
    trial_ids: Sequence[str],
    kinds: Sequence[Kind],
) -> list[CheckpointRow]:
    """Stores one step of a pack; give the rows to `StudyFolder.put_index`.

    Args:
        tensors: by name, each stacked over the pack's lanes along its first axis.
        trial_ids: trial of each lane.
        kinds: why the checkpoint is kept, for each lane.
    """
    _check_lanes(tensors, len(trial_ids))
    file, sha256 = _put_once(folder, f"checkpoints/{pack_id}/step-{step:08d}", tensors)
    return [
        CheckpointRow(trial_id=trial_id, step=step, file=file, lane=lane, sha256=sha256, kind=kind)
        for lane, (trial_id, kind) in enumerate(zip(trial_ids, kinds, strict=True))
    ]


def put_ring(
    folder: StudyFolder, pack_id: str, trial_id: str, tensors: Mapping[str, Tensor], steps: Sequence[int]
) -> list[CheckpointRow]:
    """Stores the steps around one trial's transition in one file; lane = index of the step in `steps`.

    Args:
        tensors: by name, each stacked over `steps` along its first axis.
    """
    _check_lanes(tensors, len(steps))
    file, sha256 = _put_once(folder, f"checkpoints/{pack_id}/ring-{trial_id}", tensors)
    return [
        CheckpointRow(trial_id=trial_id, step=step, file=file, lane=lane, sha256=sha256, kind="ring")
        for lane, step in enumerate(steps)
    ]


def checkpoints(folder: StudyFolder) -> list[CheckpointRow]:
    """One row per trial and step, ordered so; of several kinds the first of scheduled, end, ring."""
    return _rows(folder, "ORDER BY trial_id, step", [])


def checkpoints_of(folder: StudyFolder, trial_id: str) -> dict[int, CheckpointRow]:
    """The checkpoints of one trial by rising step."""
    return {row.step: row for row in _rows(folder, "WHERE trial_id = ? ORDER BY step", [trial_id])}


def load_lane(folder: StudyFolder, row: CheckpointRow) -> dict[str, Tensor]:
    """One trial's weights by name; only that lane is read, after the file's digest was verified once.

    Raises:
        DamagedFile: the file is missing or is not the one that was written.
    """
    with _opened(folder, row) as file:
        return {name: file.get_slice(name)[row.lane].clone() for name in _names(file) if not name.startswith(STATE)}


def load_state(folder: StudyFolder, row: CheckpointRow) -> dict[str, Float[Tensor, " size"]]:
    """The optimizer state beside one trial's weights, by the optimizer's own names; empty if it was not kept.

    Raises:
        DamagedFile: as `load_lane`.
    """
    with _opened(folder, row) as file:
        kept = [name for name in _names(file) if name.startswith(STATE)]
        return {name.removeprefix(STATE): file.get_slice(name)[row.lane].clone() for name in kept}


def lane_shapes(folder: StudyFolder, row: CheckpointRow) -> dict[str, tuple[int, ...]]:
    """Shape of every tensor of one lane, optimizer state included; no tensor is read.

    Raises:
        DamagedFile: as `load_lane`.
    """
    with _opened(folder, row) as file:
        return {name: tuple(file.get_slice(name).get_shape()[1:]) for name in _names(file)}


def _rows(folder: StudyFolder, clause: str, values: Sequence[str]) -> list[CheckpointRow]:
    with connect([folder]) as connection:
        rows = connection.execute(
            f"SELECT trial_id, step, file, lane, sha256, kind FROM checkpoints {clause}", list(values)
        ).fetchall()
    return [
        CheckpointRow(trial_id=trial_id, step=step, file=file, lane=lane, sha256=sha256, kind=kind)
        for trial_id, step, file, lane, sha256, kind in rows
    ]


def _opened(folder: StudyFolder, row: CheckpointRow) -> Any:
    """The file as a context manager, its digest verified once per process."""
    try:
        path = local_files(folder, [row.file], version=f"@{row.sha256}")[0]
        state = path.stat()
    except FileNotFoundError:
        raise _damaged(folder, row, "is missing") from None
    if _sha256(path, state.st_mtime_ns, state.st_size) != row.sha256:
        forget(folder, row.file, path)
        raise _damaged(folder, row, "is not what was written (its sha256 differs)")
    return safetensors.safe_open(path, framework="pt")


def _names(file: Any) -> list[str]:
    return list(file.keys())


def _put_once(folder: StudyFolder, stem: str, tensors: Mapping[str, Tensor]) -> tuple[str, str]:
    """(name, sha256) of the file. What rows point to is never rewritten: other content gets a name of its own."""
    data = safetensors.torch.save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    sha256 = hashlib.sha256(data).hexdigest()
    name = f"{stem}.safetensors"
    if not folder.storage.create(folder.key(name), data) and folder.get_bytes(name) != data:
        name = f"{stem}-{sha256[:12]}.safetensors"
        folder.put_bytes(name, data)
    return name, sha256


def _check_lanes(tensors: Mapping[str, Tensor], lanes: int) -> None:
    for name, tensor in tensors.items():
        if tensor.ndim == 0 or len(tensor) != lanes:
            raise ValueError(
                f"checkpoint tensor '{name}' has shape {tuple(tensor.shape)}, must be stacked over {lanes} lanes."
            )


@functools.lru_cache(maxsize=4096)
def _sha256(path: Path, modified: int, size: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _damaged(folder: StudyFolder, row: CheckpointRow, what: str) -> DamagedFile:
    return DamagedFile(
        f"{folder.where(row.file)}: this checkpoint file {what}; lost is step {row.step} of trial "
        f"{row.trial_id} (and of the trials beside it). Other steps can still be measured; to have it again, copy the "
        "file from a backup or run the trial in a study of another name."
    )
