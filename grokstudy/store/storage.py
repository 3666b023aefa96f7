"""The storage layer: whole objects by key, on a disk, in S3 or in memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from grokstudy.spec.errors import BadInput
from grokstudy.store.bucket import Bucket
from grokstudy.store.disk import Disk
from grokstudy.store.keys import check_key


@dataclasses.dataclass(frozen=True, slots=True)
class Storage:
    """A root under which studies lie. Keys are slash-separated and relative to it; equal and picklable by `uri`."""

    uri: str
    backend: Disk | Bucket = dataclasses.field(repr=False, compare=False)

    @classmethod
    def open(cls, uri: str) -> Storage:
        """A local path (made absolute), `s3://bucket/prefix` or `memory://name` (lives as long as the process).

        Raises:
            BadInput: the root cannot exist (a file is in the way, the place is not writable) or has an unknown scheme.
        """
        scheme, separator, _ = uri.partition("://")
        if scheme in ("s3", "memory") and separator:
            return cls(uri.rstrip("/") if scheme == "s3" else uri, Bucket.open(uri))
        if separator and scheme != "file":
            raise BadInput(f"storage.root: got '{uri}', must be a directory, s3://BUCKET/PREFIX or memory://NAME.")
        root = Path(uri.removeprefix("file://")).expanduser().absolute()
        return cls(str(root), Disk(root))

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Storage.open, (self.uri,)

    def put(self, key: str, data: bytes) -> None:
        """Stores the object, replacing any: readers see the old or the new bytes, never a part of them.

        Raises:
            BadInput: this is no key, or the root may not be written.
            StorageUnavailable: the root is full or away.
        """
        check_key(key)
        self.backend.put(key, data)

    def create(self, key: str, data: bytes) -> bool:
        """Stores the object if none is there, atomically; False if there is one."""
        check_key(key)
        return self.backend.create(key, data)

    def get(self, key: str) -> bytes:
        """The object's bytes. Raises FileNotFoundError."""
        check_key(key)
        return self.backend.get(key)

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """At most `length` bytes from `start`. Raises FileNotFoundError."""
        check_key(key)
        return self.backend.get_range(key, start, length)

    def size(self, key: str) -> int:
        """Bytes of the object. Raises FileNotFoundError."""
        check_key(key)
        return self.backend.size(key)

    def exists(self, key: str) -> bool:
        check_key(key)
        return self.backend.exists(key)

    def delete(self, keys: Sequence[str]) -> None:
        """Removes the objects; one that is already gone is no error."""
        for key in keys:
            check_key(key)
        if keys:
            self.backend.delete(keys)

    def sweep(self, prefix: str, older_than_seconds: float) -> None:
        """Removes what killed writers left of objects that never became whole."""
        self.backend.sweep(_folder(prefix), older_than_seconds)

    def local_path(self, key: str) -> Path | None:
        """The file that holds the object, or None if the storage is not a local disk."""
        check_key(key)
        return self.backend.path(key) if isinstance(self.backend, Disk) else None

    def studies(self) -> list[str]:
        """Sorted names of the folders that hold a study.yaml."""
        names = [name for name in self.backend.folders() if _is_key(name)]
        return [name for name in names if self.exists(f"{name}/study.yaml")]

    def direct(self, prefix: str) -> Sequence[str]:
        """As `list`, without the objects in folders of that folder."""
        return self.backend.direct(_folder(prefix))

    def list(self, prefix: str) -> list[str]:
        """Sorted keys of every whole object below the folder `prefix` ("" = the root)."""
        return self.backend.keys(_folder(prefix))


def _folder(prefix: str) -> str:
    """The prefix without its slash. Raises BadInput if it is no key; "" is the root."""
    name = prefix.rstrip("/") if prefix.strip("/") else ""
    if name:
        check_key(name)
    return name


def _is_key(name: str) -> bool:
    try:
        check_key(name)
    except BadInput:
        return False
    return True
