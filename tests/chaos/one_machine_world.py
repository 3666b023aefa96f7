"""A study on one machine without namespaces: Ray nodes that share it, moto's S3, MLflow. Needs no root.

Nodes share the network, so that none can be cut off, and moto keeps its objects in memory, so that S3 is only silenced.
"""

from __future__ import annotations

import contextlib
import dataclasses
import random
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.chaos import ray_world
from tests.chaos.driver import Driver
from tests.chaos.ray_world import AWAY, RayWorld
from tests.chaos.world import Blow
from tests.services import postgres, ray_loopback
from tests.services.ray_nodes import MARK
from tests.services.s3 import moto_server

HOST = "127.0.0.1"
WORKERS = ("one", "two")
WEIGHTS: Mapping[str, float] = {**ray_world.WEIGHTS, "node": 6}


@dataclasses.dataclass(slots=True, eq=False, kw_only=True)
class OneMachineWorld(RayWorld):
    """A node is what was started with its environment; the driver has the head's."""

    def attack(self, kind: str, chance: random.Random) -> Blow | None:
        if kind == "s3":
            return self._silence_s3(chance.uniform(*AWAY))
        if kind == "node":
            node = chance.choice(self.cluster.nodes[1:])
            if not node.alive:
                return None
            node.kill()
            return Blow(f"everything on {node.name}")
        return RayWorld.attack(self, kind, chance)

    def tend(self) -> None:
        if time.monotonic() > self.back_at.get("s3", float("inf")):
            assert self.s3.service is not None
            self.s3.service.resume()
            del self.back_at["s3"]
        RayWorld.tend(self)

    def storage_answers(self) -> bool:
        return "s3" not in self.back_at

    def _silence_s3(self, seconds: float) -> Blow | None:
        if self.s3.service is None or not self.storage_answers():
            return None
        self.s3.service.pause()
        self.back_at["s3"] = time.monotonic() + seconds
        return Blow(f"S3 silent for {seconds:.1f} s", lethal=False)


def why_not() -> str | None:
    """Why there can be no world of this kind here; None if there can."""
    return ray_loopback.why_not()


@contextlib.contextmanager
def one_machine_world(folder: Path) -> Iterator[OneMachineWorld]:
    """All of it, started; gone after the block. MLflow is on PostgreSQL where that is installed, else on SQLite.

    Raises:
        ServiceFailed: a part of it did not come up.
    """
    with contextlib.ExitStack() as stack:
        s3 = stack.enter_context(moto_server(folder / "s3", HOST))
        root = s3.make_bucket("studies") + "/chaos"
        in_postgres = postgres.why_not() is None
        database, mlflow = stack.enter_context(ray_world.tracking(folder, s3, HOST, in_postgres=in_postgres))
        keeper = "PostgreSQL" if database else "SQLite"
        settings = ray_world.node_settings(s3)
        nodes = folder / "nodes"
        cluster = stack.enter_context(ray_loopback.loopback_cluster(nodes, WORKERS, settings=settings))
        home = nodes / "head" / "home"
        own = {MARK: cluster.nodes[0].mark, "HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")}
        environment = ray_world.driver_environment(cluster, s3, root, mlflow, **own)
        yield OneMachineWorld(
            made_of=f"nodes head, {', '.join(WORKERS)} with Ray, moto, {keeper} and MLflow",
            weights={kind: weight for kind, weight in WEIGHTS.items() if database or kind != "postgres"},
            root=root,
            driver=Driver(nodes / "head", environment),
            cluster=cluster,
            s3=s3,
            database=database,
            mlflow=mlflow,
        )
