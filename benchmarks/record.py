"""Where a benchmark's numbers come from, and the file that keeps them."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import tables
from tables import HERE, RESULTS


def write(question: str, numbers: Mapping[str, object]) -> None:
    """Replaces this question's numbers in results.json, with machine, commit and date beside them, and its tables."""
    stored = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    stored[question] = {**origin(), **numbers}
    RESULTS.write_text(json.dumps(stored, indent=2) + "\n")
    tables.write()


def rounded(values: Mapping[str, object]) -> dict[str, object]:
    """Three digits: the rest is noise."""
    return {name: float(f"{value:.3g}") if isinstance(value, float) else value for name, value in values.items()}


def origin() -> dict[str, object]:
    """Machine, versions, commit and date; `load` is how many processes wanted a core over the last minute."""
    changed = _git("status", "--porcelain", "grokstudy", "conf")
    return {
        "commit": _git("rev-parse", "--short", "HEAD") + ("+changes" if changed else ""),
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "torch": version("torch"),
    }


def _git(*words: str) -> str:
    answer = subprocess.run(["git", *words], cwd=HERE.parent, capture_output=True, text=True, check=False)
    return answer.stdout.strip()


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
