"""A Ray cluster on this machine in a process of its own: a head without CPUs, a node with a GPU (as Ray counts them),
and a plain node. Prints the head's address; `lose` on its standard input kills the plain node; its end stops all."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

OBJECT_STORE_BYTES = 80_000_000
TOKEN = "0123456789abcdef0123456789abcdef"


class TwoNodes:
    """The running cluster, seen from a test."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.address = self._answer()
        self.gpu_node = self._answer()
        """Its id."""

    def lose_the_plain_node(self) -> None:
        """Kills its raylet and with it all that runs there; nobody is told."""
        assert self._process.stdin is not None
        print("lose", file=self._process.stdin, flush=True)
        assert self._answer() == "lost"

    def _answer(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert line, "the cluster did not start"
        return line


def environment(home: Path) -> Mapping[str, str]:
    """What the cluster's processes and its drivers share."""
    return {
        **{k: v for k, v in os.environ.items() if not k.startswith(("RAY_", "GROKSTUDY_"))},
        "HOME": str(home),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": TOKEN,
        "RAY_USAGE_STATS_ENABLED": "0",
        "OMP_NUM_THREADS": "1",
    }


@contextlib.contextmanager
def two_nodes(home: Path) -> Iterator[TwoNodes]:
    """The cluster, gone after the block."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.e2e.two_nodes"],
        env=dict(environment(home)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield TwoNodes(process)
    finally:
        try:
            process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def main() -> None:
    answers = os.dup(1)  # Ray prints what it likes
    os.dup2(2, 1)
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    try:
        size = {"object_store_memory": OBJECT_STORE_BYTES, "include_dashboard": False}
        cluster.add_node(num_cpus=0, **size)
        gpu = cluster.add_node(num_cpus=2, num_gpus=1, **size)
        plain = cluster.add_node(num_cpus=2, **size)
        cluster.wait_for_nodes()
        os.write(answers, f"{cluster.address}\n{gpu.node_id}\n".encode())
        for line in sys.stdin:
            if line.strip() == "lose":
                cluster.remove_node(plain, allow_graceful=False)
                os.write(answers, b"lost\n")
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main()
