"""Deleting what a study can do without: named and weighed first, then deleted in an order that a kill does not hurt."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Literal

from grokstudy.spec.rows import CheckpointRow
from grokstudy.store.cache import DOWNLOADS, copied
from grokstudy.store.contents import GONE, QUARANTINE, by_kind, unfinished
from grokstudy.store.folder import StudyFolder
from grokstudy.store.quarantine import moved_at, without_weights
from grokstudy.store.storage import Storage
from grokstudy.store.whole_rows import WholeParts

Group = Literal["checkpoints", "snapshots", "unreferenced", "quarantine", "unfinished", "cache"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Waste:
    """Files of one kind that go."""

    group: Group
    names: tuple[str, ...]
    size: int
    """Bytes."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """One time that checkpoints were deleted on purpose."""

    at: str
    """UTC, ISO 8601."""
    kept: str
    """Choice of those that stayed."""
    files: int


def weighed(folder: StudyFolder, group: Group, names: Sequence[str]) -> Waste:
    """Files of the study with their bytes; those that are gone meanwhile are left out."""
    with ThreadPoolExecutor(DOWNLOADS) as pool:
        sizes = dict(zip(names, pool.map(lambda name: _size(folder, name), names), strict=True))
    there = {name: size for name, size in sizes.items() if size is not None}
    return Waste(group=group, names=tuple(there), size=sum(there.values()))


def unreferenced(folder: StudyFolder) -> list[str]:
    """Checkpoint files that no row of the index names: left by a process that was killed."""
    files = by_kind(folder.names("checkpoints")).get("weights", ())
    named = {row.file for row in index_rows(folder)}
    return [name for name in files if name not in named]


def index_rows(folder: StudyFolder) -> list[CheckpointRow]:
    """Every row of the index of checkpoints."""
    return WholeParts(folder=folder, names=tuple(folder.parts("checkpoints"))).index()


def old_quarantine(folder: StudyFolder, days: float) -> list[str]:
    """Files that were moved aside at least so many days ago."""
    before = datetime.now(UTC) - timedelta(days=days)
    return [name for name in folder.names(QUARANTINE.rstrip("/")) if moved_at(name) <= before]


def left_unfinished(folder: StudyFolder) -> Waste:
    """Files that were begun and never became whole."""
    return weighed(folder, "unfinished", unfinished(folder))


def cache_copies(storage: Storage, study: str | None) -> Waste:
    """Local copies of files that lie elsewhere; None = of all studies under the root."""
    paths = copied(storage, study)
    return Waste(group="cache", names=tuple(map(str, paths)), size=sum(path.stat().st_size for path in paths))


def delete_checkpoints(folder: StudyFolder, files: Iterable[str], kept: str) -> None:
    """Deletes checkpoint files, after their rows and after noting that they went on purpose."""
    gone = set(files)
    if not gone:
        return
    event = Removed(at=datetime.now(UTC).isoformat(timespec="seconds"), kept=kept, files=len(gone))
    remember(folder, (*removed(folder), event))
    rows = [row for row in index_rows(folder) if row.file in gone]
    without_weights(folder, folder.parts("checkpoints"), rows)
    folder.delete(sorted(gone))


def remember(folder: StudyFolder, events: Sequence[Removed]) -> None:
    """Keeps with the study what was deleted on purpose, so that nothing takes it for lost."""
    folder.put_text(GONE, json.dumps([dataclasses.asdict(event) for event in events], indent=2))


def removed(folder: StudyFolder) -> tuple[Removed, ...]:
    """Every time that checkpoints of the study were deleted on purpose; none if that is not readable."""
    text = folder.get_text(GONE)
    try:
        return tuple(Removed(**event) for event in json.loads(text)) if text else ()
    except (ValueError, TypeError):
        return ()


def removal_note(folder: StudyFolder) -> str:
    """A sentence for who looks for a checkpoint that is not there; empty if none was ever deleted on purpose."""
    events = removed(folder)
    if not events:
        return ""
    last = events[-1]
    return f" `grokstudy store gc` removed checkpoints of {folder.name} on {last.at[:10]} and kept: {last.kept}."


def _size(folder: StudyFolder, name: str) -> int | None:
    try:
        return folder.storage.size(folder.key(name))
    except FileNotFoundError:
        return None
