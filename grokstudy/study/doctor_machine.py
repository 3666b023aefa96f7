"""What `grokstudy doctor` looks at on this machine: versions, processors, memory, GPUs, folders that must be writable.

Nothing is installed, started or left behind.
"""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from grokstudy.execution.node_look import DEVICE_FILES, gpu_count, installed, usable_cpus
from grokstudy.spec.settings import ClusterSettings, EngineSettings
from grokstudy.store.cache import cache_root
from grokstudy.study.doctor_check import Check, bad, doubtful, gigabytes, good, unseen

SHOWN = ("torch", "ray", "mlflow", "optuna", "duckdb", "obstore")
"""Libraries that people name when something differs."""
ONE_PACK, ROOM = 1_000_000_000, 5_000_000_000
"""Bytes: of memory without which not one pack runs, of a disk below which a study of some length fills it."""
OBJECT_STORE = 128 << 20
"""Bytes of shared memory that embedded Ray takes."""
FULL = 0.95
"""Share of a disk from which Ray keeps nothing more on it."""
CGROUP = Path("/sys/fs/cgroup")


def machine(engine: EngineSettings, cluster: ClusterSettings) -> Iterator[Check]:
    """The checks of this machine, one after the other."""
    yield python_version(importlib.metadata.metadata("grokstudy")["Requires-Python"])
    yield libraries(importlib.metadata.requires("grokstudy") or [])
    yield processors(usable_cpus(), cpu_quota(), engine, cluster)
    yield memory(available_memory(), cluster)
    yield shared_memory(cluster)
    yield gpus(gpu_count(), any(map(os.path.exists, DEVICE_FILES)), engine)
    yield home(Path.home())
    yield room("cache", cache_root(), "Set XDG_CACHE_HOME to a folder with space.")
    yield temporary(Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir()))


def python_version(needed: str) -> Check:
    """Whether this Python is one that grokstudy is made for."""
    here = platform.python_version()
    if SpecifierSet(needed).contains(here, prereleases=True):
        return good("python", f"{here} (needs {needed})")
    return bad("python", f"{here}, needs {needed}", f"Make an environment with Python {needed} and install there.")


def libraries(requirements: list[str]) -> Check:
    """Whether what is installed is what grokstudy asks for."""
    wanted = [one for one in map(Requirement, requirements) if one.marker is None or one.marker.evaluate({"extra": ""})]
    wrong = [one for one in wanted if not one.specifier.contains(installed(one.name) or "0", prereleases=True)]
    if wrong:
        found = ", ".join(f"{one.name} {installed(one.name) or 'missing'} (needs {one.specifier})" for one in wrong)
        asked = " ".join(f"'{one.name}{one.specifier}'" for one in wrong)
        return bad("libraries", found, f"pip install {asked}")
    shown = ", ".join(f"{name} {installed(name)}" for name in SHOWN)
    return good("libraries", f"{shown}; all {len(wanted)} as required")


def processors(cpus: int, quota: float | None, engine: EngineSettings, cluster: ClusterSettings) -> Check:
    """Packs at a time, and whether each has the processors for its threads."""
    packs = int(cpus / cluster.cpus_per_pack + 1e-9)
    packs = min(packs, cluster.max_packs) if cluster.max_packs else packs
    found = f"{cpus} CPUs, {packs} packs of {engine.threads} thread(s) at a time"
    if packs < 1:
        return bad("processors", found, f"Lower cluster.cpus_per_pack to {cpus} or less.")
    if quota is not None and quota < cpus:
        found = f"{cpus} CPUs, but this container may use {quota:g} of them"
        return doubtful("processors", found, f"Set cluster.max_packs={max(1, int(quota))}, or raise its CPU limit.")
    if engine.threads > cluster.cpus_per_pack:
        found = f"{engine.threads} threads of a pack share {cluster.cpus_per_pack:g} CPUs"
        return doubtful("processors", found, f"Set cluster.cpus_per_pack={engine.threads}, as engine.threads.")
    return good("processors", found)


def memory(available: int | None, cluster: ClusterSettings) -> Check:
    """Whether the largest pack that is planned would fit."""
    if available is None:
        return unseen("memory", "this system does not say how much is free")
    found = f"{gigabytes(available)} free"
    if available < ONE_PACK:
        return bad("memory", found, "End other programs, or raise the container's limit: a pack takes about 1 GB.")
    if available < cluster.pack_memory * 1e9:
        limit = max(1, int(available / 2e9))
        return doubtful(
            "memory",
            f"{found}, a pack may take {cluster.pack_memory:g} GB",
            f"Set cluster.pack_memory={limit}, so that large trials are planned as several packs.",
        )
    return good("memory", found)


def shared_memory(cluster: ClusterSettings) -> Check:
    """Where embedded Ray keeps its objects."""
    place = Path("/dev/shm")
    if cluster.kind != "local" or not place.is_dir():
        return unseen("shared memory", "only embedded Ray on Linux needs it")
    free = shutil.disk_usage(place).free
    found = f"{gigabytes(free)} free in {place}"
    if free < OBJECT_STORE:
        return doubtful(
            "shared memory",
            f"{found}, Ray wants {gigabytes(OBJECT_STORE)}",
            "Enlarge it (docker run --shm-size=1g; an emptyDir of medium Memory), or use cluster=none.",
        )
    return good("shared memory", found)


def gpus(count: int, has_driver: bool, engine: EngineSettings) -> Check:
    """What torch finds, and whether the study asks for it."""
    if count == 0 and has_driver:
        return doubtful(
            "gpus",
            f"a GPU's driver is loaded, but torch {installed('torch')} finds no GPU",
            "Install the build of torch for this driver (pytorch.org), or check CUDA_VISIBLE_DEVICES.",
        )
    if count == 0 and engine.device == "cuda":
        return bad("gpus", "no GPU, but engine.device=cuda", "Use engine=cpu, or run where there is a GPU.")
    if count == 0:
        return good("gpus", "no GPU: the CPU is used")
    unused = "" if engine.device == "cuda" else "; the CPU is used, engine=cuda would use them"
    return good("gpus", f"{count} found by torch{unused}")


def home(folder: Path) -> Check:
    """Whether HOME can be written: Ray's token and the caches of libraries go there."""
    if can_write(folder):
        return good("home", f"{folder} is writable")
    remedy = "Set HOME to a writable folder (in a pod, an emptyDir), and MPLCONFIGDIR and XDG_CACHE_HOME below it."
    return doubtful("home", f"{folder} cannot be written", remedy)


def room(name: str, folder: Path, remedy: str) -> Check:
    """Whether a folder can be written, or made, and has space."""
    there = nearest_folder(folder)
    if there is None or not can_write(there):
        return bad(name, f"{folder} cannot be written", remedy)
    free = shutil.disk_usage(there).free
    found = f"{gigabytes(free)} free at {folder}"
    return good(name, found) if free >= ROOM else doubtful(name, found, remedy)


def temporary(folder: Path) -> Check:
    """Where Ray keeps its session and what does not fit into memory."""
    check = room("temporary files", folder, "Set RAY_TMPDIR and TMPDIR to a folder on a disk with space.")
    there = nearest_folder(folder)
    if check.state == "ok" and there is not None:
        usage = shutil.disk_usage(there)
        if usage.used / usage.total > FULL:
            found = f"the disk of {folder} is {usage.used / usage.total:.0%} full; Ray keeps nothing more on it"
            return doubtful("temporary files", found, "Delete files there, or set RAY_TMPDIR to another disk.")
    return check


def can_write(folder: Path) -> bool:
    """Whether a file can be made there; it has no name on Linux, so that nothing is left even of a killed process."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def nearest_folder(path: Path) -> Path | None:
    """The path if it is a folder, else the folder it would be made in; None if a file is in the way."""
    there = next((one for one in (path, *path.parents) if one.exists()), None)
    return there if there is not None and there.is_dir() else None


def available_memory() -> int | None:
    """Bytes that this process may still take: of the machine's memory, or of its container's limit."""
    free = [size for size in (_machine_memory(), _container_memory()) if size is not None]
    return min(free, default=None)


def cpu_quota() -> float | None:
    """CPUs' worth of time that the container gets; None without a limit."""
    words = _read(CGROUP / "cpu.max").split()
    return int(words[0]) / int(words[1]) if len(words) == 2 and words[0].isdigit() else None


def _machine_memory() -> int | None:
    for line in _read(Path("/proc/meminfo")).splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None


def _container_memory() -> int | None:
    limit, used = _read(CGROUP / "memory.max").strip(), _read(CGROUP / "memory.current").strip()
    return max(0, int(limit) - int(used)) if limit.isdigit() and used.isdigit() else None


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
