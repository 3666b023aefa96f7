"""Ray nodes with dashboard and token: one head on loopback, or a head and workers between namespaces.

Several nodes without namespaces: `ray_loopback`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import secrets
import shutil
import signal
import sys
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.services import tree
from tests.services.namespaces import Host
from tests.services.ports import free_port
from tests.services.process import Service, own_environment, start

OBJECT_STORE_BYTES = 80_000_000
MARK = "GROKSTUDY_TEST_RAY_NODE"
"""Environment variable by which every process of a node is found, whoever started it."""

QUICK: Mapping[str, str] = {
    "RAY_health_check_initial_delay_ms": "2000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "5",
    "RAY_gcs_server_request_timeout_seconds": "10",
}
"""Settings by which a lost node is noticed in seconds instead of a minute."""


@dataclasses.dataclass(frozen=True, slots=True)
class RayHead:
    """Where a head is reached, and what a client needs for it."""

    gcs_address: str
    dashboard: str
    token: str = dataclasses.field(repr=False)

    @property
    def address(self) -> str:
        """Of its node."""
        return self.gcs_address.rpartition(":")[0]

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs. RAY_ADDRESS is where a driver connects, RAY_API_SERVER_ADDRESS where jobs are sent."""
        return {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.token,
            "RAY_ADDRESS": self.gcs_address,
            "RAY_API_SERVER_ADDRESS": self.dashboard,
            "RAY_USAGE_STATS_ENABLED": "0",
        }

    def alive_nodes(self) -> list[str]:
        """Addresses of the nodes that the head counts as alive; none while it does not answer."""
        request = urllib.request.Request(
            f"{self.dashboard}/nodes?view=summary", headers={"Authorization": f"Bearer {self.token}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                found = json.load(answer)["data"]["summary"]
        except OSError:
            return []
        return sorted(node["ip"] for node in found if node["raylet"].get("state") == "ALIVE")


@dataclasses.dataclass(slots=True, eq=False)
class RayNode:
    """A node that can be killed and started again."""

    name: str
    mark: str
    words: tuple[str, ...]
    environment: Mapping[str, str] = dataclasses.field(repr=False)
    folder: Path
    host: Host | None = None
    """Where it runs; None = here."""
    service: Service | None = None
    """`ray start --block`; None = never started."""
    printed: int = 0
    """Bytes of its log from earlier starts."""

    def start(self) -> None:
        """Starts it without waiting."""
        log = self.folder / f"{self.name}.log"
        self.printed = log.stat().st_size if log.exists() else 0
        if self.host is not None:
            self.service = self.host.start(self.name, self.words, self.environment)
        else:
            self.service = start(self.name, self.words, self.folder, self.environment)

    def wait(self, seconds: float = 90.0) -> None:
        """Until Ray says that it runs.

        Raises:
            ServiceFailed: it ended, or takes longer.
        """
        assert self.service is not None
        log = self.service.log
        self.service.wait_until(lambda: b"Ray runtime started." in log.read_bytes()[self.printed :], seconds)

    @property
    def alive(self) -> bool:
        return self.service is not None and self.service.alive

    def processes(self) -> list[tree.Process]:
        """Everything that runs on it: Ray's own, workers, drivers that were started with its environment."""
        return tree.with_variable(MARK, self.mark)

    def pids(self) -> list[int]:
        """Everything on its host; without one, everything that was started with its environment."""
        return self.host.pids() if self.host is not None else [one.pid for one in self.processes()]

    def pause(self) -> None:
        """SIGSTOP to everything on it: a machine that hangs."""
        tree.send(self.pids(), signal.SIGSTOP)

    def resume(self) -> None:
        tree.send(self.pids(), signal.SIGCONT)

    def raylet(self) -> list[int]:
        return [one.pid for one in self.processes() if _program(one) == "raylet"]

    def workers(self) -> list[tree.Process]:
        """Workers that run something, by the name that Ray gives a process then."""
        named = [one for one in self.processes() if one.command.startswith("ray::")]
        return [one for one in named if not one.command.split(" ")[0].endswith(("IDLE", "Agent"))]

    def kill(self) -> None:
        """SIGKILL to everything on it, as a lost machine would."""
        tree.kill(one.pid for one in self.processes())
        if self.service is not None:
            self.service.kill()

    def stop(self) -> None:
        """Asks it to end, then kills what is left."""
        if self.service is not None:
            self.service.stop(3)
        self.kill()


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class RayCluster:
    """A head and its workers."""

    head: RayHead
    nodes: tuple[RayNode, ...]
    """The head first."""

    def start_ended(self) -> list[str]:
        """Starts what has ended, as whatever looks after pods would; names of those. Does not wait."""
        ended = [node for node in self.nodes if not node.alive]
        for node in ended:
            node.kill()
            node.start()
        return [node.name for node in ended]


@contextlib.contextmanager
def ray_head(
    folder: Path,
    *,
    cpus: float = 1,
    resources: Mapping[str, float] | None = None,
    settings: Mapping[str, str] | None = None,
) -> Iterator[RayHead]:
    """One `ray start --head` with dashboard and token, on ports of its own; gone after the block.

    Ray puts a machine's own address where it is told 127.0.0.1, so that its ports are open beyond loopback: to those
    who have the token.

    Args:
        folder: for its logs and its home.
        cpus: as Ray counts them.
        resources: further ones.
        settings: environment of the node and all that runs on it, e.g. what its storage needs.

    Raises:
        ServiceFailed: it did not come up.
    """
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    # Ray's sockets lie in its folder, and their paths must be short.
    scratch = Path(tempfile.mkdtemp(prefix="gs-ray-"))
    gcs, dashboard, client, agent = (free_port() for _ in range(4))
    head = RayHead(f"127.0.0.1:{gcs}", f"http://127.0.0.1:{dashboard}", secrets.token_hex(16))
    words = [*head_words(head), f"--temp-dir={scratch}"]
    words += [f"--ray-client-server-port={client}", f"--dashboard-agent-listen-port={agent}"]
    node = new_node("ray-head", [*words, *sizes(cpus, resources)], head, home, folder, settings=settings)
    try:
        node.start()
        node.wait()
        assert node.service is not None
        node.service.wait_until(lambda: bool(head.alive_nodes()), 60)
        yield head
    finally:
        node.stop()
        with contextlib.suppress(OSError, shutil.Error):
            shutil.copytree(scratch / "session_latest" / "logs", folder / "ray-logs", dirs_exist_ok=True)
        shutil.rmtree(scratch, ignore_errors=True)


@contextlib.contextmanager
def ray_cluster(
    head_host: Host,
    worker_hosts: Sequence[Host],
    *,
    cpus: float = 1,
    resources: Mapping[str, float] | None = None,
    settings: Mapping[str, str] | None = None,
) -> Iterator[RayCluster]:
    """A head without CPUs and one worker per further host; gone after the block.

    Args:
        head_host: of the head.
        worker_hosts: of the workers.
        cpus: of each worker, as Ray counts them.
        resources: further ones of each worker.
        settings: environment of all, e.g. QUICK.

    Raises:
        ServiceFailed: a node did not come up.
    """
    gcs, dashboard = 6379, 8265
    head = RayHead(f"{head_host.address}:{gcs}", f"http://{head_host.address}:{dashboard}", secrets.token_hex(16))
    words = [*head_words(head), *sizes(0)]
    nodes = [new_node("head", words, head, head_host.home, head_host.folder, head_host, settings)]
    for host in worker_hosts:
        words = [*worker_words(head, host.address), *sizes(cpus, resources)]
        nodes.append(new_node(host.name, words, head, host.home, host.folder, host, settings))
    with started(RayCluster(head, tuple(nodes))) as cluster:
        yield cluster


@contextlib.contextmanager
def started(cluster: RayCluster) -> Iterator[RayCluster]:
    """All nodes of a cluster are up, its head first; stopped after the block.

    Raises:
        ServiceFailed: a node did not come up.
    """
    try:
        for together in cluster.nodes[:1], cluster.nodes[1:]:
            for node in together:
                node.start()
            for node in together:
                node.wait()
        yield cluster
    finally:
        for node in reversed(cluster.nodes):
            node.stop()


def head_words(head: RayHead) -> list[str]:
    """What `ray start` needs to be this head."""
    port, dashboard = (place.rpartition(":")[2] for place in (head.gcs_address, head.dashboard))
    words = ["--head", f"--node-ip-address={head.address}", f"--port={port}", "--include-dashboard=true"]
    return [*words, f"--dashboard-host={head.address}", f"--dashboard-port={dashboard}"]


def worker_words(head: RayHead, address: str) -> list[str]:
    """What `ray start` needs to be a worker at an address."""
    return [f"--address={head.gcs_address}", f"--node-ip-address={address}"]


def sizes(cpus: float, resources: Mapping[str, float] | None = None) -> list[str]:
    """What `ray start` needs to have so many CPUs and further resources, and little memory."""
    words = [f"--num-cpus={cpus:g}", f"--object-store-memory={OBJECT_STORE_BYTES}"]
    words += ["--min-worker-port=0", "--max-worker-port=0"]
    return [*words, f"--resources={json.dumps(dict(resources))}"] if resources else words


def new_node(
    name: str,
    words: Sequence[str],
    head: RayHead,
    home: Path,
    folder: Path,
    host: Host | None = None,
    settings: Mapping[str, str] | None = None,
) -> RayNode:
    """A node that is not started yet.

    Args:
        name: its own, and its log's.
        words: after `ray start`.
        head: of its cluster.
        home: its HOME, which must exist.
        folder: for its log.
        host: where it runs; None = here.
        settings: environment of it and of all that runs on it.
    """
    mark = secrets.token_hex(8)
    environment = own_environment(
        **(head.environment | {"RAY_ADDRESS": ""} | dict(settings or {})),
        **{MARK: mark, "HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")},
        PATH=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    )
    del environment["RAY_ADDRESS"]
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", *words, "--block", "--disable-usage-stats"]
    return RayNode(name, mark, tuple(command), environment, folder, host)


def _program(process: tree.Process) -> str:
    return process.command.split(" ", 1)[0].rpartition("/")[2]
