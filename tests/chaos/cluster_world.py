"""A study on hosts that share nothing: a Ray head, two workers, Ceph's S3, and MLflow on PostgreSQL."""

from __future__ import annotations

import contextlib
import dataclasses
import random
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.chaos import ray_world
from tests.chaos.driver import Driver
from tests.chaos.ray_world import AWAY, SILENT, RayWorld
from tests.chaos.world import Blow
from tests.services import namespaces, postgres, rgw
from tests.services.namespaces import Host, Network
from tests.services.ray_nodes import ray_cluster
from tests.services.rgw import Rgw

WEIGHTS: Mapping[str, float] = {**ray_world.WEIGHTS, "link": 6}


@dataclasses.dataclass(slots=True, eq=False, kw_only=True)
class ClusterWorld(RayWorld):
    """Its hosts can be cut off, and its S3 keeps everything when its gateway is killed."""

    net: Network
    gateway: Rgw

    def attack(self, kind: str, chance: random.Random) -> Blow | None:
        if kind == "link":
            return self._cut_off(chance.choice(self.net.hosts[1:]), chance.uniform(*SILENT))
        if kind == "s3":
            return self._kill_gateway(chance.uniform(*AWAY))
        return RayWorld.attack(self, kind, chance)

    def tend(self) -> None:
        if self.gateway.gateway is None and time.monotonic() > self.back_at.get("s3", 0):
            self.gateway.start_gateway(wait=False)
        RayWorld.tend(self)

    def heal(self) -> None:
        RayWorld.heal(self)
        self.gateway.wait()

    def storage_answers(self) -> bool:
        return self.gateway.answers()

    def _kill_gateway(self, seconds: float) -> Blow | None:
        service = self.gateway.gateway
        if service is None or not service.alive:
            return None
        self.gateway.kill_gateway()
        self.back_at["s3"] = time.monotonic() + seconds
        return Blow(f"{service.name}, back after {seconds:.1f} s")

    def _cut_off(self, host: Host, seconds: float) -> Blow | None:
        if self.agenda.waiting:  # one at a time: the other may be needed to get on
            return None
        host.unplug()
        self.agenda.add(seconds, host.plug)
        return Blow(f"{host.name} cut off for {seconds:.1f} s", lethal=False)


def why_not() -> str | None:
    """Why there can be no world of this kind here; None if there can."""
    return namespaces.why_not() or postgres.why_not() or rgw.why_not()


@contextlib.contextmanager
def cluster_world(folder: Path) -> Iterator[ClusterWorld]:
    """All of it, started; gone after the block.

    Raises:
        ServiceFailed: a part of it did not come up.
        PermissionError: namespaces are not allowed here.
    """
    with contextlib.ExitStack() as stack:
        net = stack.enter_context(namespaces.network(folder / "hosts", ["head", "one", "two"]))
        gateway = stack.enter_context(rgw.rgw(folder / "rgw", net.gateway))
        s3 = gateway.s3
        root = s3.make_bucket("studies") + "/chaos"
        database, mlflow = stack.enter_context(ray_world.tracking(folder, s3, net.gateway, in_postgres=True))
        settings = ray_world.node_settings(s3)
        cluster = stack.enter_context(ray_cluster(net.hosts[0], net.hosts[1:], settings=settings))
        environment = ray_world.driver_environment(cluster, s3, root, mlflow)
        yield ClusterWorld(
            made_of=f"hosts {', '.join(host.name for host in net.hosts)} with Ray, Ceph, PostgreSQL and MLflow",
            weights=WEIGHTS,
            root=root,
            driver=Driver(net.hosts[0].folder, environment, net.hosts[0]),
            cluster=cluster,
            s3=s3,
            database=database,
            mlflow=mlflow,
            net=net,
            gateway=gateway,
        )
