"""A study on a small disk that fills up again and again."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import random
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.chaos.local_world import LocalWorld, local_driver
from tests.chaos.world import Blow

WEIGHTS: Mapping[str, float] = {"full": 3, "driver": 1}
"""How often each kind of event comes, relative to the others."""
DISK_MB = 256
FULL = (0.5, 6.0)
"""Seconds for which the disk stays full, at least and at most."""


@dataclasses.dataclass(slots=True, eq=False, kw_only=True)
class DiskWorld(LocalWorld):
    """Its root is a file system of its own."""

    disk: Path

    def attack(self, kind: str, chance: random.Random) -> Blow | None:
        if kind != "full":
            return LocalWorld.attack(self, kind, chance)
        if self.agenda.waiting:
            return None
        seconds, filler = chance.uniform(*FULL), self.disk / "filler"
        left = chance.choice((0, 4096, 100_000))  # so that it sometimes fills up within a file
        with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        os.truncate(filler, max(filler.stat().st_size - left, 0))
        self.agenda.add(seconds, filler.unlink)
        return Blow(f"{left} bytes left for {seconds:.1f} s", lethal=False)


@functools.cache
def why_not() -> str | None:
    """Why there can be no small disk here; None if there can."""
    if os.geteuid() != 0:
        return "mounting a small disk needs root"
    with tempfile.TemporaryDirectory(prefix="gs-disk-") as folder:
        try:
            _mount(Path(folder))
        except (OSError, subprocess.CalledProcessError) as error:
            return f"a small disk cannot be mounted here ({error})"
        subprocess.run(["umount", folder], check=True)
    return None


@contextlib.contextmanager
def disk_world(folder: Path) -> Iterator[DiskWorld]:
    """A small file system of memory with a study root in it; gone after the block. Needs root."""
    disk = folder / "disk"
    disk.mkdir(parents=True)
    _mount(disk)
    driver = local_driver(folder, str(disk / "data"))
    try:
        yield DiskWorld(root=str(disk / "data"), driver=driver, disk=disk)
    finally:
        driver.kill_all()
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def _mount(folder: Path) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", str(folder), "-o", f"size={DISK_MB}m"], check=True)
