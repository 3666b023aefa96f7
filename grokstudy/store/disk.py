"""Objects as files under a local directory: whole or absent, on the disk before the call returns."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from grokstudy.spec.errors import BadInput, GrokstudyError, StorageUnavailable
from grokstudy.store.keys import check_key, check_links

UNFINISHED = ".tmp"
"""Ending of a file that is still being written; such files are never listed."""
FULL = (errno.ENOSPC, errno.EDQUOT)
_AWAY = (
    *("EIO", "ENXIO", "ENODEV", "ESTALE", "EREMOTEIO", "ENOTCONN", "ESHUTDOWN"),
    *("ETIMEDOUT", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH", "ECONNREFUSED"),
)
AWAY = tuple(getattr(errno, name) for name in _AWAY if hasattr(errno, name))  # macOS has no EREMOTEIO
"""A disk or a network mount that fails now and may be there again later."""


@dataclasses.dataclass(frozen=True, slots=True)
class Disk:
    """A local directory, made when the first object is written."""

    root: Path
    setting: str = "storage.root"
    """What names the directory, for messages."""

    def __post_init__(self) -> None:
        ancestor = next(path for path in (self.root, *self.root.parents) if os.path.exists(path))
        if not ancestor.is_dir():
            raise self._unusable(f"{ancestor} is a file")
        if ancestor != self.root and not os.access(ancestor, os.W_OK | os.X_OK):
            raise self._unusable(f"{ancestor} is not writable")

    def path(self, key: str) -> Path:
        """Where the object lies. Raises BadInput for a key that leads out of the root, or through a link does so."""
        check_key(key)
        check_links(self.root, key)
        return self.root / key

    def put(self, key: str, data: bytes) -> None:
        """Writes beside the target, syncs, then renames: a reader sees the old object or the new one, whole."""
        self._write(key, data, _renamed)

    def create(self, key: str, data: bytes) -> bool:
        """As `put`, but leaves an object that exists as it is and returns False."""
        return self._write(key, data, _linked)

    def get(self, key: str) -> bytes:
        with self._doing("read", self.path(key)) as path:
            return path.read_bytes()

    def get_range(self, key: str, start: int, length: int) -> bytes:
        with self._doing("read", self.path(key)) as path, open(path, "rb") as file:
            file.seek(start)
            return file.read(length)

    def size(self, key: str) -> int:
        with self._doing("read", self.path(key)) as path:
            return path.stat().st_size

    def exists(self, key: str) -> bool:
        with self._doing("read", self.path(key)) as path:
            return path.is_file()

    def keys(self, prefix: str) -> list[str]:
        with self._doing("read", self.path(prefix) if prefix else self.root) as top:
            keys = [path.relative_to(self.root).as_posix() for path in _files(top) if _whole(path.name)]
        return sorted(key for key in keys if self._stays_inside(key))

    def direct(self, prefix: str) -> list[str]:
        with self._doing("read", self.path(prefix)) as top:
            if not top.is_dir():
                return []
            # A long listing takes several looks at the directory. Where one file replaces others in between, it might
            # hold neither: it is believed when nothing went since the one before it. What came may be new every time.
            before, now = _listed(top), _listed(top)
            while not before <= now:
                before, now = now, _listed(top)
        return [key for key in (f"{prefix}/{name}" for name in sorted(now)) if self._stays_inside(key)]

    def folders(self) -> list[str]:
        with self._doing("read", self.root) as root:
            return sorted(entry.name for entry in os.scandir(root) if entry.is_dir()) if root.is_dir() else []

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            with self._doing("write to", self.path(key)) as path:
                path.unlink(missing_ok=True)

    def sweep(self, prefix: str, older_than_seconds: float) -> None:
        """Removes what killed writers left behind."""
        oldest = time.time() - older_than_seconds
        with self._doing("write to", self.path(prefix)) as top:
            for path in _files(top):
                if not _whole(path.name):
                    with contextlib.suppress(FileNotFoundError):
                        if path.stat().st_mtime < oldest:
                            path.unlink()

    def _stays_inside(self, key: str) -> bool:
        """Whether it is no link that leads out of its study."""
        if not os.path.islink(self.root / key):
            return True
        try:
            check_links(self.root, key)
        except BadInput:
            return False
        return True

    def _write(self, key: str, data: bytes, place: Callable[[Path, Path], bool]) -> bool:
        """Puts the bytes on the disk under an unlisted name, then in their place; False if `place` left another there.

        Raises:
            StorageUnavailable, BadInput: it cannot be written, see `_failure`.
        """
        target = self.path(key)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            for last in (False, False, True):
                unfinished = target.with_name(f".{target.name}.{secrets.token_hex(8)}{UNFINISHED}")
                try:
                    _put_on_disk(unfinished, data)
                    placed = place(unfinished, target)
                    break
                except FileNotFoundError:  # swept by a run that ended meanwhile
                    if last:
                        raise
                finally:
                    with contextlib.suppress(OSError):
                        unfinished.unlink()
            _sync_directory(target.parent)
        except OSError as error:
            raise self._failure(error, target, "write to") from error
        return placed

    @contextlib.contextmanager
    def _doing(self, verb: str, path: Path) -> Iterator[Path]:
        """The path, to do something with it. Raises as `_failure`; FileNotFoundError stays."""
        try:
            yield path
        except OSError as error:
            if error.errno in AWAY or isinstance(error, PermissionError):
                raise self._failure(error, path, verb) from error
            raise

    def _failure(self, error: OSError, path: Path, verb: str) -> GrokstudyError:
        """StorageUnavailable for what passes (a full disk, a mount that is away), BadInput for what does not."""
        said = f"{path}: {error.strerror or error}"
        if error.errno in FULL:
            return StorageUnavailable(
                f"{self.setting}: '{self.root}' is full ({said}). Free space there; everything finished is kept, the "
                "same command goes on."
            )
        if error.errno in AWAY:
            return StorageUnavailable(
                f"{self.setting}: '{self.root}' does not answer ({said}). Check the disk or the mount; everything "
                "finished is kept, the same command goes on."
            )
        return self._unusable(said, verb)

    def _unusable(self, reason: str, verb: str = "write to") -> BadInput:
        return BadInput(
            f"{self.setting}: cannot {verb} '{self.root}' ({reason}). It must be a directory that may be read and "
            f"written: make it so, or choose another with {self.setting}=DIR."
        )


def _put_on_disk(path: Path, data: bytes) -> None:
    with open(path, "xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _renamed(unfinished: Path, target: Path) -> bool:
    os.replace(unfinished, target)
    return True


def _linked(unfinished: Path, target: Path) -> bool:
    """Gives the file its name unless there is one. Without hard links a reader may see it half written."""
    try:
        os.link(unfinished, target)
    except FileExistsError:
        return False
    except OSError as error:
        if isinstance(error, FileNotFoundError) or error.errno in (*FULL, *AWAY):
            raise
        try:
            with open(target, "xb") as file:
                file.write(unfinished.read_bytes())
        except FileExistsError:
            return False
    return True


def _files(top: Path) -> Iterator[Path]:
    """Every file below a directory. One that cannot be looked into must not pass for an empty one."""
    for folder, _, names in os.walk(top, onerror=_refuse):
        yield from (Path(folder, name) for name in names)


def _refuse(error: OSError) -> None:
    if not isinstance(error, (FileNotFoundError, NotADirectoryError)):  # then nothing is there, or went meanwhile
        raise error


def _listed(top: Path) -> set[str]:
    """Names of the whole files of a directory."""
    return {entry.name for entry in os.scandir(top) if entry.is_file() and _whole(entry.name)}


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
