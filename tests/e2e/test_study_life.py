"""Studies through the command line: again, wider, longer, interrupted, killed."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import grokstudy as gs
from grokstudy.spec.compose import compose_study
from grokstudy.store.folder import StudyFolder
from grokstudy.store.snapshots import snapshots
from grokstudy.study.board import Board
from grokstudy.study.run import StudyResult, run_study

from .conftest import SMALL, Cli
from .stored import assert_equal, tables, weights

AXES = ["regularization.weight_decay=0,1,3", "task.frac_train=0.5,0.8", "seed=seeds(2)"]
MEASURES = ["measures.names=[cross_entropy,fourier_losses,ipr]"]


def _run(root: Path, *words: str, name: str = "s", only_censored: bool = False) -> StudyResult:
    """What `grokstudy run` does, in this process."""
    spec = compose_study([*SMALL, f"storage.root={root}", *words], name=name)
    return run_study(spec, Board(study=name), only_censored=only_censored)


def test_the_same_study_again_does_nothing(tmp_path: Path) -> None:
    first = _run(tmp_path, *AXES, *MEASURES, "budget=300")
    assert (first.planned, first.ran) == (12, 12)
    files = _files(tmp_path / "s")
    again = _run(tmp_path, *AXES, *MEASURES, "budget=300")
    assert again.ran == 0
    assert again.outcomes == first.outcomes
    assert _files(tmp_path / "s") == files  # nothing was written at all


def test_a_wider_axis_runs_only_what_is_new_and_a_fixed_field_may_become_an_axis(tmp_path: Path) -> None:
    _run(tmp_path, "budget=200", "regularization.weight_decay=1,3", "seed=seeds(2)")
    before = tables(tmp_path, "s")["trials"].set_index("trial_id")
    wide = ["regularization.weight_decay=0,1,3", "seed=seeds(2)", "task.frac_train=0.5,0.7"]
    wider = _run(tmp_path, "budget=200", *wide)
    assert (wider.planned, wider.ran) == (12, 8)  # 3 x 2 x 2 trials, of which 2 x 2 at frac 0.5 were there
    after = tables(tmp_path, "s")["trials"].set_index("trial_id")
    assert after.loc[before.index].equals(before)
    assert _run(tmp_path, "budget=200", "regularization.weight_decay=1", "seed=seeds(1)").ran == 0


def test_less_never_shrinks_a_study(tmp_path: Path) -> None:
    """Fewer values, an axis left out or a smaller budget do nothing; the report shows all trials of the study."""
    _run(tmp_path, "budget=60", "task.frac_train=0.5,0.7", "regularization.weight_decay=0,1")
    _run(tmp_path, "budget=40", "task.frac_train=0.5")
    stands = gs.open("s", str(tmp_path)).spec
    assert stands.budget == 60
    assert {axis.path: axis.values for axis in stands.axes} == {
        "task.frac_train": (0.5, 0.7),
        "regularization.weight_decay": (0, 1),
    }
    assert _run(tmp_path, "budget=60", "task.frac_train=0.7", "regularization.weight_decay=1").ran == 0
    grown = _run(tmp_path, "budget=60", "task.frac_train=0.7", "regularization.weight_decay=3")
    assert grown.ran == 1
    assert "phase.png" in grown.report
    values = {axis.path: axis.values for axis in gs.open("s", str(tmp_path)).spec.axes}
    assert values["regularization.weight_decay"] == (0, 1, 3)


def test_a_study_in_which_nothing_is_learned_still_ends_with_a_report(tmp_path: Path) -> None:
    for axes in (["task.frac_train=0.4,0.5"], ["task.frac_train=0.4,0.5", "regularization.weight_decay=0,1"]):
        result = _run(tmp_path, "budget=5", *axes, name=f"s{len(axes)}")
        assert "phase.png" in result.report


def test_without_test_rows_generalisation_is_undetermined(tmp_path: Path) -> None:
    _run(tmp_path, "budget=100", "task.frac_train=0.5,1")
    diagram = gs.open("s", str(tmp_path)).phase_diagram("frac_train")
    assert diagram["n_undetermined"].values.tolist() == [0, 1]
    assert diagram["n"].values.tolist()[1] == 0 or np.isnan(diagram["p_gen"].values[1])


def test_extended_equals_run_at_once_bit_for_bit(tmp_path: Path) -> None:
    axes = ["regularization.weight_decay=0.3,1", "seed=seeds(2)", *MEASURES]
    _run(tmp_path, *axes, "budget=700", name="long")
    _run(tmp_path, *axes, "budget=250", name="grown")
    assert _run(tmp_path, *axes, "budget=100", name="grown").ran == 0
    assert _run(tmp_path, *axes, "budget=700", name="grown").ran == 4
    long, grown = tables(tmp_path, "long"), tables(tmp_path, "grown")
    # The end of the shorter run (step 250) keeps its checkpoint and the measures taken there; all else is equal.
    for view in ("checkpoints", "measures_long"):
        grown[view] = grown[view][grown[view]["step"] != 250].reset_index(drop=True)
    assert_equal(long, grown)
    mine, theirs = weights(tmp_path, "grown"), weights(tmp_path, "long")
    assert all(torch.equal(mine[key][name], tensor) for key, net in theirs.items() for name, tensor in net.items())


def test_only_censored_leaves_generalised_trials_alone(tmp_path: Path) -> None:
    words = ["task.frac_train=0.8", "regularization.weight_decay=0,3"]
    _run(tmp_path, *words, "budget=400")
    trials = tables(tmp_path, "s")["trials"]
    censored = int(trials["t_gen"].isna().sum())
    assert 0 < censored < len(trials)  # weight decay 3 generalises on 80 % of the pairs, 0 does not within 400 steps
    assert _run(tmp_path, *words, "budget=600", only_censored=True).ran == censored
    after = tables(tmp_path, "s")["trials"]["steps_run"]
    assert sorted(after.unique().tolist()) == [400, 600]


@pytest.mark.slow
def test_an_interrupt_keeps_what_is_finished_and_goes_on_from_a_snapshot(cli: Cli) -> None:
    words = [
        "run",
        *SMALL,
        "task.p=23",
        "model.width=128",
        "seed=seeds(4)",
        "cluster.pack_size=2",
        "--name",
        "s",
        "--steps",
        "3000",
    ]
    process = cli.start(*words)
    _wait(lambda: (cli.root / "s" / "checkpoints").is_dir(), process)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    heads = snapshots(StudyFolder.open(str(cli.root), "s"))
    assert any(0 < head.step < 3000 for head in heads)
    cli.run(*words)
    cli.run(*words[:-3], "undisturbed", *words[-2:])
    assert_equal(tables(cli.root, "undisturbed"), tables(cli.root, "s"))


@pytest.mark.slow
def test_a_study_killed_in_the_middle_and_run_again_ends_with_the_same_table(cli: Cli) -> None:
    words = [*SMALL, "task.p=23", *MEASURES, "regularization.weight_decay=1,3", "seed=seeds(3)", "cluster.pack_size=4"]
    words += ["cluster.snapshot_seconds=0.2", "--steps", "1500"]
    cli.run("run", *words, "--name", "undisturbed")
    process = cli.start("run", *words, "--name", "killed")
    # Killed once one pack is finished and the next has a snapshot: finished, half-way and untouched trials are mixed.
    folder = StudyFolder.open(str(cli.root), "killed")
    _wait(
        lambda: list((cli.root / "killed/trials").glob("*")) and any(0 < h.step < 1500 for h in _heads(folder)), process
    )
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert len(tables(cli.root, "killed")["trials"]) < 6
    cli.run("run", *words, "cluster.pack_size=2", "--name", "killed")  # and packed differently
    assert_equal(tables(cli.root, "undisturbed"), tables(cli.root, "killed"))
    mine, theirs = weights(cli.root, "killed"), weights(cli.root, "undisturbed")
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[key][name], tensor) for key, net in theirs.items() for name, tensor in net.items())


def test_divergence_is_an_outcome_and_never_run_again(tmp_path: Path) -> None:
    words = ["optimizer.lr=0.01,1e12", "budget=200"]
    assert _run(tmp_path, *words).outcomes["diverged"] == 1
    assert _run(tmp_path, *words).ran == 0
    row = tables(tmp_path, "s")["trials"].query("status == 'diverged'").iloc[0]
    assert row["diverged_step"] == row["steps_run"] < 200


def test_a_plug_in_that_raises_fails_its_own_trials_with_its_message(cli: Cli, tmp_path: Path) -> None:
    plugin = tmp_path / "tasks" / "broken.py"
    plugin.parent.mkdir()
    plugin.write_text(
        "import dataclasses\n"
        "from grokstudy.tasks.modular import Modular\n"
        "from grokstudy.spec.interfaces import Shape, Task\n"
        "@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)\n"
        "class Broken(Task):\n"
        "    p: int = 5\n"
        "    def shape(self): return Shape(positions=2, vocab=self.p, classes=self.p)\n"
        "    def rows(self): return 25\n"
        "    def train_rows(self): return 10\n"
        "    def data(self, seeds):\n"
        "        if seeds.data == 1: raise RuntimeError('no rows today')\n"
        "        return Modular(p=self.p, frac_train=0.4).data(seeds)\n"
    )
    words = ["task=broken", "model=quad_mlp", "model.width=8", "tracking=none", "cluster=none", "cluster.pack_size=1"]
    result = cli.run(
        "run", *words, "seed=seeds(3)", "--plugin", str(plugin), "--name", "s", "--steps", "20", "--format", "json"
    )
    assert json.loads(result.stdout)["outcomes"]["failed"] == 1
    trials = tables(cli.root, "s")["trials"]
    assert trials.query("seed == 1")["error"].item() == "RuntimeError: no rows today"
    assert sorted(trials.query("seed != 1")["status"]) == ["done", "done"]


def _heads(folder: StudyFolder) -> list[object]:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a snapshot that is just being replaced
        return list(snapshots(folder))


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.stat().st_size)
        for path in folder.rglob("*")
        if path.is_file()
    }


def _wait(condition: object, process: object, seconds: float = 60.0) -> None:
    import subprocess

    assert callable(condition)
    assert isinstance(process, subprocess.Popen)
    end = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "nothing happened in time"
        time.sleep(0.02)


def test_early_end_is_recorded_and_is_an_end_until_the_rule_is_dropped(tmp_path: Path) -> None:
    """Off by default; on, a trial is followed to five times its t_gen, and says so."""
    fast = ["preset=quad23", "regularization.weight_decay=3", "task.frac_train=0.7", "seed=seeds(2)", "budget=1000"]
    words = [*fast, "tracking=none", "cluster=none", f"storage.root={tmp_path}"]

    def trained(*more: str) -> tuple[int, pd.DataFrame]:
        ran = run_study(compose_study([*words, *more], name="early"), Board(study="early")).ran
        return ran, gs.open(f"{tmp_path}/early").trials().sort_values("seed")

    first, rows = trained("early_end.after=5")
    assert first == 2
    assert set(rows.status) == {"ended_early"}
    assert set(rows.retention) == {"kept"}
    assert all(reason.startswith("early_end.after=5") for reason in rows.stop_reason)
    # the first evaluation at five t_gen: evaluations are at most 3 % apart
    assert ((rows.steps_run >= 5 * rows.t_gen) & (rows.steps_run <= 5.15 * rows.t_gen + 1)).all()
    again, same = trained("early_end.after=5")
    assert again == 0
    assert same.written_at.tolist() == rows.written_at.tolist()
    ran, whole = trained()
    assert ran == 2
    assert set(zip(whole.status, whole.steps_run, strict=True)) == {("done", 1000)}
    assert whole.t_gen.tolist() == rows.t_gen.tolist()
