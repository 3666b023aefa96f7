"""Objects in a bucket (S3 and what speaks its language) or in memory, through obstore."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError
from obstore.store import MemoryStore, S3Store

from grokstudy.spec.errors import BadInput
from grokstudy.store.bucket_errors import check_endpoint, code_of, explained
from grokstudy.store.keys import check_key

if TYPE_CHECKING:
    from obstore.store import RetryConfig


RETRIES: RetryConfig = {
    "max_retries": 100,
    "retry_timeout": timedelta(seconds=60),
    "backoff": {"init_backoff": timedelta(seconds=0.1), "max_backoff": timedelta(seconds=5), "base": 2},
}
"""A service that is away for a minute is waited for, one that stays away is reported. (obstore's own: 3 minutes.)"""
STALLED_SECONDS = 15
"""Without a byte from the service a request is given up; also for a whole small PUT, whose answer is its first byte."""
SLOWEST = 512 << 10
"""Bytes per second that a line must carry for a large PUT."""


@dataclasses.dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket with a prefix. One object is one PUT, so that it appears whole."""

    uri: str
    store: S3Store | MemoryStore
    patient: dict[int, S3Store] = dataclasses.field(default_factory=dict, repr=False, compare=False)
    """Stores for larger PUTs by their patience in seconds: each keeps its connections and its credentials."""

    @classmethod
    def open(cls, uri: str) -> Bucket:
        """`s3://bucket/prefix` (endpoint and credentials from the AWS_* variables) or `memory://name`."""
        if uri.startswith("memory://"):
            return cls(uri, _memory(uri))
        if not urlsplit(uri).netloc:
            raise BadInput(f"storage.root: got '{uri}', must be s3://BUCKET/PREFIX.")
        prefix = urlsplit(uri).path.strip("/")
        if prefix:
            check_key(prefix)
        check_endpoint()
        try:
            return cls(uri, _s3(uri, STALLED_SECONDS))
        except BaseError as error:
            raise BadInput(f"storage.root: '{uri}' cannot be used: {str(error).partition(chr(10))[0]}.") from error

    def put(self, key: str, data: bytes) -> None:
        with explained(self.uri, "write"):
            try:
                obstore.put(self._for(len(data)), key, data, use_multipart=False)
            except PermissionDeniedError as error:
                self._refuse_writing(error)
                raise

    def create(self, key: str, data: bytes) -> bool:
        """Conditional PUT (If-None-Match): False if the object exists.

        It may exist through this very call, when the answer to a first PUT was lost: who must know compares the bytes.
        """
        with explained(self.uri, "write"):
            try:
                obstore.put(self._for(len(data)), key, data, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return False
            except PermissionDeniedError as error:
                self._refuse_writing(error)
                raise
        return True

    def get(self, key: str) -> bytes:
        with explained(self.uri, "read"):
            return bytes(obstore.get(self.store, key).bytes())

    def get_range(self, key: str, start: int, length: int) -> bytes:
        with explained(self.uri, "read"):
            return bytes(obstore.get_range(self.store, key, start=start, length=length))

    def size(self, key: str) -> int:
        with explained(self.uri, "read"):
            try:
                return int(obstore.head(self.store, key)["size"])
            except PermissionDeniedError:
                obstore.get_range(self.store, key, start=0, length=1)  # its answer has a body, which says why
                raise

    def exists(self, key: str) -> bool:
        try:
            return self.size(key) >= 0
        except FileNotFoundError:
            return False

    def keys(self, prefix: str) -> list[str]:
        with explained(self.uri, "list"):
            chunks = obstore.list(self.store, prefix or None, chunk_size=1000)
            return sorted(entry["path"] for chunk in chunks for entry in chunk)

    def direct(self, prefix: str) -> list[str]:
        with explained(self.uri, "list"):
            return sorted(entry["path"] for entry in obstore.list_with_delimiter(self.store, prefix)["objects"])

    def folders(self) -> list[str]:
        with explained(self.uri, "list"):
            return sorted(obstore.list_with_delimiter(self.store)["common_prefixes"])

    def delete(self, keys: Sequence[str]) -> None:
        with explained(self.uri, "delete"):
            try:
                obstore.delete(self.store, [*keys])
            except FileNotFoundError as error:
                if code_of(str(error)) == "NoSuchBucket":
                    raise

    def sweep(self, prefix: str, older_than_seconds: float) -> None:
        """Nothing to do: a PUT that did not finish leaves no object."""

    def _for(self, size: int) -> S3Store | MemoryStore:
        """The store with the patience that a PUT of so many bytes needs."""
        if isinstance(self.store, MemoryStore) or size <= STALLED_SECONDS * SLOWEST:
            return self.store
        seconds = STALLED_SECONDS << (size // (STALLED_SECONDS * SLOWEST)).bit_length()
        if seconds not in self.patient:
            self.patient[seconds] = _s3(self.uri, seconds)
        return self.patient[seconds]

    def _refuse_writing(self, error: PermissionDeniedError) -> None:
        """Says so if the bucket can at least be read."""
        if code_of(str(error)) != "AccessDenied":
            return
        with contextlib.suppress(BaseError, FileNotFoundError):
            next(iter(obstore.list(self.store, chunk_size=1)), None)
            raise BadInput(
                f"storage.root: '{self.uri}' can be read but not written: the credentials (AWS_ACCESS_KEY_ID or the "
                "pod's role) lack the permission s3:PutObject."
            ) from error


@functools.cache
def _memory(uri: str) -> MemoryStore:
    """One store per URI and process, so that opening a URI twice finds the same objects."""
    return MemoryStore()


def _s3(uri: str, stalled_seconds: int) -> S3Store:
    parts = urlsplit(uri)
    # As `client_options` they would undo AWS_ALLOW_HTTP. The whole of a download may take as long as it likes.
    settings = {"timeout": "1 hour", "read_timeout": f"{stalled_seconds} seconds", "connect_timeout": "5 seconds"}
    prefix = parts.path.strip("/") or None
    return S3Store(parts.netloc, prefix=prefix, retry_config=RETRIES, config=settings)  # type: ignore[arg-type]
