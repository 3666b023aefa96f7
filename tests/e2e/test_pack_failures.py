"""What goes wrong inside a pack costs its own trial and nobody else's: real plug-ins that raise, real memory limits."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import SMALL, Cli
from .stored import assert_equal, tables, weights

MISSING_ROWS = """
import dataclasses
from grokstudy.spec.interfaces import Shape, Task
from grokstudy.tasks.modular import Modular

@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Broken(Task):
    def shape(self): return Shape(positions=2, vocab=5, classes=5)
    def rows(self): return 25
    def train_rows(self): return 10
    def data(self, seeds):
        if seeds.data == 1: raise RuntimeError("no rows today")
        return Modular(p=5, frac_train=0.4).data(seeds)
"""
TRAP = """
import dataclasses
from grokstudy.spec.interfaces import Regularizer

calls = []

@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Trap(Regularizer):
    exact_at_zero = True
    def gradient(self, params, strength):
        calls.append(1)
        if len(calls) > 60 and (strength > 1).any(): raise ValueError("caught")
        return params * strength.to(params.dtype)
"""
LIMITED = """
import resource, sys
from pathlib import Path
from grokstudy.spec.compose import compose_study
from grokstudy.study.board import Board
from grokstudy.study.run import run_study

def run(name, *words):
    words = ["preset=quad23", "tracking=none", "cluster=none", f"storage.root={sys.argv[1]}", *words]
    run_study(compose_study(words, name=name), Board(study=name))

run("warm", "budget=3", "seed=seeds(2)")  # loads every library, before memory is counted
used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 900 * 2**20, resource.RLIM_INFINITY))
run("many", "model.width=20000", "seed=seeds(32)", "budget=2")
run("large", "model.width=400000", "budget=2")
"""


def _plugin(folder: Path, room: str, name: str, text: str) -> list[str]:
    file = folder / room / f"{name}.py"
    file.parent.mkdir()
    file.write_text(text)
    return ["--plugin", str(file)]


def test_a_trial_that_cannot_be_built_fails_alone_and_its_packmates_stay_together(cli: Cli, tmp_path: Path) -> None:
    plugin = _plugin(tmp_path, "tasks", "broken", MISSING_ROWS)
    words = ["task=broken", "model=quad_mlp", "model.width=8", "tracking=none", "cluster=none", "seed=seeds(4)"]
    result = cli.run("run", *words, *plugin, "--name", "s", "--steps", "20", "--format", "json")
    assert json.loads(result.stdout)["outcomes"]["failed"] == 1
    trials = tables(cli.root, "s")["trials"].set_index("seed")
    assert trials.loc[1, "error"] == "RuntimeError: no rows today"
    assert (trials.drop(index=1)["status"] == "done").all()
    files = {path.parent.name for path in (cli.root / "s/checkpoints").rglob("step-00000020*.safetensors")}
    assert len(files) == 1, "the three that are left are still one pack"


def test_a_run_whose_every_trial_failed_does_not_exit_as_a_success(cli: Cli, tmp_path: Path) -> None:
    plugin = _plugin(tmp_path, "tasks", "broken", MISSING_ROWS)
    words = ["task=broken", "model=quad_mlp", "model.width=8", "tracking=none", "cluster=none", "seed=1"]
    result = cli.run("run", *words, *plugin, "--name", "s", "--steps", "20", code=1)
    asked = shlex.split(result.stdout.partition("errors   grokstudy ")[2].splitlines()[0])
    assert "RuntimeError: no rows today" in cli.run(*asked).stdout


@pytest.mark.slow
def test_a_trial_that_raises_while_it_is_stepped_costs_its_packmates_no_bit(cli: Cli, tmp_path: Path) -> None:
    """The others go on from the pack's snapshot, in halves, to what they would have been alone."""
    plugin = _plugin(tmp_path, "regularizers", "trap", TRAP)
    words = ["run", *SMALL, *plugin, "seed=seeds(2)", "--steps", "120"]
    cli.run(*words, "regularization.trap=0,0.001", "--name", "calm", "cluster.pack_size=1")
    trapped = [*words, "regularization.trap=0,0.001,2", "cluster.snapshot_seconds=1e-6", "--name", "s"]
    cli.run(*trapped)
    found = tables(cli.root, "s")
    failed = found["trials"].query("status == 'failed'")
    assert failed["regularization.trap"].tolist() == [2, 2]
    assert set(failed["error"]) == {"ValueError: caught"}
    calm = tables(cli.root, "calm")
    ids = set(calm["trials"]["trial_id"])
    for frames in (calm, found):  # a column's type depends on whether any trial has NULL there
        frames["trials"] = frames["trials"].drop(columns=["error", "stop_reason"]).convert_dtypes()
    rest = {view: frame[frame["trial_id"].isin(ids)].reset_index(drop=True) for view, frame in found.items()}
    assert_equal(calm, rest)
    assert weights(cli.root, "calm").keys() <= weights(cli.root, "s").keys()
    assert "6 (4 done already)" in cli.run(*trapped, "--dry-run").stdout


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="a process's memory is limited in Linux' way")
def test_a_pack_that_does_not_fit_into_memory_becomes_smaller_ones(tmp_path: Path) -> None:
    """One trial needs about 150 MiB, so 900 hold several but never 32: no trial is near the limit by itself.

    A thread's first allocation reserves an arena of 64 MiB, and how many threads allocate is a matter of timing: all
    share one here.
    """
    variables = os.environ | {"MALLOC_ARENA_MAX": "1"}
    words = [sys.executable, "-c", LIMITED, str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, env=variables)
    assert done.returncode == 0, done.stderr
    many = tables(tmp_path, "many")["trials"]
    assert set(many["status"]) == {"done"}, many["error"].dropna().tolist()
    assert len(many) == 32
    packs = {path.parent.name for path in (tmp_path / "many/checkpoints").rglob("step-00000002.safetensors")}
    assert len(packs) > 1, "it did fit: the limit is too high to test anything"
    (large,) = tables(tmp_path, "large")["trials"].itertuples()
    assert large.status == "failed"
    for part in ("out of memory", "model.width (now 400000)", "batch_size", "cluster.max_packs"):
        assert part in large.error
