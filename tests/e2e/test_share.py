"""`share` and `merge`: a copy says what the study says, and a union is the study that would have been run at once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from typer.testing import CliRunner

import grokstudy as gs
from grokstudy.cli.app import app
from grokstudy.spec.compose import compose_study
from grokstudy.spec.errors import BadInput, DamagedFile
from grokstudy.store.checkpoints import checkpoints
from grokstudy.store.folder import StudyFolder
from grokstudy.store.gc import removed
from grokstudy.store.storage import Storage
from grokstudy.study.board import Board
from grokstudy.study.document import stored_spec
from grokstudy.study.merge import merge_studies
from grokstudy.study.proposals import ending
from grokstudy.study.run import plan_study, run_study
from grokstudy.study.share import share_study
from grokstudy.study.store_gc import Policy, collect
from tests.e2e.store_damage import checked
from tests.e2e.stored import assert_equal, tables, weights

WORDS = ["preset=quad23", "task.p=11", "model.width=32", "tracking=none", "cluster=none", "measures.names=[norms]"]


def run(root: Path | str, name: str, *words: str, budget: int = 200) -> StudyFolder:
    spec = compose_study([*WORDS, *words, f"budget={budget}", f"storage.root={root}"], name=name)
    return run_study(spec, Board(study=name)).folder


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    return run(tmp_path_factory.mktemp("data"), "s", "regularization.weight_decay=0,2", "seed=seeds(2)")


def root_of(folder: StudyFolder) -> str:
    return folder.storage.uri


def test_a_shared_study_says_what_the_study_says(source: StudyFolder, tmp_path: Path) -> None:
    shared = share_study(source, str(tmp_path / "hand"), "all")
    away = tmp_path / "elsewhere"
    shutil.move(tmp_path / "hand", away)
    assert_equal(tables(root_of(source), "s"), tables(away, "s"))
    ours, theirs = weights(root_of(source), "s"), weights(away, "s")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key][name], theirs[key][name]) for key in ours for name in ours[key])
    assert shared.trials == 4
    study = gs.open(str(away / "s"))
    assert study.phase_diagram("weight_decay")["n"].to_numpy().tolist() == [2, 2]
    assert len(study.folder.parts("trials")) == len(study.folder.parts("curves")) == 1


def test_a_shared_study_says_nothing_of_this_machine(source: StudyFolder, tmp_path: Path) -> None:
    share_study(source, str(tmp_path), "none")
    files = [path for path in (tmp_path / "s").rglob("*") if path.is_file()]
    assert not [path for path in files if root_of(source).encode() in path.read_bytes()]
    assert not [path for path in files if "snapshots" in path.parts or path.name == "lock.json"]
    assert not (tmp_path / "s/checkpoints").exists()
    document = yaml.safe_load((tmp_path / "s/study.yaml").read_text())
    assert document["versions"] == yaml.safe_load(source.get_text("study.yaml") or "")["versions"]
    assert (tmp_path / "s/report/phase.png").exists()
    assert 'gs.open("s", "DIR")' in (tmp_path / "s/README.md").read_text()


def test_final_weights_are_the_ends_of_every_trial(source: StudyFolder, tmp_path: Path) -> None:
    shared = share_study(source, str(tmp_path), "final")
    all_rows, kept = checkpoints(source), checkpoints(shared.folder)
    assert 0 < len(kept) == shared.checkpoints < len(all_rows)
    for trial_id in {row.trial_id for row in all_rows}:
        steps = [row.step for row in all_rows if row.trial_id == trial_id]
        assert {min(steps), max(steps)} <= {row.step for row in kept if row.trial_id == trial_id}
    assert gs.open("s", str(tmp_path)).measure("effective_rank", "final")["value"].notna().any()


def test_nothing_is_overwritten(source: StudyFolder, tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s/mine.txt").write_text("mine")
    with pytest.raises(BadInput, match="exists already and is never overwritten"):
        share_study(source, str(tmp_path))
    assert [path.name for path in (tmp_path / "s").iterdir()] == ["mine.txt"]
    with pytest.raises(BadInput, match="did you mean 'final'"):
        share_study(source, str(tmp_path / "b"), "finl")
    with pytest.raises(BadInput, match="exists already"):
        share_study(source, root_of(source))


def test_a_failure_leaves_nothing_behind(source: StudyFolder, tmp_path: Path) -> None:
    share_study(source, str(tmp_path / "a"), "all")
    folder = StudyFolder(Storage.open(str(tmp_path / "a")), "s")
    file = checkpoints(folder)[-1].file
    (tmp_path / "a/s" / file).write_bytes(b"damaged")
    with pytest.raises(DamagedFile, match="is not what was written"):
        share_study(folder, str(tmp_path / "b"), "all")
    assert StudyFolder(Storage.open(str(tmp_path / "b")), "s").names("") == []
    assert share_study(folder, str(tmp_path / "b"), "none").trials == 4


def test_a_bucket_is_shared_from_and_to(source: StudyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    bucket = share_study(source, "memory://shared", "all").folder
    share_study(bucket, str(tmp_path / "back"), "all")
    assert_equal(tables(root_of(source), "s"), tables(tmp_path / "back", "s"))


@pytest.mark.slow
def test_merging_is_running_at_once(tmp_path: Path) -> None:
    """Overlapping axes: the union has every trial once, bit for bit, and running it again does nothing."""
    one = run(tmp_path, "one", "regularization.weight_decay=0,1", "seed=seeds(2)")
    other = run(tmp_path, "other", "regularization.weight_decay=1,2", "seed=seeds(2)")
    done = merge_studies(one, other, str(tmp_path), "both")
    assert (done.trials, done.shared) == (6, 2)
    run(tmp_path, "whole", "regularization.weight_decay=0,1,2", "seed=seeds(2)")
    assert_equal(tables(tmp_path, "both"), tables(tmp_path, "whole"))
    ours, theirs = weights(tmp_path, "both"), weights(tmp_path, "whole")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key][name], theirs[key][name]) for key in ours for name in ours[key])
    spec = stored_spec(done.folder)
    assert spec is not None
    assert plan_study(spec, 1).left == ()
    assert (tmp_path / "both/report/phase.png").exists()
    assert_equal(tables(tmp_path, "one"), tables(tmp_path, "one"))


def test_a_merged_study_knows_which_weights_were_removed_on_purpose(tmp_path: Path) -> None:
    one = run(tmp_path, "one", "seed=0")
    other = run(tmp_path, "other", "seed=1")
    collect(one, Policy(checkpoints="final"))
    both = merge_studies(one, other, str(tmp_path), "both").folder
    assert removed(both) == removed(one) != ()
    assert checked(both).is_whole


def test_a_fixed_setting_of_one_is_a_value_of_the_others_axis(tmp_path: Path) -> None:
    one = run(tmp_path, "one", "regularization.weight_decay=0,1")
    other = run(tmp_path, "other", "regularization.weight_decay=3", "seed=seeds(2)")
    done = merge_studies(one, other, str(tmp_path), "both")
    spec = stored_spec(done.folder)
    assert spec is not None
    axes = {axis.path: axis.values for axis in spec.axes}
    assert axes["regularization.weight_decay"] == (0, 1, 3)
    plan = plan_study(spec, 1)
    assert (len(plan.trials), len(plan.left)) == (6, 2)  # the other study's second seed at 0 and 1


def test_studies_of_one_seed_each_become_a_study_of_seeds(tmp_path: Path) -> None:
    one, other = (
        run(tmp_path, "one", "task.frac_train=0.5,0.8"),
        run(tmp_path, "other", "task.frac_train=0.5", "seed=7"),
    )
    spec = stored_spec(merge_studies(one, other, str(tmp_path), "both").folder)
    assert spec is not None
    assert {axis.path: axis.values for axis in spec.axes}["seed"] == (0, 7)
    plan = plan_study(spec, 1)
    assert [(trial.spec.seeds.data, trial.point["task.frac_train"]) for trial in plan.left] == [(7, 0.8)]


def test_the_longer_run_of_a_trial_counts_and_goes_on_from_its_snapshot(tmp_path: Path) -> None:
    short = run(tmp_path, "short", "seed=seeds(2)", budget=100)
    long = run(tmp_path, "long", "seed=1,2", budget=300)
    for pair, name in (((short, long), "a"), ((long, short), "b")):
        done = merge_studies(*pair, str(tmp_path), name)
        rows = tables(tmp_path, name)["trials"].set_index("seed")["steps_run"].to_dict()
        assert rows == {0: 100, 1: 300, 2: 300}
        spec = stored_spec(done.folder)
        assert spec is not None
        plan = plan_study(spec, 1)
        assert [(trial.spec.seeds.data, job.start_step) for trial, job in zip(plan.left, plan.jobs, strict=True)] == [
            (0, 100)
        ]
    assert_equal({"curves": tables(tmp_path, "a")["curves"]}, {"curves": tables(tmp_path, "b")["curves"]})


def test_studies_that_are_not_one_study_are_named_setting_by_setting(tmp_path: Path) -> None:
    one, other = run(tmp_path, "one"), run(tmp_path, "other", "optimizer.lr=0.02", "task.frac_train=0.6", budget=100)
    with pytest.raises(BadInput, match=r"optimizer\.lr = 0\.01 against 0\.02; task\.frac_train = .* against 0\.6"):
        merge_studies(one, other, str(tmp_path), "both")
    with pytest.raises(BadInput, match="not merged with itself"):
        merge_studies(one, one, str(tmp_path), "both")
    with pytest.raises(BadInput, match="exists already"):
        merge_studies(one, run(tmp_path, "again", "seed=1"), str(tmp_path), "other")
    assert not (tmp_path / "both").exists()


def test_both_verbs_answer_in_json(source: StudyFolder, tmp_path: Path) -> None:
    words = ["share", "s", "--to", str(tmp_path), "--storage", root_of(source), "--format", "json"]
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, result.output
    shared = json.loads(result.stdout)
    assert (shared["folder"], shared["trials"]) == (str(tmp_path / "s"), 4)
    run(tmp_path, "more", "regularization.weight_decay=3", "seed=seeds(2)")
    result = CliRunner().invoke(app, ["merge", "s", "more", "--storage", str(tmp_path), "--format", "json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {
        "study": "s-more",
        "folder": str(tmp_path / "s-more"),
        "trials": 6,
        "shared": 0,
    }


def test_a_shared_adaptive_study_keeps_what_was_proposed_and_why_it_ended(tmp_path: Path) -> None:
    search = ["sampler=tpe", "sampler.n_trials=4", "sampler.startup=4", "sampler.batch=4"]
    source = run(tmp_path / "data", "a", "regularization.weight_decay=log(0.3,30)", *search, budget=50)
    share_study(source, str(tmp_path / "hand"), "none")
    ours, theirs = (
        gs.open("a", str(root)).sql("SELECT * FROM proposals ORDER BY number")
        for root in (tmp_path / "data", tmp_path / "hand")
    )
    assert len(ours) == 4
    assert theirs.equals(ours)
    assert ending(StudyFolder.open(str(tmp_path / "hand"), "a")) == ending(source)
