"""A study of this machine alone: in its own process or on embedded Ray, on a disk or in moto's S3."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import sqlite3
import sys
from pathlib import Path

from tests.chaos.driver import Driver
from tests.chaos.world import Agenda, Blow
from tests.services import tree
from tests.services.process import own_environment
from tests.services.s3 import S3


@dataclasses.dataclass(slots=True, eq=False, kw_only=True)
class LocalWorld:
    """One folder, one driver, perhaps an S3 server."""

    root: str
    driver: Driver
    s3: S3 | None = None
    agenda: Agenda = dataclasses.field(default_factory=Agenda)

    def attack(self, kind: str, chance: random.Random) -> Blow | None:
        driver = self.driver
        if not driver.alive:
            return None
        if kind == "driver":
            driver.kill()
            return Blow("the driver")
        if kind == "everything":
            driver.kill_all()
            return Blow("the driver and all it started")
        if kind == "s3" and self.s3 is not None and self.s3.service is not None:
            seconds = chance.uniform(0.5, 3)
            self.s3.service.pause()
            self.agenda.add(seconds, self.s3.service.resume)
            return Blow(f"S3 silent for {seconds:.1f} s", lethal=False)
        found = [one for one in driver.children() if _is(kind, one)]
        if not found:
            return None
        victim = chance.choice(sorted(found, key=lambda one: one.pid))
        tree.kill([victim.pid])
        return Blow(victim.command.split(" ")[0].rpartition("/")[2])

    def tend(self) -> None:
        self.agenda.do_due()

    def is_ready(self) -> bool:
        return True

    def heal(self) -> None:
        self.agenda.do_due(all_of_it=True)

    def storage_answers(self) -> bool:
        return not self.agenda.waiting

    def runs(self, study: str) -> list[dict[str, str]] | None:
        """From MLflow's SQLite under a local root."""
        database = Path(self.root) / "mlflow.db"
        if not database.exists():
            return None
        with contextlib.closing(sqlite3.connect(database)) as connection:
            runs = connection.execute(
                "SELECT run_uuid, status FROM runs JOIN experiments USING (experiment_id) "
                "WHERE runs.lifecycle_stage = 'active' AND experiments.name = ?",
                (f"grokstudy/{study}",),
            ).fetchall()
            tags = connection.execute("SELECT run_uuid, key, value FROM tags").fetchall()
        return [{"status": state} | {key: value for run, key, value in tags if run == uuid} for uuid, state in runs]


def local_driver(folder: Path, root: str, s3: S3 | None = None) -> Driver:
    """The command line with a home and a folder for temporary files of its own."""
    for name in ("home", "tmp"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    environment = own_environment(
        **(s3.environment() if s3 else {}),
        HOME=str(folder / "home"),
        XDG_CACHE_HOME=str(folder / "home" / ".cache"),
        TMPDIR="/tmp",
        GROKSTUDY_STORAGE=root,
        RAY_AUTH_MODE="disabled",
        RAY_USAGE_STATS_ENABLED="0",
        OMP_NUM_THREADS="1",
        COLUMNS="200",
        PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    )
    return Driver(folder, environment)


def _is(kind: str, process: tree.Process) -> bool:
    """Whether a process is what this kind of event kills."""
    if kind == "raylet":
        return process.command.split(" ")[0].endswith("/raylet")
    name = process.command.split(" ")[0]
    return kind == "worker" and name.startswith("ray::") and not name.endswith(("IDLE", "Agent"))
