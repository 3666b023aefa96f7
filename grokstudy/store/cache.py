"""Local copies of objects that never change, so that DuckDB and safetensors only ever see files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from grokstudy.store.disk import Disk
from grokstudy.store.folder import StudyFolder
from grokstudy.store.storage import Storage

DOWNLOADS = 16
"""Objects fetched at a time: a part is small, so that latency, not bandwidth, decides."""


def local_files(folder: StudyFolder, names: Sequence[str], version: str = "") -> list[Path]:
    """Paths of files of the folder: the files themselves on a disk, else copies made once.

    Only for files that are never rewritten. Copies of deleted ones stay and are ignored.

    Args:
        version: sets copies apart whose names may come back with other content (parts have names that never do).

    Raises:
        FileNotFoundError: a file is gone.
    """
    direct = [folder.storage.local_path(folder.key(name)) for name in names]
    present = [path for path in direct if path is not None]
    if len(present) == len(names):
        return present
    copies = _copies(folder.storage)

    def fetch(name: str) -> Path:
        copy = folder.key(name) + version
        if not copies.exists(copy):
            copies.put(copy, folder.storage.get(folder.key(name)))
        return copies.path(copy)

    with ThreadPoolExecutor(DOWNLOADS) as pool:
        return list(pool.map(fetch, names))


def renew(folder: StudyFolder, name: str, data: bytes | None) -> None:
    """Makes the local copy of a file hold these bytes, which were just read from its place; None: there is none."""
    if folder.storage.local_path(folder.key(name)) is not None:
        return
    copies, copy = _copies(folder.storage), folder.key(name)
    if data is None:
        copies.delete([copy])
    elif not copies.exists(copy) or copies.get(copy) != data:
        copies.put(copy, data)


def copied(storage: Storage, study: str | None) -> list[Path]:
    """Local copies of files of a study, or of all studies under a root."""
    copies = _copies(storage)
    return [copies.path(key) for key in copies.keys(study or "")]


def forget(folder: StudyFolder, name: str, path: Path) -> None:
    """Removes the local copy of a file that turned out damaged, so that a repaired one is fetched again."""
    if folder.storage.local_path(folder.key(name)) is None:
        path.unlink(missing_ok=True)


def _copies(storage: Storage) -> Disk:
    folder = hashlib.sha256(storage.uri.encode()).hexdigest()[:16]
    return Disk(cache_root() / folder, setting="XDG_CACHE_HOME")


def cache_root() -> Path:
    """Where copies and spilled queries go; all of it may be deleted at any time."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "grokstudy"
