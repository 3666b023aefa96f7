"""Local copies of objects that never change, so that DuckDB and safetensors only ever see files."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from grokstudy.store.disk import Disk
from grokstudy.store.folder import StudyFolder

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
    copies = Disk(cache_root() / hashlib.sha256(folder.storage.uri.encode()).hexdigest()[:16])

    def fetch(name: str) -> Path:
        copy = folder.key(name) + version
        if not copies.exists(copy):
            copies.put(copy, folder.storage.get(folder.key(name)))
        return copies.path(copy)

    with ThreadPoolExecutor(DOWNLOADS) as pool:
        return list(pool.map(fetch, names))


def forget(folder: StudyFolder, name: str, path: Path) -> None:
    """Removes the local copy of a file that turned out damaged, so that a repaired one is fetched again."""
    if folder.storage.local_path(folder.key(name)) is None:
        path.unlink(missing_ok=True)


def cache_root() -> Path:
    """Where copies and spilled queries go; all of it may be deleted at any time."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "grokstudy"
