"""Taking what is damaged out of a study's way: moved aside with a note, rows and lanes left out. For the lock's holder.

Whatever is written comes first and what it replaces is deleted after it: a kill in between leaves both, and the next
check finds what is left to do.
"""

from __future__ import annotations

import dataclasses
import io
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from torch import Tensor

from grokstudy.spec.rows import FINAL, CheckpointRow
from grokstudy.store.cache import renew
from grokstudy.store.contents import QUARANTINE
from grokstudy.store.folder import StudyFolder
from grokstudy.store.parts import Kind, encode, stamp_of
from grokstudy.store.snapshots import SnapshotMeta, delete_snapshot, get_snapshot, put_snapshot

TIME = "%Y%m%dT%H%M%S%f"
WHY = ".txt"
"""Ending of the note beside a file."""


def quarantine(folder: StudyFolder, names: Mapping[str, str]) -> list[str]:
    """Moves files aside, each with a note of why and when; names of the copies.

    Args:
        names: by name, why it cannot be used.
    """
    now = datetime.now(UTC)
    copies = []
    for name, why in names.items():
        data = folder.get_bytes(name)
        if data is None:
            continue
        copy = f"{QUARANTINE}{now:{TIME}}/{name}"
        folder.put_bytes(copy, data)
        folder.put_text(copy + WHY, f"{folder.where(name)}\nmoved here {now:%Y-%m-%d %H:%M:%S} UTC\nbecause {why}\n")
        folder.delete([name])
        renew(folder, name, None)
        copies.append(copy)
    return copies


def moved_at(name: str) -> datetime:
    """When a file of the quarantine came there; the beginning of time for one that was put there by hand."""
    try:
        return datetime.strptime(name.removeprefix(QUARANTINE).partition("/")[0], TIME).replace(tzinfo=UTC)
    except ValueError:
        return datetime.fromtimestamp(0, UTC)


def without_trials(folder: StudyFolder, names: Collection[str], first: Mapping[str, int]) -> None:
    """Rewrites these parts of trials without rows that say more than is there.

    Args:
        first: by trial, the first step of which something is missing: rows that come so far go.
    """

    def stays(part: pa.Table) -> pa.Array:
        rows = zip(*(part[name].to_pylist() for name in ("trial_id", "steps_run", "status")), strict=True)
        return pa.array([not (id in first and steps >= first[id] and status in FINAL) for id, steps, status in rows])

    _rewrite(folder, "trials", names, stays)


def without_weights(folder: StudyFolder, names: Collection[str], gone: Collection[CheckpointRow]) -> None:
    """Rewrites these parts of the index without the rows of weights that are not there."""
    pointers = {(row.file, row.lane, row.sha256) for row in gone}

    def stays(part: pa.Table) -> pa.Array:
        rows = zip(*(part[name].to_pylist() for name in ("file", "lane", "sha256")), strict=True)
        return pa.array([row not in pointers for row in rows])

    _rewrite(folder, "checkpoints", names, stays)


def without_lanes(folder: StudyFolder, meta: SnapshotMeta, trial_ids: Collection[str]) -> None:
    """Takes trials out of a snapshot, so that they start from an earlier state; their packmates' bits stay."""
    kept = [lane for lane, trial_id in enumerate(meta.trial_ids) if trial_id not in trial_ids]
    if len(kept) == len(meta.trial_ids):
        return
    if not kept:
        delete_snapshot(folder, meta.pack_id)
        return
    _, tensors = get_snapshot(folder, meta.pack_id)
    left = dataclasses.replace(meta, trial_ids=tuple(meta.trial_ids[lane] for lane in kept))
    put_snapshot(folder, meta.pack_id, lanes_of(tensors, kept), left)


def lanes_of(tensors: Mapping[str, Tensor], kept: list[int]) -> dict[str, Tensor]:
    """Some lanes of the state of a pack, as `engine.state.PackState.tensors` names it."""
    left: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name == "curve_steps":
            left[name] = tensor
        elif name == "curves":
            left[name] = tensor[:, kept]
        elif name.startswith("ring."):
            _, lane, what = name.split(".")
            if int(lane) in kept:
                left[f"ring.{kept.index(int(lane))}.{what}"] = tensor
        else:
            left[name] = tensor[kept]
    return left


def _rewrite(folder: StudyFolder, kind: Kind, names: Collection[str], stays: Callable[[pa.Table], pa.Array]) -> None:
    """Parts without some rows, in the order of time that they had; a subset of settled rows is settled."""
    for name in names:
        with pq.ParquetFile(io.BytesIO(folder.storage.get(folder.key(name)))) as file:
            part = file.read()
        mask = stays(part)
        if pc.all(mask).as_py():
            continue
        left = part.filter(mask)
        if len(left):
            folder.put_part(kind, encode(left), stamp_of(name))
        folder.delete([name])
