"""A study on a cluster of several nodes: the bits of one process, packs where they fit, nothing lost with a node."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Cli
from .stored import assert_equal, tables
from .two_nodes import TwoNodes, environment, two_nodes

STUDY = ["preset=quad23", "regularization.weight_decay=0,1,3", "seed=seeds(2)"]
STUDY += ["tracking=none", "measures.names=[cross_entropy]", "measures.checkpoints=final"]
JOIN = """
from grokstudy.execution.connect import connect
from grokstudy.spec.errors import BadInput

try:
    connect(None)
    print("joined")
except BadInput as error:
    print(error)
"""

MEETING = """
import dataclasses, time
from pathlib import Path
import ray
from grokstudy.tasks.modular import Modular
from grokstudy.spec.interfaces import Task
from grokstudy.spec.fields import setting

@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Meeting(Task):
    folder: str = setting(help="where packs leave a word")
    def shape(self): return Modular(p=11, frac_train=0.5).shape()
    def rows(self): return 121
    def train_rows(self): return 60
    def data(self, seeds):
        context = ray.get_runtime_context() if ray.is_initialized() else None
        if context is not None and context.get_actor_id() is not None:
            gpu = ",".join(context.get_accelerator_ids()["GPU"])
            word = f"{context.get_node_id()} {gpu} {context.get_worker_id()}"
            (Path(self.folder) / f"seed{seeds.data}").write_text(word)
            end = time.monotonic() + 120
            while len(list(Path(self.folder).iterdir())) < 4:
                assert time.monotonic() < end, "four packs never ran at a time"
                time.sleep(0.05)
        return Modular(p=11, frac_train=0.5).data(seeds)
"""

pytestmark = [pytest.mark.slow, pytest.mark.ray]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoNodes]:
    with two_nodes(tmp_path_factory.mktemp("home")) as running:
        yield running


@pytest.fixture
def driver(cli: Cli, cluster: TwoNodes) -> Cli:
    """A command line that finds the cluster as a job on it does."""
    here = environment(Path(cli.env["HOME"]))
    cli.env = {**here, "GROKSTUDY_STORAGE": str(cli.root), "COLUMNS": "200", "RAY_ADDRESS": cluster.address}
    return cli


def test_quarters_of_a_gpu_put_four_packs_on_its_node(driver: Cli, cluster: TwoNodes, tmp_path: Path) -> None:
    """The packs wait for each other, so that they can only end if all four run at a time."""
    plugin, words = tmp_path / "tasks" / "meeting.py", tmp_path / "words"
    plugin.parent.mkdir()
    words.mkdir()
    plugin.write_text(MEETING)
    asked = ["run", "task=meeting", f"task.folder={words}", "model=quad_mlp", "model.width=8", "seed=seeds(4)"]
    asked += ["tracking=none", "cluster=ray", "cluster.gpus_per_pack=0.25", "cluster.cpus_per_pack=0.25"]
    asked += ["--plugin", str(plugin), "--name", "s", "--steps", "20", "--format", "json"]
    plan = json.loads(driver.run(*asked, "--dry-run").stdout)
    assert sorted(plan["placement"].values()) == [0, 0, 4]
    assert (plan["slots"], plan["packs"]) == (4, [1, 1, 1, 1])
    assert json.loads(driver.run(*asked).stdout)["ran"] == 4
    nodes, gpus, workers = zip(*(file.read_text().split() for file in words.iterdir()), strict=True)
    assert set(nodes) == {cluster.gpu_node}
    assert set(gpus) == {"0"}
    assert len(set(workers)) == 4


def test_a_cluster_that_cannot_be_joined_is_explained_at_once(driver: Cli) -> None:
    def told(*before: str, **variables: str) -> str:
        done = subprocess.run(
            [*before, sys.executable, "-c", JOIN], env={**driver.env, **variables}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    with socket.socket() as silent:  # bound, and nobody listens
        silent.bind(("127.0.0.1", 0))
        assert "nothing answers" in told(RAY_ADDRESS=f"127.0.0.1:{silent.getsockname()[1]}")
    assert "does not take our token" in told(RAY_AUTH_TOKEN="f" * 32)
    assert "RAY_ADDRESS: got 'http://head:8265'" in told(RAY_ADDRESS="http://head:8265")
    if os.geteuid() == 0 and shutil.which("unshare"):  # a machine on the same network without a raylet of its own
        assert "this machine is not a node" in told("unshare", "--pid", "--fork", "--mount-proc")
    assert told() == "joined\n"


def test_a_storage_that_nodes_do_not_share_is_refused_before_the_first_pack(driver: Cli) -> None:
    words = ["preset=quad23", "task.p=11", "model.width=32", "tracking=none", "cluster=ray"]
    shown = driver.run("run", *words, "storage.root=memory://own", "--name", "s", "--steps", "20", code=2).stderr
    assert "not every node could run this study" in shown
    assert "what the driver wrote is not there" in shown


# Last: it leaves the cluster with a node less.


def test_a_cluster_gives_the_bits_of_one_process_though_a_node_is_lost(driver: Cli, cluster: TwoNodes) -> None:
    driver.run("run", *STUDY, "cluster=none", "--name", "alone", "--steps", "900")
    words = ["run", *STUDY, "cluster=ray", "cluster.pack_size=1", "cluster.snapshot_seconds=0.5"]
    process = driver.start(*words, "--name", "s", "--steps", "900")
    end = time.monotonic() + 240
    while not list((driver.root / "s/trials").glob("*.parquet")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)
    cluster.lose_the_plain_node()
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert "ran 6 of 6 trials" in out
    assert "failed" not in err
    assert_equal(tables(driver.root, "alone"), tables(driver.root, "s"))
