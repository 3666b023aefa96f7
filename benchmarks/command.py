"""A command in a fresh process, as a user starts it: how long it takes and how much memory it holds (Linux)."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

LOOK_SECONDS = 2.0
"""Between two looks at the memory: summing the pages of some twenty processes takes 10 to 30 ms."""
KEPT_OUT = ("GROKSTUDY_", "RAY_", "MLFLOW_", "OMP_", "MKL_", "TUNE_")
"""Settings of whoever runs the benchmark that must not reach it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What a command took. Memory in GB: the largest of all looks."""

    seconds: float
    driver_pss: float
    """Of its own process; pages that several processes share count in parts."""
    driver_rss: float
    """The same with shared pages in full."""
    all_pss: float
    """Of its process and all that it started."""
    output: str


def measured(words: Sequence[str | Path], folder: Path) -> Measured:
    """Runs a command to its end, with `folder` as its home, working folder and storage root.

    Raises:
        RuntimeError: it failed; the message ends with its output.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "output.txt"
    kept = {key: value for key, value in os.environ.items() if not key.startswith(KEPT_OUT)}
    own = {"HOME": str(folder), "GROKSTUDY_STORAGE": str(folder / "storage"), "RAY_AUTH_MODE": "disabled"}
    since = time.monotonic()
    with log.open("w") as output:
        process = subprocess.Popen(
            [str(word) for word in words], cwd=folder, env=kept | own, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            most = _watched(process)
        finally:
            process.terminate()  # nothing, if it has ended
            code = process.wait()
    seconds, text = time.monotonic() - since, log.read_text()
    if code:
        raise RuntimeError(f"{words[0]} ... ended with {code}:\n{text[-3000:]}")
    return Measured(seconds=seconds, driver_pss=most[0], driver_rss=most[1], all_pss=most[2], output=text)


def _watched(process: subprocess.Popen[bytes]) -> tuple[float, float, float]:
    """The most that the process held until it ended: its own PSS and RSS, the PSS of it and its descendants."""
    most = (0.0, 0.0, 0.0)
    while True:
        own, started = memory(process.pid), [memory(pid) for pid in descendants(process.pid)]
        now = (own[0], own[1], own[0] + sum(pss for pss, _ in started))
        most = (max(most[0], now[0]), max(most[1], now[1]), max(most[2], now[2]))
        try:
            process.wait(LOOK_SECONDS)
        except subprocess.TimeoutExpired:
            continue
        return most


def memory(pid: int) -> tuple[float, float]:
    """PSS and RSS of a process in GB; zeros if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0, 0.0
    sizes = {line.split(":")[0]: line.split()[1] for line in lines if line.endswith(" kB")}
    return int(sizes.get("Pss", 0)) * 1024 / 1e9, int(sizes.get("Rss", 0)) * 1024 / 1e9


def descendants(pid: int) -> list[int]:
    """Processes that this one started, and those that they started."""
    children: dict[int, list[int]] = defaultdict(list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = stat.read_text().rpartition(")")[2].split()[1]
        except OSError:  # ended meanwhile
            continue
        children[int(parent)].append(int(stat.parent.name))
    found = list(children[pid])
    for child in found:  # grows as it goes
        found += children[child]
    return found
