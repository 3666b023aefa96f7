"""Objects as files under a local directory: whole or absent, on the disk before the call returns."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import secrets
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from grokstudy.spec.errors import BadInput

UNFINISHED = ".tmp"
"""Ending of a file that is still being written; such files are never listed."""


@dataclasses.dataclass(frozen=True, slots=True)
class Disk:
    """A local directory, made when the first object is written."""

    root: Path

    def __post_init__(self) -> None:
        ancestor = next(path for path in (self.root, *self.root.parents) if os.path.exists(path))
        if not ancestor.is_dir():
            raise _unusable(self.root, f"{ancestor} is a file")
        if ancestor != self.root and not os.access(ancestor, os.W_OK | os.X_OK):
            raise _unusable(self.root, f"{ancestor} is not writable")

    def path(self, key: str) -> Path:
        """Where the object lies. Raises BadInput for a key that leads out of the root."""
        if not all(part and part not in (".", "..") for part in key.split("/")):
            raise BadInput(f"storage: '{key}' is not a key; it must name a file inside {self.root}.")
        return self.root / key

    def put(self, key: str, data: bytes) -> None:
        """Writes beside the target, syncs, then renames: a reader sees the old object or the new one, whole."""
        with self._written(key, data) as (unfinished, target):
            os.replace(unfinished, target)

    def create(self, key: str, data: bytes) -> bool:
        """As `put`, but leaves an object that exists as it is and returns False."""
        with self._written(key, data) as (unfinished, target):
            try:
                os.link(unfinished, target)
            except FileExistsError:
                return False
            except OSError:  # a file system without hard links: exclusive, though a reader may see it half written
                try:
                    with open(target, "xb") as file:
                        file.write(data)
                except FileExistsError:
                    return False
        return True

    def get(self, key: str) -> bytes:
        return self.path(key).read_bytes()

    def get_range(self, key: str, start: int, length: int) -> bytes:
        with open(self.path(key), "rb") as file:
            file.seek(start)
            return file.read(length)

    def size(self, key: str) -> int:
        return self.path(key).stat().st_size

    def exists(self, key: str) -> bool:
        return self.path(key).is_file()

    def keys(self, prefix: str) -> list[str]:
        top = self.path(prefix) if prefix else self.root
        return sorted(path.relative_to(self.root).as_posix() for path in _files(top) if _whole(path.name))

    def direct(self, prefix: str) -> list[str]:
        top = self.path(prefix)
        if not top.is_dir():
            return []
        # A long listing takes several looks at the directory. Where one file replaces others in between, it might hold
        # neither: it is believed when it comes out twice.
        before, now = None, _listed(top)
        while now != before:
            before, now = now, _listed(top)
        return [f"{prefix}/{name}" for name in now]

    def folders(self) -> list[str]:
        if not self.root.is_dir():
            return []
        return sorted(entry.name for entry in os.scandir(self.root) if entry.is_dir())

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.path(key).unlink(missing_ok=True)

    def sweep(self, prefix: str, older_than_seconds: float) -> None:
        """Removes what killed writers left behind."""
        oldest = time.time() - older_than_seconds
        for path in _files(self.path(prefix)):
            if not _whole(path.name):
                with contextlib.suppress(FileNotFoundError):
                    if path.stat().st_mtime < oldest:
                        path.unlink()

    @contextlib.contextmanager
    def _written(self, key: str, data: bytes) -> Iterator[tuple[Path, Path]]:
        """The bytes on the disk under an unlisted name, and the path they are meant for."""
        target = self.path(key)
        unfinished = target.with_name(f".{target.name}.{secrets.token_hex(8)}{UNFINISHED}")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with open(unfinished, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            yield unfinished, target
            _sync_directory(target.parent)
        except OSError as error:
            raise _unusable(self.root, f"{target}: {error.strerror or error}") from error
        finally:
            with contextlib.suppress(OSError):
                unfinished.unlink()


def _files(top: Path) -> Iterator[Path]:
    for folder, _, names in os.walk(top):
        yield from (Path(folder, name) for name in names)


def _listed(top: Path) -> list[str]:
    """Names of the whole files of a directory, sorted."""
    return sorted(entry.name for entry in os.scandir(top) if entry.is_file() and _whole(entry.name))


def _whole(name: str) -> bool:
    return not (name.startswith(".") and name.endswith(UNFINISHED))


def _sync_directory(folder: Path) -> None:
    """Makes a rename survive a power cut (POSIX; a no-op where directories cannot be opened)."""
    with contextlib.suppress(PermissionError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _unusable(root: Path, reason: str) -> BadInput:
    return BadInput(
        f"storage.root: cannot write to '{root}' ({reason}). It must be a writable directory with free space: "
        "make it so, or choose another with storage.root=DIR."
    )
