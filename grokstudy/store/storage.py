"""The storage layer: whole objects by key, on a disk, in S3 or in memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from grokstudy.spec.errors import BadInput
from grokstudy.store.bucket import Bucket
from grokstudy.store.disk import Disk


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
            BadInput: the root cannot be written.
        """
        self.backend.put(key, data)

    def create(self, key: str, data: bytes) -> bool:
        """Stores the object if none is there, atomically; False if there is one."""
        return self.backend.create(key, data)

    def get(self, key: str) -> bytes:
        """The object's bytes. Raises FileNotFoundError."""
        return self.backend.get(key)

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """At most `length` bytes from `start`. Raises FileNotFoundError."""
        return self.backend.get_range(key, start, length)

    def size(self, key: str) -> int:
        """Bytes of the object. Raises FileNotFoundError."""
        return self.backend.size(key)

    def exists(self, key: str) -> bool:
        return self.backend.exists(key)

    def delete(self, keys: Sequence[str]) -> None:
        """Removes the objects; one that is already gone is no error."""
        if keys:
            self.backend.delete(keys)

    def sweep(self, prefix: str, older_than_seconds: float) -> None:
        """Removes what killed writers left of objects that never became whole."""
        self.backend.sweep(prefix, older_than_seconds)

    def local_path(self, key: str) -> Path | None:
        """The file that holds the object, or None if the storage is not a local disk."""
        return self.backend.path(key) if isinstance(self.backend, Disk) else None

    def studies(self) -> list[str]:
        """Sorted names of the folders that hold a study.yaml."""
        return [name for name in self.backend.folders() if self.exists(f"{name}/study.yaml")]

    def direct(self, prefix: str) -> Sequence[str]:
        """As `list`, without the objects in folders of that folder."""
        return self.backend.direct(prefix.rstrip("/"))

    def list(self, prefix: str) -> list[str]:
        """Sorted keys of every whole object below the folder `prefix` ("" = the root)."""
        return self.backend.keys(prefix.rstrip("/"))
