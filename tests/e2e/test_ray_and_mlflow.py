"""The same study on Ray Tune with MLflow: the in-process results, one run per trial, nothing left RUNNING."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
from pathlib import Path

import pytest

from .conftest import Cli
from .stored import assert_equal, tables

STUDY = ["preset=quad23", "regularization.weight_decay=0,1,3", "task.frac_train=0.5,0.7", "seed=seeds(2)"]
STUDY += ["measures.names=[cross_entropy,fourier_losses,fve]", "measures.checkpoints=final"]
TRIALS = 12

pytestmark = [pytest.mark.slow, pytest.mark.ray]


def test_ray_gives_the_bits_of_this_process_and_survives_a_kill_of_everything(cli: Cli) -> None:
    """Killed once with SIGKILL (driver, raylet and workers) and run again: the undisturbed tables, bit for bit."""
    cli.run("run", *STUDY, "cluster=none", "tracking=none", "--name", "inline", "--steps", "900")
    words = ["run", *STUDY, "cluster=local", "cluster.snapshot_seconds=0.5", "--name", "tuned", "--steps", "900"]
    process = cli.start(*words)
    end = time.monotonic() + 240
    while not list((cli.root / "tuned/trials").glob("*.parquet")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert 0 < len(tables(cli.root, "tuned")["trials"]) < TRIALS

    cli.run(*words)
    assert_equal(tables(cli.root, "inline"), tables(cli.root, "tuned"))
    runs = _runs(cli.root / "mlflow.db")
    trials = [run for run in runs if "grokstudy.trial_id" in run]
    assert len(trials) == len({run["grokstudy.trial_id"] for run in trials}) == TRIALS
    assert {run["status"] for run in runs} == {"FINISHED"}
    assert len([run for run in runs if run.get("grokstudy.role") == "study"]) == 1
    artifacts = {path.name for path in (cli.root / "mlflow-artifacts").rglob("*") if path.is_file()}
    assert {"report.md", "phase.html", "phase.png", "trials.csv"} <= artifacts

    again = cli.run(*words)
    assert "nothing to do" in again.stdout
    assert len(_runs(cli.root / "mlflow.db")) == len(runs)


def _runs(database: Path) -> list[dict[str, str]]:
    """Status and tags of every run that is not deleted."""
    with sqlite3.connect(database) as connection:
        runs = connection.execute("SELECT run_uuid, status FROM runs WHERE lifecycle_stage = 'active'").fetchall()
        tags = connection.execute("SELECT run_uuid, key, value FROM tags").fetchall()
    return [{"status": status} | {key: value for run, key, value in tags if run == uuid} for uuid, status in runs]
