"""A study on hosts that share nothing: a Ray head, two workers, Ceph's S3, and MLflow on PostgreSQL."""

from __future__ import annotations

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
from tests.services.namespaces import Host, Network, network
from tests.services.postgres import Postgres, postgres
from tests.services.process import own_environment
from tests.services.ray_nodes import QUICK, RayCluster, ray_cluster
from tests.services.rgw import Rgw, rgw

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
    "link": 6,
    "damage": 6,
}
"""How often each kind of event comes, relative to the others."""
AWAY = (0.0, 5.0)
"""Seconds for which a killed service stays away, at least and at most."""
SILENT = (1.0, 15.0)
"""Seconds for which a node is paused or cut off; from about ten on it is given up."""


@dataclasses.dataclass(slots=True, eq=False, kw_only=True)
class ClusterWorld:
    """Everything a study needs on a cluster; the driver runs on the head's host, as a job's does."""

    root: str
    driver: Driver
    net: Network
    cluster: RayCluster
    gateway: Rgw
    database: Postgres
    mlflow: MlflowServer
    agenda: Agenda = dataclasses.field(default_factory=Agenda)
    back_at: dict[str, float] = dataclasses.field(default_factory=dict)
    """When a killed service comes back."""

    def attack(self, kind: str, chance: random.Random) -> Blow | None:
        if kind in ("mlflow", "postgres", "s3"):
            return self._kill_service(kind, chance.uniform(*AWAY))
        if kind in ("pause", "link"):
            return self._silence(kind, chance.choice(self.net.hosts[1:]), chance.uniform(*SILENT))
        if kind == "driver":
            if not self.driver.alive:
                return None
            self.driver.kill()
            return Blow("the driver")
        if kind == "head":
            if not self.cluster.nodes[0].alive:
                return None
            tree.kill(self.net.hosts[0].pids())
            return Blow("the head's host with the driver")
        return self._kill_on_a_node(kind, chance)

    def tend(self) -> None:
        self.agenda.do_due()
        now = time.monotonic()
        if self.gateway.gateway is None and now > self.back_at.get("s3", 0):
            self.gateway.start_gateway(wait=False)
        if self.database.service is None and now > self.back_at.get("postgres", 0):
            self.database.start()
        gone = self.mlflow.service is None or not self.mlflow.service.alive
        if gone and self.database.service is not None and now > self.back_at.get("mlflow", 0):
            self.mlflow.start(wait=False)
        self.cluster.start_ended()

    def is_ready(self) -> bool:
        """Whether the head knows itself: jobs are sent to its dashboard, which answers after that."""
        return self.net.hosts[0].address in self.cluster.head.alive_nodes()

    def heal(self) -> None:
        self.agenda.do_due(all_of_it=True)
        self.back_at.clear()
        self.tend()
        self.gateway.wait()
        self.mlflow.wait()
        end = time.monotonic() + 120
        while len(self.cluster.head.alive_nodes()) < len(self.cluster.nodes) and time.monotonic() < end:
            self.cluster.start_ended()
            time.sleep(0.2)

    def storage_answers(self) -> bool:
        return self.gateway.answers()

    def runs(self, study: str) -> list[dict[str, str]] | None:
        return self.mlflow.runs(f"grokstudy/{study}")

    def _kill_service(self, kind: str, seconds: float) -> Blow | None:
        service = {"mlflow": self.mlflow.service, "postgres": self.database.service, "s3": self.gateway.gateway}[kind]
        if service is None or not service.alive:
            return None
        if kind == "mlflow":
            self.mlflow.kill()
        elif kind == "postgres":
            self.database.kill()
        else:
            self.gateway.kill_gateway()
        self.back_at[kind] = time.monotonic() + seconds
        return Blow(f"{service.name}, back after {seconds:.1f} s")

    def _silence(self, kind: str, host: Host, seconds: float) -> Blow | None:
        if self.agenda.waiting:  # one at a time: the other may be needed to get on
            return None
        if kind == "pause":
            host.pause()
            self.agenda.add(seconds, host.resume)
            return Blow(f"{host.name} stopped for {seconds:.1f} s", lethal=False)
        host.unplug()
        self.agenda.add(seconds, host.plug)
        return Blow(f"{host.name} cut off for {seconds:.1f} s", lethal=False)

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
def cluster_world(folder: Path) -> Iterator[ClusterWorld]:
    """All of it, started; gone after the block.

    Raises:
        ServiceFailed: a part of it did not come up.
        PermissionError: namespaces are not allowed here.
    """
    with contextlib.ExitStack() as stack:
        net = stack.enter_context(network(folder / "hosts", ["head", "one", "two"]))
        gateway = stack.enter_context(rgw(folder / "rgw", net.gateway))
        s3 = gateway.s3
        root = s3.make_bucket("studies") + "/chaos"
        artifacts = s3.make_bucket("artifacts")
        database = stack.enter_context(postgres(folder / "postgres", net.gateway))
        needed = database.environment() | s3.environment()
        server = mlflow_server(
            folder / "mlflow", database.uri, artifacts=artifacts, environment=needed, host=net.gateway
        )
        mlflow = stack.enter_context(server)
        settings = {**QUICK, **s3.environment(), "OMP_NUM_THREADS": "1"}
        cluster = stack.enter_context(ray_cluster(net.hosts[0], net.hosts[1:], settings=settings))
        environment = own_environment(
            **settings,
            **cluster.head.environment,
            GROKSTUDY_STORAGE=root,
            MLFLOW_TRACKING_URI=mlflow.uri,
            COLUMNS="200",
        )
        driver = Driver(net.hosts[0].folder, environment, net.hosts[0])
        yield ClusterWorld(
            root=root,
            driver=driver,
            net=net,
            cluster=cluster,
            gateway=gateway,
            database=database,
            mlflow=mlflow,
        )
