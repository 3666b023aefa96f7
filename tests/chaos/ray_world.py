"""A study on a Ray cluster with S3 and MLflow: what can happen to it wherever its nodes are."""

from __future__ import annotations

import abc
import contextlib
import dataclasses
import random
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.chaos.driver import Driver
from tests.chaos.world import Agenda, Blow
from tests.services import tree
from tests.services.mlflow_server import MlflowServer, mlflow_server
from tests.services.postgres import Postgres, postgres
from tests.services.process import own_environment
from tests.services.ray_nodes import QUICK, RayCluster, RayNode
from tests.services.s3 import S3

WEIGHTS: Mapping[str, float] = {
    "driver": 14,
    "worker": 24,
    "look": 3,
    "raylet": 12,
    "head": 6,
    "mlflow": 10,
    "postgres": 10,
    "s3": 12,
    "pause": 8,
    "damage": 6,
}
"""How often each kind of event comes in every world of this kind, relative to the others."""
AWAY = (0.0, 5.0)
"""Seconds for which a killed service stays away, at least and at most."""
SILENT = (1.0, 15.0)
"""Seconds for which a node is paused or cut off; from about ten on it is given up."""


@dataclasses.dataclass(slots=True, eq=False, kw_only=True)
class RayWorld(abc.ABC):
    """Everything a study needs on a cluster; the driver runs beside the head, as a job's does."""

    made_of: str
    """In words."""
    weights: Mapping[str, float]
    """How often each kind of event comes, relative to the others."""
    root: str
    driver: Driver
    cluster: RayCluster
    s3: S3
    database: Postgres | None
    """MLflow's; None = SQLite, which is nobody's process."""
    mlflow: MlflowServer
    agenda: Agenda = dataclasses.field(default_factory=Agenda)
    back_at: dict[str, float] = dataclasses.field(default_factory=dict)
    """When a service that is away comes back."""

    def attack(self, kind: str, chance: random.Random) -> Blow | None:
        if kind == "mlflow":
            return self._kill_service(kind, self.mlflow, chance.uniform(*AWAY))
        if kind == "postgres" and self.database is not None:
            return self._kill_service(kind, self.database, chance.uniform(*AWAY))
        if kind == "pause":
            return self._pause(chance.choice(self.cluster.nodes[1:]), chance.uniform(*SILENT))
        if kind == "driver":
            if not self.driver.alive:
                return None
            self.driver.kill()
            return Blow("the driver")
        if kind == "head":
            if not self.cluster.nodes[0].alive:
                return None
            tree.kill(self.cluster.nodes[0].pids())
            return Blow("everything on the head, with the driver")
        return self._kill_on_a_node(kind, chance)

    def tend(self) -> None:
        self.agenda.do_due()
        now = time.monotonic()
        if self.database is not None and self.database.service is None and now > self.back_at.get("postgres", 0):
            self.database.start()
        gone = self.mlflow.service is None or not self.mlflow.service.alive
        has_database = self.database is None or self.database.service is not None
        if gone and has_database and now > self.back_at.get("mlflow", 0):
            self.mlflow.start(wait=False)
        self.cluster.start_ended()

    def is_ready(self) -> bool:
        """Whether the head knows itself: jobs are sent to its dashboard, which answers after that."""
        return self.cluster.head.address in self.cluster.head.alive_nodes()

    def heal(self) -> None:
        self.agenda.do_due(all_of_it=True)
        self.back_at = dict.fromkeys(self.back_at, 0.0)
        self.tend()
        self.mlflow.wait()
        end = time.monotonic() + 120
        while len(self.cluster.head.alive_nodes()) < len(self.cluster.nodes) and time.monotonic() < end:
            self.cluster.start_ended()
            time.sleep(0.2)

    @abc.abstractmethod
    def storage_answers(self) -> bool:
        """Whether a question to the storage is answered at once."""

    def runs(self, study: str) -> list[dict[str, str]] | None:
        return self.mlflow.runs(f"grokstudy/{study}")

    def _kill_service(self, kind: str, server: MlflowServer | Postgres, seconds: float) -> Blow | None:
        service = server.service
        if service is None or not service.alive:
            return None
        server.kill()
        self.back_at[kind] = time.monotonic() + seconds
        return Blow(f"{service.name}, back after {seconds:.1f} s")

    def _pause(self, node: RayNode, seconds: float) -> Blow | None:
        if self.agenda.waiting:  # one at a time: the other may be needed to get on
            return None
        node.pause()
        self.agenda.add(seconds, node.resume)
        return Blow(f"{node.name} stopped for {seconds:.1f} s", lethal=False)

    def _kill_on_a_node(self, kind: str, chance: random.Random) -> Blow | None:
        node = chance.choice(self.cluster.nodes[1:])
        if kind == "raylet":
            pids = node.raylet()
            tree.kill(pids)
            return Blow(f"the raylet of {node.name}") if pids else None
        # `look` is what a driver has every node do first.
        busy = [one for one in node.workers() if one.command.startswith("ray::look") == (kind == "look")]
        if not busy:
            return None
        victim = chance.choice(sorted(busy, key=lambda one: one.pid))
        tree.kill([victim.pid])
        return Blow(f"{victim.command.split(' ')[0]} on {node.name}")


@contextlib.contextmanager
def tracking(folder: Path, s3: S3, host: str, *, in_postgres: bool) -> Iterator[tuple[Postgres | None, MlflowServer]]:
    """MLflow's server with its artifacts in a bucket, and its database; gone after the block.

    Args:
        folder: for both.
        s3: where the bucket is made.
        host: the address to listen at.
        in_postgres: whether the database is PostgreSQL; else SQLite.

    Raises:
        ServiceFailed: one of them did not come up.
    """
    artifacts = s3.make_bucket("artifacts")
    with contextlib.ExitStack() as stack:
        database = stack.enter_context(postgres(folder / "postgres", host)) if in_postgres else None
        needed = s3.environment() | (database.environment() if database else {})
        uri = database.uri if database else None
        server = mlflow_server(folder / "mlflow", uri, artifacts=artifacts, environment=needed, host=host)
        yield database, stack.enter_context(server)


def node_settings(s3: S3) -> dict[str, str]:
    """Environment of every node: lost ones are noticed soon, the study's storage is reached."""
    return {**QUICK, **s3.environment(), "OMP_NUM_THREADS": "1"}


def driver_environment(cluster: RayCluster, s3: S3, root: str, mlflow: MlflowServer, **more: str) -> dict[str, str]:
    """Environment of a driver on the head's machine."""
    return own_environment(
        **node_settings(s3),
        **cluster.head.environment,
        GROKSTUDY_STORAGE=root,
        MLFLOW_TRACKING_URI=mlflow.uri,
        COLUMNS="200",
        **more,
    )
