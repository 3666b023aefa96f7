"""What one node sees: its versions, its devices, its clock, and whether it reads and writes the study's storage.

The driver leaves an object at the storage root (`prepared`), every node looks for it (`look`), the driver removes it
(`cleaned`). Nothing here knows Ray: who sends `look` to the nodes does (`execution/nodes.py`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import importlib.metadata
import os
import platform
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from grokstudy.spec.errors import GrokstudyError
from grokstudy.store.storage import Storage

PROBES = "probes"
"""Folder of the storage root that holds what looks leave there for a moment."""
DRIVER = "driver"
"""The object that every node must find."""
DEVICE_FILES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
"""One of these exists where a GPU's driver is loaded (NVIDIA, AMD, Windows' own Linux)."""
COUNT_GPUS = "import torch; print(torch.cuda.device_count())"
GPU_SECONDS = 120.0
"""Until torch has counted the GPUs of a node; loading its libraries from a network disk takes long."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class NodeLook:
    """What one node sees."""

    host: str
    address: str
    """Its own idea of the address that other machines reach; 127.0.0.1 where it has no route."""
    python: str
    torch: str
    ray: str
    grokstudy: str
    sources: str
    """Short hash of grokstudy's own source files: equal versions may hold different code."""
    cpus: int
    """CPUs that this process may use."""
    gpus: int
    """GPUs that torch finds, whatever Ray lets a task see."""
    free_bytes: int
    """Of the disk with the temporary files, where Ray spills."""
    storage_free_bytes: int | None
    """Of the disk with the storage root; None for a bucket, or if the root cannot be looked at."""
    clock: float
    """Unix seconds on that node, read when the look began."""
    storage_seconds: float
    """What the look at the storage took."""
    storage_error: str | None
    """Why a trial that runs here could not keep its results; None if it could."""
    missing_files: tuple[str, ...]
    """Plug-in files that are not there."""


def prepared(storage: str) -> str:
    """Leaves the object that nodes must find; the token under which they look for it.

    Raises:
        GrokstudyError: the storage cannot be used from here either.
    """
    token = secrets.token_hex(8)
    Storage.open(storage).put(_key(token, DRIVER), token.encode())
    return token


def cleaned(storage: str, token: str) -> None:
    """Removes what `prepared` and the looks under this token left, also what a look that died left."""
    opened = Storage.open(storage)
    opened.delete(opened.list(f"{PROBES}/{token}"))
    folder = opened.local_path(f"{PROBES}/{token}")
    if folder is not None:
        with contextlib.suppress(OSError):  # another look goes on beside this one
            folder.rmdir()
            folder.parent.rmdir()


def look(storage: str, token: str, plugin_files: Sequence[str] = ()) -> NodeLook:
    """What this node sees. A storage that cannot be used is a finding, never an exception.

    Args:
        storage: the storage root, as the driver has it.
        token: what `prepared` returned on the driver.
        plugin_files: files of the user's own that a trial needs.
    """
    clock, began = time.time(), time.monotonic()
    storage_error = _storage_error(storage, token)
    return NodeLook(
        host=socket.gethostname(),
        address=_address(),
        python=platform.python_version(),
        torch=installed("torch"),
        ray=installed("ray"),
        grokstudy=installed("grokstudy"),
        sources=source_hash(),
        cpus=usable_cpus(),
        gpus=gpu_count(),
        free_bytes=shutil.disk_usage(tempfile.gettempdir()).free,
        storage_free_bytes=free_bytes(storage),
        clock=clock,
        storage_seconds=time.monotonic() - began,
        storage_error=storage_error,
        missing_files=tuple(file for file in plugin_files if not os.path.isfile(file)),
    )


def _storage_error(storage: str, token: str) -> str | None:
    try:
        return _tried(Storage.open(storage), token)
    except Exception as error:  # whatever a storage's client may raise is what this look is for
        return str(error) if isinstance(error, GrokstudyError) else f"{type(error).__name__}: {error}"


def _tried(storage: Storage, token: str) -> str | None:
    """Reads first: on a disk that is not shared, nothing is left behind."""
    try:
        there = storage.get(_key(token, DRIVER))
    except FileNotFoundError:
        there = b""
    if there != token.encode():
        return (
            f"storage.root: '{storage.uri}' is another place on {socket.gethostname()}: what the driver wrote is not "
            "there. Use s3://BUCKET/PREFIX, or a folder that every node mounts under the same path."
        )
    mine = _key(token, f"{socket.gethostname()}-{secrets.token_hex(4)}")
    storage.put(mine, token.encode())
    listed = mine in storage.list(f"{PROBES}/{token}")
    storage.delete([mine])
    if not listed:
        return f"storage.root: '{storage.uri}' does not list what {socket.gethostname()} has just written there."
    return None


def _key(token: str, name: str) -> str:
    return f"{PROBES}/{token}/{name}"


def installed(distribution: str) -> str:
    """Version of an installed distribution; "" if it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


@functools.cache
def source_hash() -> str:
    """Short hash of this package's Python files, with their names."""
    top = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for file in sorted(top.rglob("*.py")):
        digest.update(file.relative_to(top).as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def usable_cpus() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def gpu_count() -> int:
    """GPUs that torch finds here. No driver, no torch: it takes seconds to load.

    Ray hides all GPUs from a task that reserved none, and torch reads that once; so another process counts.
    """
    if not any(os.path.exists(file) for file in DEVICE_FILES):
        return 0
    environment = {key: value for key, value in os.environ.items() if key != "CUDA_VISIBLE_DEVICES"}
    try:
        counted = subprocess.run(
            [sys.executable, "-c", COUNT_GPUS], env=environment, capture_output=True, text=True, timeout=GPU_SECONDS
        )
        return int(counted.stdout)
    except (subprocess.SubprocessError, OSError, ValueError):
        return 0


def free_bytes(storage: str) -> int | None:
    """Free bytes of the disk on which a storage root lies, or will lie; None for a bucket or a root without a disk."""
    scheme, separator, path = storage.partition("://")
    if separator and scheme != "file":
        return None
    root = Path(path if separator else storage).expanduser().absolute()
    try:
        return shutil.disk_usage(next(folder for folder in (root, *root.parents) if folder.exists())).free
    except OSError:
        return None


def _address() -> str:
    """Connecting a datagram socket sends nothing; it only asks which of our addresses would be used."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("192.0.2.1", 9))  # an address kept for documents
            return str(asking.getsockname()[0])
        except OSError:
            return "127.0.0.1"
