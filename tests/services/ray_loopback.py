"""A Ray cluster of several nodes on this machine, for users who may not make namespaces.

Every node has a loopback address, ports, a home and a folder of Ray's of its own. Linux takes every address of
127.0.0.0/8 for its own; 127.0.0.1 would not do: Ray replaces it by the machine's, the same for all nodes. Ray's head
and raylets listen beyond loopback all the same: to those who have the token.
"""

from __future__ import annotations

import contextlib
import secrets
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.services.ports import free_port
from tests.services.ray_nodes import RayCluster, RayHead, head_words, new_node, sizes, started, worker_words

HEAD = "127.0.0.2"


def why_not() -> str | None:
    """Why there can be no nodes of this kind here; None if there can."""
    if not Path("/proc/self/environ").exists():
        return "processes of a node are found in /proc, which this system lacks"
    with socket.socket() as probe:
        try:
            probe.bind((HEAD, 0))
        except OSError as error:
            return f"{HEAD} is no address of this machine ({error})"
    return None


@contextlib.contextmanager
def loopback_cluster(
    folder: Path,
    workers: Sequence[str],
    *,
    cpus: float = 1,
    resources: Mapping[str, float] | None = None,
    settings: Mapping[str, str] | None = None,
) -> Iterator[RayCluster]:
    """A head without CPUs and workers of these names; gone after the block.

    Args:
        folder: each node's logs and home lie in a folder of its name below.
        workers: their names; `head` is taken.
        cpus: of each worker, as Ray counts them.
        resources: further ones of each worker.
        settings: environment of all, e.g. QUICK.

    Raises:
        ServiceFailed: a node did not come up.
    """
    # Ray's sockets lie in its folder, and their paths must be short.
    scratch = Path(tempfile.mkdtemp(prefix="gs-ray-"))
    addresses = {name: f"127.0.0.{number}" for number, name in enumerate(("head", *workers), 2)}
    gcs, dashboard, client = (free_port(HEAD) for _ in range(3))
    head = RayHead(f"{HEAD}:{gcs}", f"http://{HEAD}:{dashboard}", secrets.token_hex(16))
    nodes = []
    for name, address in addresses.items():
        words = [f"--temp-dir={scratch / name}", f"--dashboard-agent-listen-port={free_port(address)}"]
        if name == "head":
            words += [*head_words(head), f"--ray-client-server-port={client}", *sizes(0)]
        else:
            words += [*worker_words(head, address), *sizes(cpus, resources)]
        home = folder / name / "home"
        home.mkdir(parents=True, exist_ok=True)
        nodes.append(new_node(name, words, head, home, folder / name, settings=settings))
    try:
        with started(RayCluster(head, tuple(nodes))) as cluster:
            yield cluster
    finally:
        for name in addresses:
            with contextlib.suppress(OSError, shutil.Error):
                shutil.copytree(scratch / name / "session_latest/logs", folder / name / "ray-logs", dirs_exist_ok=True)
        shutil.rmtree(scratch, ignore_errors=True)
