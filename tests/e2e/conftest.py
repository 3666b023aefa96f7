"""The product as a user starts it: the command line in a process of its own, with private storage and home."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

SMALL = ["preset=quad23", "task.p=11", "model.width=32", "tracking=none", "cluster=none"]
"""A study that trains in well under a second per trial."""


class Cli:
    """`grokstudy` with a storage root, a home and a working directory of its own."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "data"
        home = folder / "home"
        work = folder / "elsewhere"
        for path in (home, work):
            path.mkdir(parents=True)
        self.work = work
        self.env: Mapping[str, str] = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("GROKSTUDY_", "RAY_", "MLFLOW_"))},
            "HOME": str(home),
            "GROKSTUDY_STORAGE": str(self.root),
            "RAY_AUTH_MODE": "disabled",
            "COLUMNS": "200",
        }

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Starts a command in a process group of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "grokstudy.cli.entry", *words],
            cwd=self.work,
            env=dict(self.env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Runs a command to its end and checks its exit code; nothing but a message may reach a user."""
        process = self.start(*words)
        out, err = process.communicate(timeout=500)
        assert process.returncode == code, f"exit {process.returncode}\n{out}\n{err}"
        assert "Traceback" not in err, err
        return subprocess.CompletedProcess(words, process.returncode, out, err)


@pytest.fixture
def cli(tmp_path: Path) -> Cli:
    return Cli(tmp_path)
