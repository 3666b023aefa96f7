"""Forks through the command line's own path: named, looked up, checked, trained, resumed, shown."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

import grokstudy as gs
from grokstudy.cli.app import app
from grokstudy.spec.compose import compose_study
from grokstudy.spec.errors import BadInput
from grokstudy.store.folder import StudyFolder
from grokstudy.store.snapshots import snapshots
from grokstudy.study.board import Board
from grokstudy.study.run import StudyResult, plan_study, run_study

from .conftest import SMALL, Cli
from .stored import assert_equal, tables, weights

KEEP = "init.optimizer_state=keep"
QUAD23 = [*SMALL, "task.p=23", "model.width=128"]


def _run(root: Path, name: str, *words: str) -> StudyResult:
    """What `grokstudy run --name` does, in this process."""
    spec = compose_study([*SMALL, f"storage.root={root}", *words], name=name)
    return run_study(spec, Board(study=name))


def _refused(root: Path, *words: str) -> str:
    with pytest.raises(BadInput) as caught:
        _run(root, "refused", *words)
    assert not (root / "refused").exists(), "nothing may be written before a fork is checked"
    return str(caught.value)


def _trials(root: Path, name: str) -> pd.DataFrame:
    return gs.open(name, str(root)).trials().set_index("seed")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Parents: two seeds to step 60, with a sibling study of two weight decays."""
    root = tmp_path_factory.mktemp("data")
    _run(root, "parent", "seed=seeds(2)", "budget=60")
    _run(root, "wd", "regularization.weight_decay=0,1", "budget=30", "seed=5")
    return root


def test_a_study_as_parent_gives_every_fork_the_trial_of_its_own_seed(root: Path) -> None:
    _run(root, "forks", "seed=seeds(2)", "init.from=parent@30,parent@end", "budget=20")
    forks, parents = _trials(root, "forks"), _trials(root, "parent")
    assert sorted(forks["parent_step"]) == [30, 30, 60, 60]
    for seed in (0, 1):
        assert set(forks.loc[seed, "parent_trial"]) == {parents.loc[seed, "trial_id"]}
    before, after = weights(root, "parent"), weights(root, "forks")
    for fork in forks.itertuples():
        for name, tensor in after[fork.trial_id, 0].items():
            assert torch.equal(tensor, before[fork.parent_trial, fork.parent_step][name])


def test_a_prefix_a_full_id_and_a_study_are_the_same_trial(root: Path) -> None:
    identity = _trials(root, "parent").loc[1, "trial_id"]
    ids = set()
    for text in (f"{identity}@30", f"{identity[:9]}@30", "parent@30"):
        spec = compose_study([*SMALL, f"storage.root={root}", "seed=1", f"init.from={text}"], name="one")
        ids |= {trial.trial_id for trial in plan_study(spec, 1).trials}
    assert len(ids) == 1


def test_of_several_trials_of_a_study_the_one_with_the_forks_own_values_is_the_parent(root: Path) -> None:
    _run(root, "same", "init.from=wd@30", "seed=5", "regularization.weight_decay=0,1", "budget=10")
    parents = gs.open("wd", str(root)).trials().set_index("weight_decay")["trial_id"]
    forks = gs.open("same", str(root)).trials().set_index("weight_decay")["parent_trial"]
    assert forks.to_dict() == parents.to_dict()
    message = _refused(root, "init.from=wd@30", "seed=5", "regularization.weight_decay=2")
    for part in ("init.from", "wd@30", *parents, "weight_decay=0", "Name the trial"):
        assert part in message


def test_a_fork_that_is_run_again_does_nothing_even_when_its_parent_is_gone_on(root: Path) -> None:
    _run(root, "early", "seed=seeds(2)", "budget=30")
    words = ["seed=seeds(2)", "init.from=early@end", KEEP, "budget=20"]
    assert _run(root, "late", *words).ran == 2
    assert _run(root, "late", *words).ran == 0
    _run(root, "early", "seed=seeds(2)", "budget=50")
    named = ["seed=seeds(2)", "init.from=early@30", KEEP]
    assert _run(root, "late30", *named[:2], "budget=20").ran == 2  # the weights of step 30 are still there
    assert "checkpoint.state=true" in _refused(root, *named, "budget=20")  # the optimizer's are not


@pytest.mark.slow
def test_a_fork_that_keeps_everything_ends_where_the_parent_would_have(root: Path) -> None:
    """Through the files: from the end (its snapshot) and, with checkpoint.state, from the middle; then again."""
    words = ["seed=seeds(2)", "batch_size=40", "noise.temperature=1e-6"]
    _run(root, "whole", *words, "budget=90")
    _run(root, "part", *words, "checkpoint.state=true", "budget=50")
    _run(root, "from-end", *words, "init.from=part@end", KEEP, "budget=40", "cluster.pack_size=1")
    _run(root, "from-middle", *words, "init.from=part@30", KEEP, "budget=60", "checkpoint.state=true")
    _run(root, "grandchild", *words, "init.from=from-middle@15", KEEP, "budget=45")
    ends = weights(root, "whole")
    whole = _trials(root, "whole")
    for name, steps in (("from-end", 40), ("from-middle", 60), ("grandchild", 45)):
        forks, found = _trials(root, name), weights(root, name)
        for seed in (0, 1):
            for tensor, value in ends[whole.loc[seed, "trial_id"], 90].items():
                assert torch.equal(found[forks.loc[seed, "trial_id"], steps][tensor], value), (name, seed, tensor)
            assert forks.loc[seed, "test_loss"] == whole.loc[seed, "test_loss"]
    assert set(_trials(root, "grandchild")["init.from"].str.extract(r"@15\+(\d+)$")[0]) == {"30"}


def test_optimizer_state_beside_the_weights_is_not_measured(root: Path) -> None:
    for name, state in (("bare", "false"), ("stateful", "true")):
        _run(root, name, "budget=30", "optimizer.lr=0.02", f"checkpoint.state={state}", "measures.names=[norms]")
    assert_equal(tables(root, "bare"), tables(root, "stateful"))
    assert weights(root, "stateful").keys() == weights(root, "bare").keys()
    (first, *_) = weights(root, "stateful").values()
    assert sorted(first) == sorted(next(iter(weights(root, "bare").values())))


REFUSED: dict[str, tuple[list[str], list[str]]] = {
    "no such step": (["init.from=parent@31"], ["no checkpoint at step 31", "20, 30, 50", "checkpoint.steps=[31]"]),
    "beyond the end": (["init.from=parent@61"], ["step 61", "60"]),
    "no such trial": (["init.from=zz@3"], ["init.from", "'zz'", "studies here: "]),
    "nearly a study": (["init.from=parnt@3"], ["did you mean 'parent'"]),
    "full id": ([f"init.from={'0' * 16}@3"], ["no trial 0000000000000000"]),
    "no step": (["init.from=parent"], ["init.from", "TRIAL@STEP", "t_gen"]),
    "no t_gen": (["init.from=parent@t_gen"], ["no t_gen within its 60 steps", "--steps"]),
    "other seeds": (["init.from=parent@30", "seed=9"], ["seeds (data 9", "'parent'"]),
    "width": (["init.from=parent@30", "model.width=16"], ["[11, 32]", "[11, 16]", "model.width=32 there, 16 here"]),
    "modulus": (["init.from=parent@30", "task.p=13"], ["task.p=11 there, 13 here"]),
    "no state": (["init.from=parent@30", KEEP], ["init.optimizer_state", "checkpoint.state=true", "reset"]),
    "other filter": (["init.from=parent@end", KEEP, "optimizer.filter=orthograd"], ["optimizer.filter is none in"]),
    "nothing to keep": ([KEEP], ["init.optimizer_state", "init.from"]),
    "own study": (["init.from=refused@3"], ["init.from"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_fork_that_cannot_start_is_refused_before_anything_runs(case: str, root: Path) -> None:
    words, expected = REFUSED[case]
    message = _refused(root, *words, "budget=20")
    for part in expected:
        assert part in message, message


def test_a_fork_from_t_mem_starts_at_the_first_checkpoint_from_there_on(root: Path) -> None:
    _run(root, "forks-mem", "seed=seeds(2)", "init.from=parent@t_mem", "budget=5")
    forks, parents = _trials(root, "forks-mem"), _trials(root, "parent")
    kept = sorted({step for _, step in weights(root, "parent")})
    for seed in (0, 1):
        t_mem = parents.loc[seed, "t_mem"]
        assert forks.loc[seed, "parent_step"] == min(step for step in kept if step >= t_mem)


def test_lineage_is_shown(root: Path) -> None:
    _run(root, "shown", "init.from=parent@30", "regularization.weight_decay=0,1", "budget=10")
    identity = _trials(root, "parent").loc[0, "trial_id"]
    table = CliRunner().invoke(app, ["trials", "shown", "--storage", str(root)]).stdout
    assert re.search(r"parent_trial\s+parent_step", table)
    assert table.count(identity) >= 2
    assert "parent_trial" not in CliRunner().invoke(app, ["trials", "wd", "--storage", str(root)]).stdout
    report = (root / "shown/report/report.md").read_text()
    assert f"2 of them are forks of {identity}, from step 30." in report


@pytest.mark.slow
def test_a_killed_fork_goes_on_from_its_snapshot_to_the_same_end(cli: Cli) -> None:
    words = [*QUAD23, "seed=seeds(2)", "cluster.snapshot_seconds=0.1"]
    cli.run("run", *words, "--name", "parent", "--steps", "100")
    fork = ["run", *words, "init.from=parent@100", KEEP, "--steps", "1500"]
    cli.run(*fork, "--name", "undisturbed")
    process = cli.start(*fork, "--name", "killed")
    folder = StudyFolder.open(str(cli.root), "killed")
    end = time.monotonic() + 60
    while not any((cli.root / "killed/snapshots").glob("*.safetensors")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "no snapshot in time"
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert any(0 < head.step < 1500 for head in snapshots(folder))
    # The parent goes on meanwhile: what the fork has of it is its own by now.
    cli.run("run", *words, "--name", "parent", "--steps", "120")
    cli.run(*fork, "--name", "killed")
    assert_equal(tables(cli.root, "undisturbed"), tables(cli.root, "killed"))


@pytest.mark.slow
def test_what_was_grokked_stays_without_weight_decay_and_goes_with_too_few_pairs(tmp_path: Path) -> None:
    """Hysteresis and ungrokking: the start matters where the path does, and the data set where it is too small."""
    quad = [*QUAD23, f"storage.root={tmp_path}", "tracking=none"]

    def study(name: str, *words: str) -> pd.DataFrame:
        run_study(compose_study([*quad, *words, "seed=seeds(2)"], name=name), Board(study=name))
        return _trials(tmp_path, name)

    grokked = study("grokked", "budget=1500", "task.frac_train=0.7")
    assert (grokked["test_acc"] >= 0.95).all()
    drawn = study("drawn", "budget=1000", "regularization.weight_decay=0")
    assert (drawn["test_acc"] < 0.5).all()
    kept = study("kept", "budget=1000", "init.from=grokked@end", "regularization.weight_decay=0", "task.frac_train=0.5")
    assert (kept["test_acc"] >= 0.95).all()
    lost = study("lost", "budget=1500", "init.from=grokked@end", "task.frac_train=0.1")
    assert (lost["test_acc"] < 0.5).all()
    assert (lost["train_acc"] >= 0.95).all()
