"""What `grokstudy doctor` tries on the storage: everything a study does there, with objects that it removes again."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from grokstudy.execution.node_findings import skew
from grokstudy.execution.node_look import DRIVER, PROBES, cleaned, look, prepared
from grokstudy.spec.errors import GrokstudyError
from grokstudy.store.clock import RESOLUTION, written_at
from grokstudy.store.storage import Storage
from grokstudy.study.doctor_check import Check, bad, doubtful, good, refused, unseen
from grokstudy.study.doctor_machine import room

SLOW_SECONDS = 2.0
"""Of writing, reading, listing and deleting one small object."""
SKEW_WARNED = 5.0
"""Seconds between two clocks from which times of events no longer compare."""
SKEW_REFUSED = 300.0
"""Seconds between two clocks that somebody has to look at: S3 refuses requests from 900 on."""
NTP = "Let both machines keep their time by NTP (chrony, systemd-timesyncd)."


def storage(root: str) -> Iterator[Check]:
    """The checks of a storage root, one after the other. A root that is not there yet is not there afterwards."""
    try:
        opened = Storage.open(root)
    except GrokstudyError as error:
        yield refused("storage", str(error))
        return
    top = opened.local_path(PROBES)
    if top is not None:
        yield room("disk of the storage", top.parent, "Delete files there, or choose another with storage.root=DIR.")
    with _as_before(None if top is None else top.parent):
        yield from _tried(opened)


def _tried(opened: Storage) -> Iterator[Check]:
    began = time.time()
    try:
        token = prepared(opened.uri)
    except (GrokstudyError, OSError) as error:
        yield refused("storage", str(error))
        yield unseen("one writer at a time", "the storage cannot be used")
        yield unseen("clock of the storage", "the storage cannot be used")
        return
    try:
        ended = time.time()
        yield access(look(opened.uri, token).storage_error, opened.uri, time.time() - began)
        yield one_writer(opened, token)
        written = written_at(opened, f"{PROBES}/{token}/{DRIVER}")
        yield clock("clock of the storage", skew(written, began, ended, RESOLUTION))
    except (GrokstudyError, OSError) as error:
        yield refused("storage", str(error))
    finally:
        with contextlib.suppress(GrokstudyError, OSError):
            cleaned(opened.uri, token)


def access(error: str | None, uri: str, seconds: float) -> Check:
    """Whether an object can be written, read, listed and deleted, and how long that takes."""
    if error is not None:
        return refused("storage", error)
    found = f"{uri}: wrote, read, listed and deleted in {1000 * seconds:,.0f} ms"
    if seconds > SLOW_SECONDS:
        return doubtful("storage", found, "Choose a storage nearer by: every pack waits for it at its checkpoints.")
    return good("storage", found)


def one_writer(opened: Storage, token: str) -> Check:
    """Whether an object that exists can be created again: a study's lock depends on that being refused."""
    key = f"{PROBES}/{token}/lock"
    first, second = opened.create(key, b"first"), opened.create(key, b"second")
    if first and not second and opened.get(key) == b"first":
        return good("one writer at a time", "what exists is never created again")
    return bad(
        "one writer at a time",
        "the storage overwrites what it was asked to create only if absent: two runs could hold one study",
        "Use a store that knows If-None-Match (AWS S3, Ceph, MinIO, SeaweedFS of the last years), or a disk.",
    )


def clock(name: str, seconds: float, refused: float = SKEW_REFUSED) -> Check:
    """Whether another clock agrees with this machine's; from `refused` seconds on it is a failure."""
    found = f"{abs(seconds):.1f} s {'ahead of' if seconds > 0 else 'behind'} this machine" if seconds else "agrees"
    if abs(seconds) >= refused:
        return bad(name, found, f"{NTP} Of equal rows the newest counts, and S3 refuses a clock 15 minutes off.")
    return good(name, found) if abs(seconds) < SKEW_WARNED else doubtful(name, found, NTP)


@contextlib.contextmanager
def _as_before(root: Path | None) -> Iterator[None]:
    """Removes the folders of a local root that were made inside the block, if they are empty."""
    made = [] if root is None else [folder for folder in (root, *root.parents) if not folder.exists()]
    try:
        yield
    finally:
        for folder in made:
            with contextlib.suppress(OSError):
                folder.rmdir()
