"""Secrets of the environment stay there: not one byte of them in what a study writes, prints or starts."""

from __future__ import annotations

import contextlib
import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.e2e.conftest import SMALL, Cli

SECRETS = {
    "AWS_SECRET_ACCESS_KEY": "planted-aws-0d1f8c5e2b",
    "AWS_SESSION_TOKEN": "planted-session-77ab01c4",
    "RAY_AUTH_TOKEN": "planted-ray-9e3c5d7a1f20c4b8",
    "MLFLOW_TRACKING_PASSWORD": "planted-mlflow-4b6f21",
    "MLFLOW_TRACKING_TOKEN": "planted-bearer-c81d90",
    "PGPASSWORD": "planted-postgres-55e0a2",
    "SOME_API_KEY": "planted-other-13b7f6",
}
KNOWN = tuple(value.encode() for value in SECRETS.values())
TRACKED = [word for word in SMALL if word not in ("tracking=none", "cluster=none")]


def leaks(data: bytes) -> list[bytes]:
    return [secret for secret in KNOWN if secret in data]


def written(*tops: Path) -> list[str]:
    """Files below the folders that hold a secret, or are named after one."""
    files = [path for top in tops for path in top.rglob("*") if path.is_file()]
    assert files
    return [str(path) for path in files if leaks(path.read_bytes()) or leaks(str(path).encode())]


class CommandLines:
    """The command lines of all processes of a session, looked at until the block ends."""

    def __init__(self, session: int) -> None:
        self._session, self._over = session, threading.Event()
        self.seen: set[bytes] = set()

    def look(self) -> None:
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                with contextlib.suppress(OSError, IndexError):
                    stat = (folder / "stat").read_text().rpartition(")")[2].split()
                    if int(stat[3]) == self._session:
                        self.seen.add((folder / "cmdline").read_bytes())

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        def watch() -> None:
            while not self._over.wait(0.05):
                self.look()

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()


def finished(cli: Cli, environment: Mapping[str, str], *words: str) -> bytes:
    """Runs a command with the secrets; all that it and its children printed and were called."""
    cli.env = {**cli.env, **environment, **SECRETS, "GROKSTUDY_DEBUG": "1"}
    process: subprocess.Popen[str] = cli.start(*words)
    lines = CommandLines(process.pid)
    with lines.watched():
        out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    assert any(b"grokstudy" in line for line in lines.seen)
    return out.encode() + err.encode() + b"\n".join(lines.seen)


@pytest.mark.slow
@pytest.mark.ray
def test_no_secret_is_written_printed_or_passed_on(cli: Cli, tmp_path: Path) -> None:
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    ray = {"RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0", "RAY_TMPDIR": "/tmp", "TMPDIR": str(scratch)}
    said = finished(cli, ray, "run", *TRACKED, "optimizer.lr=0.01,1e9", "measures.names=[norms]", "--name", "s")
    assert not leaks(said)
    assert (cli.root / "mlflow.db").is_file()
    assert not written(cli.root, tmp_path / "home", cli.work, scratch)


@pytest.mark.slow
def test_no_secret_is_in_what_other_verbs_make(cli: Cli, tmp_path: Path) -> None:
    said = finished(cli, {}, "run", *SMALL, "seed=seeds(2)", "--name", "s", "--steps", "30")
    said += finished(cli, {}, "share", "s", "--to", str(tmp_path / "shared"))
    said += finished(cli, {}, "doctor", "--format", "json")
    assert not leaks(said)
    assert not written(tmp_path)


def test_the_search_finds_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"..." + KNOWN[0] + b"...")
    assert written(tmp_path) == [str(tmp_path / "x")]
    assert leaks(os.fsencode(SECRETS["RAY_AUTH_TOKEN"]))
