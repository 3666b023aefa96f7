"""Objects in a bucket (S3 and what speaks its language) or in memory, through obstore."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import MemoryStore, S3Store

from grokstudy.spec.errors import BadInput

if TYPE_CHECKING:
    from obstore.store import RetryConfig


RETRIES: RetryConfig = {"max_retries": 8, "retry_timeout": timedelta(seconds=60)}
"""A service that is away for longer is reported; obstore's own default is three minutes of silence."""


SETTINGS = {"timeout": "10 minutes"}
"""For one PUT of a large snapshot over a slow line. (`client_options` would do it too, but undo AWS_ALLOW_HTTP.)"""


@dataclasses.dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket with a prefix. One object is one PUT, so that it appears whole."""

    uri: str
    store: S3Store | MemoryStore

    @classmethod
    def open(cls, uri: str) -> Bucket:
        """`s3://bucket/prefix` (endpoint and credentials from the AWS_* variables) or `memory://name`."""
        if uri.startswith("memory://"):
            return cls(uri, _memory(uri))
        parts = urlsplit(uri)
        if not parts.netloc:
            raise BadInput(f"storage.root: got '{uri}', must be s3://BUCKET/PREFIX.")
        with _explained(uri):
            prefix = parts.path.strip("/") or None
            return cls(uri, S3Store(parts.netloc, prefix=prefix, retry_config=RETRIES, config=SETTINGS))  # type: ignore[arg-type]

    def put(self, key: str, data: bytes) -> None:
        with _explained(self.uri):
            obstore.put(self.store, key, data, use_multipart=False)

    def create(self, key: str, data: bytes) -> bool:
        """Conditional PUT (If-None-Match): False if the object exists."""
        with _explained(self.uri):
            try:
                obstore.put(self.store, key, data, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return False
        return True

    def get(self, key: str) -> bytes:
        with _explained(self.uri):
            return bytes(obstore.get(self.store, key).bytes())

    def get_range(self, key: str, start: int, length: int) -> bytes:
        with _explained(self.uri):
            return bytes(obstore.get_range(self.store, key, start=start, length=length))

    def size(self, key: str) -> int:
        with _explained(self.uri):
            return int(obstore.head(self.store, key)["size"])

    def exists(self, key: str) -> bool:
        try:
            return self.size(key) >= 0
        except FileNotFoundError:
            return False

    def keys(self, prefix: str) -> list[str]:
        with _explained(self.uri):
            chunks = obstore.list(self.store, prefix or None, chunk_size=1000)
            return sorted(entry["path"] for chunk in chunks for entry in chunk)

    def direct(self, prefix: str) -> list[str]:
        with _explained(self.uri):
            return sorted(entry["path"] for entry in obstore.list_with_delimiter(self.store, prefix)["objects"])

    def folders(self) -> list[str]:
        with _explained(self.uri):
            return sorted(obstore.list_with_delimiter(self.store)["common_prefixes"])

    def delete(self, keys: Sequence[str]) -> None:
        with _explained(self.uri), contextlib.suppress(FileNotFoundError):
            obstore.delete(self.store, [*keys])

    def sweep(self, prefix: str, older_than_seconds: float) -> None:
        """Nothing to do: a PUT that did not finish leaves no object."""


@functools.cache
def _memory(uri: str) -> MemoryStore:
    """One store per URI and process, so that opening a URI twice finds the same objects."""
    return MemoryStore()


@contextlib.contextmanager
def _explained(uri: str) -> Iterator[None]:
    """Failures of the service as one line that says what to check. A missing object stays FileNotFoundError."""
    try:
        yield
    except BaseError as error:
        first_line = str(error).partition("\n")[0]
        raise BadInput(
            f"storage.root: '{uri}' cannot be used: {first_line}. Check the bucket's name, AWS_ENDPOINT_URL, "
            "AWS_REGION and the credentials (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY or the pod's role)."
        ) from error
