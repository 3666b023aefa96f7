"""The storage's own clock: when it says that an object was written."""

from __future__ import annotations

from pathlib import Path

import obstore

from grokstudy.store.bucket import Bucket
from grokstudy.store.storage import Storage

RESOLUTION = 1.0
"""Seconds to which a bucket tells times."""


def written_at(storage: Storage, key: str) -> float:
    """Unix seconds on the machine that keeps the object. Raises FileNotFoundError."""
    if isinstance(storage.backend, Bucket):
        return float(obstore.head(storage.backend.store, key)["last_modified"].timestamp())
    path = storage.local_path(key)
    assert isinstance(path, Path)
    return path.stat().st_mtime
