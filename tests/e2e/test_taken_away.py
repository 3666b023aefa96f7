"""A run that the platform takes away, that loses its study to another, or whose disk is full: nothing is lost by it."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from grokstudy.store.folder import StudyFolder
from grokstudy.store.lock import LOCK
from grokstudy.study.activity import FILE
from tests.e2e.conftest import SMALL, Cli
from tests.e2e.stored import assert_equal, tables, weights
from tests.services import tree

WORDS = [*SMALL, "seed=seeds(6)", "cluster.snapshot_seconds=0.2", "--steps", "300", "--name", "s"]
LONG = [*SMALL, "seed=seeds(40)", "--steps", "5000", "--name", "s"]
TERMINATED = 143
GENEROUS = 10.0
"""Seconds in which a process must have ended that the platform kills after three."""


def working(process: subprocess.Popen[str], root: Path) -> None:
    """Waits until the run holds its study."""
    while not (root / "s" / FILE).exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


def unfinished(root: Path) -> list[Path]:
    return [path for path in root.rglob("*") if path.name.startswith(".")]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.campaign) for seed in range(1, 10))])
def test_a_terminated_run_gives_its_study_back_and_goes_on_with_equal_bits(cli: Cli, seed: int, tmp_path: Path) -> None:
    taken = 0
    moments = random.Random(seed)
    while taken < 2:
        process = cli.start("run", *WORDS)
        working(process, cli.root)
        time.sleep(moments.uniform(0.1, 1.0))
        if process.poll() is not None:
            break
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=GENEROUS)
        assert process.returncode == TERMINATED, said
        assert "Everything finished is kept" in said
        assert not (cli.root / "s" / LOCK).exists()
        assert not (cli.root / "s" / FILE).exists()
        taken += 1
    assert taken
    cli.run("run", *WORDS)
    assert not unfinished(cli.root)
    whole = Cli(tmp_path / "whole")
    whole.run("run", *WORDS)
    assert_equal(tables(cli.root, "s"), tables(whole.root, "s"))


@pytest.mark.slow
@pytest.mark.ray
@pytest.mark.parametrize("stage", ["preparing", pytest.param("training", marks=pytest.mark.campaign)])
def test_a_terminated_run_leaves_no_ray_behind(cli: Cli, stage: str) -> None:
    words = [word for word in LONG if not word.startswith("cluster")]
    process = cli.start("run", *words, "cluster=local")
    working(process, cli.root)
    while (now := json.loads((cli.root / "s" / FILE).read_text()))["stage"] != stage or (
        stage == "training" and not now["updates"]
    ):
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=GENEROUS)
    assert process.returncode == TERMINATED
    assert "SIGTERM received" not in said  # a trace of Ray's C++
    assert not (cli.root / "s" / LOCK).exists()
    end = time.monotonic() + 180
    while (left := tree.with_variable("GROKSTUDY_STORAGE", str(cli.root))) and time.monotonic() < end:
        time.sleep(0.1)
    assert not left


@pytest.mark.slow
def test_a_paused_driver_that_lost_its_study_stops_when_it_comes_back(cli: Cli) -> None:
    process = cli.start("run", *LONG)
    working(process, cli.root)
    process.send_signal(signal.SIGSTOP)
    folder = StudyFolder.open(str(cli.root), "s")
    text = folder.get_text(LOCK)
    assert text is not None
    theirs = json.dumps({**json.loads(text), "host": "node-3", "pid": 12, "token": "theirs"})
    folder.put_text(LOCK, theirs)
    process.send_signal(signal.SIGCONT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 2, said
    assert "study 's' belongs to process 12 on node-3 now" in said
    assert "Traceback" not in said
    assert folder.get_text(LOCK) == theirs
    assert not folder.names("report/")


ON_A_SMALL_DISK = """
import os, pathlib, shutil, subprocess, sys
root, out, *words = sys.argv[1:]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", root], check=True)
ballast = pathlib.Path(root, "ballast")
ballast.write_bytes(b"x" * int(os.environ["BALLAST"]))
run = [sys.executable, "-m", "grokstudy.cli.app", "run", *words]
full = subprocess.run(run, capture_output=True, text=True)
print(full.returncode, full.stderr, file=open(out + "/said", "w"))
subprocess.run(["mount", "-o", "remount,size=100m", root], check=True)
subprocess.run(run, check=True)
shutil.copytree(root, out + "/copy")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "ballast", [1 << 20, pytest.param((1 << 20) - (200 << 10), marks=pytest.mark.campaign)], ids=["at once", "later"]
)
def test_a_full_disk_is_named_and_the_run_goes_on_once_there_is_space(cli: Cli, tmp_path: Path, ballast: int) -> None:
    """ "later": the disk fills up while packs run, which wait a minute for space."""
    words = [*SMALL, "seed=seeds(2)", "--steps", "100", "--name", "s"]
    cli.root.mkdir()
    alone = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
    script = [sys.executable, "-c", ON_A_SMALL_DISK, str(cli.root), str(tmp_path), *words]
    environment = {**cli.env, "BALLAST": str(ballast)}
    subprocess.run([*alone, *script], check=True, env=environment, cwd=cli.work, timeout=300)
    said = (tmp_path / "said").read_text()
    assert said.startswith("2 "), said
    assert f"storage.root: '{cli.root}' is full" in said
    assert "Free space there; everything finished is kept, the same command goes on." in said
    assert "Traceback" not in said
    whole = Cli(tmp_path / "whole")
    whole.run("run", *words)
    assert_equal(tables(tmp_path / "copy", "s"), tables(whole.root, "s"))
    assert weights(tmp_path / "copy", "s").keys() == weights(whole.root, "s").keys()
    assert not unfinished(tmp_path / "copy")
