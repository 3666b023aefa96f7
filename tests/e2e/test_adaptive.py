"""Adaptive studies: proposals before trials, resumed from the folder alone, longer, wider, and ended with a reason."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
import pytest

from grokstudy.spec import plugins
from grokstudy.spec.axes import Axis
from grokstudy.spec.compose import compose_study
from grokstudy.spec.errors import BadInput
from grokstudy.spec.proposal import AdaptiveSampler, Answer, Proposal, Told
from grokstudy.spec.study import StudySpec
from grokstudy.store.folder import StudyFolder
from grokstudy.store.sql import query
from grokstudy.study.board import Board
from grokstudy.study.proposals import Known, ending
from grokstudy.study.run import StudyResult, run_study

from .conftest import SMALL, Cli
from .stored import assert_equal, tables

AXES = ["regularization.weight_decay=log(0.3,30)", "task.frac_train=lin(0.4,0.85)"]
TPE = [
    *AXES,
    "sampler=tpe",
    "sampler.batch=4",
    "sampler.startup=8",
    "checkpoint.ring=false",
    "checkpoint.schedule=false",
]
BOUNDARY = [*AXES, "sampler=boundary", "checkpoint.ring=false", "checkpoint.schedule=false"]


def spec_of(root: Path, *words: str) -> StudySpec:
    return compose_study([*SMALL, f"storage.root={root}", *words], name="s")


def run(root: Path, *words: str) -> tuple[StudyResult, Board]:
    """What `grokstudy run` does, in this process."""
    board = Board(study="s")
    return run_study(spec_of(root, *words), board), board


def proposals(root: Path) -> pd.DataFrame:
    """The view, with what became of each trial."""
    sql = """SELECT p.*, t.steps_run, t.t_gen, t.seed, t.written_at AS ended
             FROM proposals p LEFT JOIN trials t USING (trial_id) ORDER BY number"""
    return query([StudyFolder.open(str(root), "s")], sql, 10_000).to_pandas()


def files(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of twelve trials that TPE chose."""
    root = tmp_path_factory.mktemp("finished")
    result, board = run(root, *TPE, "sampler.n_trials=12", "budget=250")
    assert (result.planned, result.ran, board.done) == (12, 12, 12)
    return root


@pytest.fixture
def root(finished: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    shutil.copytree(finished, tmp_path / "data")
    return tmp_path / "data"


def test_every_trial_has_a_proposal_that_was_stored_before_it_ran(finished: Path) -> None:
    table = proposals(finished)
    assert table["number"].tolist() == list(range(12))
    assert table["trial_id"].is_unique
    assert set(table["source"]) == {"tpe"}
    assert (table["budget"] == 250).all()
    assert (table["written_at"] < table["ended"]).all()
    assert table["finished"].tolist() == [0] * 4 + [4] * 4 + [8] * 4
    assert table["p_grokking"].isna().all()
    points = [json.loads(text) for text in table["point"]]
    assert all(set(point) == {"regularization.weight_decay", "task.frac_train"} for point in points)


def test_why_a_study_ended_is_said_and_kept(finished: Path) -> None:
    kept = ending(StudyFolder.open(str(finished), "s"))
    assert kept is not None
    assert kept.reason == "sampler.n_trials=12 trials were proposed"
    assert kept.proposed == 12


def test_a_finished_adaptive_study_does_nothing_when_it_is_run_again(finished: Path) -> None:
    before = files(finished)
    result, board = run(finished, *TPE, "sampler.n_trials=12", "budget=250")
    assert (result.planned, result.ran, board.planned) == (12, 0, 12)
    assert result.over == "sampler.n_trials=12 trials were proposed"
    assert files(finished) == before


def test_more_trials_go_on_where_it_ended(root: Path) -> None:
    before = tables(root, "s")["trials"].set_index("trial_id")
    result, _ = run(root, *TPE, "sampler.n_trials=15", "budget=250")
    assert (result.planned, result.ran) == (15, 3)
    after = tables(root, "s")["trials"].set_index("trial_id")
    assert after.loc[before.index].equals(before)
    assert proposals(root)["finished"].tolist()[12:] == [12] * 3


def test_a_larger_budget_extends_censored_trials_before_the_sampler_goes_on(root: Path) -> None:
    before = tables(root, "s")["trials"].set_index("trial_id")
    censored = before.index[before["t_gen"].isna()]
    assert 0 < len(censored) < 12
    result, _ = run(root, *TPE, "sampler.n_trials=14", "budget=400")
    assert result.ran == len(censored) + 2
    after = tables(root, "s")["trials"].set_index("trial_id")
    steps = after["steps_run"]
    assert (steps[censored] == 400).all()
    assert (steps[before.index.difference(censored)] == 250).all()
    table = proposals(root).tail(2)
    assert table["finished"].tolist() == [12, 12]
    assert table["written_at"].min() > last_written(root, censored)


def last_written(root: Path, trial_ids: Sequence[str]) -> str:
    table = proposals(root).set_index("trial_id")
    return str(table.loc[list(trial_ids), "ended"].max())


def test_a_wider_interval_keeps_old_trials_as_observations_and_a_narrower_leaves_some_out(root: Path) -> None:
    known = Known.read(StudyFolder.open(str(root), "s"))

    def told(low: float, high: float) -> Told:
        return known.told(spec_of(root, *TPE[1:], f"regularization.weight_decay=log({low},{high})", "budget=250"))

    assert len(told(0.01, 100).finished) == 12
    narrow = told(1, 5).finished
    assert 0 < len(narrow) < 12
    assert all(1 <= float(outcome.point["regularization.weight_decay"] or 0) <= 5 for outcome in narrow)
    (first, *_) = told(0.01, 100).finished
    assert first.trial_id == proposals(root)["trial_id"][0]
    assert first.source == "tpe"
    result, _ = run(root, *TPE[1:], "regularization.weight_decay=log(0.01,100)", "budget=250", "sampler.n_trials=13")
    assert result.ran == 1
    assert proposals(root)["finished"].tolist()[-1] == 12


def test_trials_of_a_grid_are_observations_of_a_sampler_that_comes_later(tmp_path: Path) -> None:
    grid = ["regularization.weight_decay=0.5,3", "task.frac_train=0.5,0.8", "budget=60"]
    run(tmp_path, *grid)
    result, _ = run(tmp_path, *TPE, "sampler.n_trials=3", "budget=60")
    assert (result.planned, result.ran) == (3, 3)
    assert proposals(tmp_path)["finished"].tolist() == [4, 4, 4]
    told = Known.read(StudyFolder.open(str(tmp_path), "s")).told(spec_of(tmp_path, *TPE, "budget=60"))
    assert [outcome.source for outcome in told.finished] == ["tpe"] * 3 + [None] * 4
    assert all(outcome.point["seed"] == 0 for outcome in told.finished)


@pytest.mark.slow
def test_a_boundary_study_predicts_what_it_runs_and_gives_every_trial_its_own_seed(tmp_path: Path) -> None:
    result, board = run(tmp_path, *BOUNDARY, "sampler.n_trials=32", "budget=300")
    assert result.ran == 32
    assert result.over is not None
    assert "n_trials=32" in result.over
    table = proposals(tmp_path)
    assert table["seed"].tolist() == list(range(32))
    assert table["seed"].tolist() == [json.loads(text)["seed"] for text in table["point"]]
    chosen = table[table["source"] != "initial"]
    assert {"boundary"} <= set(chosen["source"]) <= {"boundary", "explore"}
    columns = ["p_confusion", "p_memorization", "p_inversion", "p_grokking", "p_comprehension", "p_diverged"]
    assert chosen[columns].sum(axis=1).sub(1).abs().max() < 1e-9
    assert chosen["expected_error"].between(0, 1).all()
    assert board.sampler_state.startswith("expected error")
    assert table["reason"].str.len().min() > 10


@pytest.mark.slow
def test_a_study_that_starts_with_short_looks_extends_some_of_them(tmp_path: Path) -> None:
    run(tmp_path, *BOUNDARY, "sampler.n_trials=48", "sampler.first_budget=0.4", "budget=250")
    table = proposals(tmp_path)
    looks, extensions = table[table["source"] == "boundary"], table[table["source"] == "extend"]
    assert set(looks["budget"]) == {100}
    assert len(extensions) > 0
    assert set(extensions["trial_id"]) < set(looks["trial_id"])
    assert set(extensions["steps_run"]) == {250}
    left = looks[~looks["trial_id"].isin(extensions["trial_id"])]
    assert set(left["steps_run"]) <= {100}
    assert len(table) - len(extensions) == 48


def test_dry_run_says_at_most_and_the_first_batch_and_writes_nothing(cli: Cli) -> None:
    words = ["run", *SMALL, *BOUNDARY, "--name", "s", "--dry-run", "--steps", "300"]
    text = cli.run(*words).stdout
    assert "at most 400 (0 done already)" in text
    assert "s for one trial" in text
    assert not (cli.root / "s").exists()
    document = json.loads(cli.run(*words, "--format", "json").stdout)
    assert (document["trials"], sum(document["packs"])) == (400, 8)


REFUSED = {
    "sampler=asha": ("sampler", "asha", "refused", "early_end.after", "first_budget"),
    "sampler=hyperband": ("sampler", "hyperband", "refused"),
    "sampler=median": ("sampler", "median", "refused"),
    "early_end.patience=10": ("early_end.patience", "refused", "early_end.after"),
    "+early_end.min_delta=0.1": ("early_end.min_delta", "refused"),
    "sampler=boundary task.op=add,mul": ("axes", "names only (task.op)", "sampler=grid"),
    "sampler=boundary": ("axes", "sampler=boundary", "none does", "Give an interval"),
    "sampler=boundary optimizer.lr=interval(0.1,0.1)": ("optimizer.lr", "must rise", "0.1"),
    "sampler=boundary optimizer.lr=log(0.1,1) sampler.batch=0": ("sampler.batch", "0", ">= 1"),
    "sampler=boundary optimizer.lr=log(0.1,1) sampler.explore=1.5": ("sampler.explore", "1.5", "[0, 1]"),
    "sampler=boundary optimizer.lr=log(0.1,1) sampler.first_budget=0": ("sampler.first_budget", "0.0", "(0, 1]"),
    "sampler=tpe": ("sampler=tpe", "no axis"),
    "sampler=tpe sampler.objective=loss": ("sampler.objective", "'loss'", "test_loss"),
}


@pytest.mark.parametrize("words", REFUSED)
def test_what_would_bias_or_cannot_be_is_refused_with_the_reason(words: str) -> None:
    with pytest.raises(BadInput) as caught:
        compose_study(["preset=quad23", *words.split()], name="s")
    assert all(part in str(caught.value) for part in REFUSED[words]), str(caught.value)


# ---- samplers of other kinds


OWN = __name__.rpartition(".")[2]
"""A plug-in's name is that of its file."""


def own(told: Told, value: float) -> Proposal:
    return Proposal(point={axis.path: value for axis in told.axes}, source="own", reason="why not")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stubborn(AdaptiveSampler):
    """Asks for one and the same trial for ever."""

    def check(self, axes: Sequence[Axis]) -> None:
        return None

    def ask(self, told: Told) -> Answer:
        return Answer(
            proposals=(Proposal(point={axis.path: 0.5 for axis in told.axes}, source="own", reason="why not"),)
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Faulty(AdaptiveSampler):
    """Asks for one trial and then for what cannot be."""

    def check(self, axes: Sequence[Axis]) -> None:
        return None

    def ask(self, told: Told) -> Answer:
        return Answer(proposals=(own(told, 7.0 if told.finished else 0.5),))


def test_a_sampler_that_asks_for_nothing_new_ends_the_study(tmp_path: Path) -> None:
    with plugins.lent("samplers", OWN, Stubborn):
        result, _ = run(tmp_path, "task.frac_train=lin(0.4,0.8)", f"sampler={OWN}", "budget=30")
    assert result.ran == 1
    assert result.over == "the sampler asks for nothing that is new"


def test_a_sampler_that_asks_for_what_cannot_be_is_an_error_and_its_trials_are_kept(tmp_path: Path) -> None:
    with plugins.lent("samplers", OWN, Faulty), pytest.raises(BadInput, match=r"task\.frac_train.*7\.0"):
        run(tmp_path, "task.frac_train=lin(0.4,0.8)", f"sampler={OWN}", "budget=30")
    assert len(tables(tmp_path, "s")["trials"]) == 1


# ---- kills, and Ray


def half_way(root: Path) -> bool:
    """Whether a batch after the first is running, with at least half of it to go."""
    table = proposals(root)
    return len(table) > 8 and int(table["ended"].isna().sum()) >= 4


@pytest.mark.slow
def test_a_killed_adaptive_study_loses_no_proposal_and_trains_no_trial_twice(cli: Cli) -> None:
    """Where packs run one by one the sampler sees the same, so that the killed study ends with the same table."""
    words = [*SMALL, "task.p=23", *BOUNDARY, "sampler.n_trials=40", "--steps", "600"]
    cli.run("run", *words, "--name", "undisturbed")
    process = cli.start("run", *words, "--name", "s")
    end = time.monotonic() + 100
    while not half_way(cli.root):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    killed = proposals(cli.root)
    there = killed.dropna(subset=["ended"]).set_index("trial_id")["ended"]
    assert len(there) < len(killed) < 40, "some proposals are open"
    cli.run("run", *words, "--name", "s")
    table = proposals(cli.root)
    assert table["trial_id"].tolist()[: len(killed)] == killed["trial_id"].tolist()
    assert table["ended"].notna().all()
    assert table.set_index("trial_id")["ended"][there.index].equals(there), "nothing was trained again"
    assert_equal(tables(cli.root, "undisturbed"), tables(cli.root, "s"))


@pytest.mark.slow
@pytest.mark.ray
def test_on_ray_the_sampler_is_asked_while_packs_run(cli: Cli) -> None:
    words = [
        *SMALL,
        *BOUNDARY,
        "cluster=local",
        "sampler.n_trials=40",
        "sampler.batch=4",
        "--steps",
        "300",
        "--name",
        "s",
    ]
    done = cli.run("run", *words)
    assert "n_trials=40" in done.stdout
    table = proposals(cli.root)
    assert table["number"].tolist() == list(range(40))
    assert table["trial_id"].is_unique
    assert table["steps_run"].tolist() == [300] * 40
    assert (table["written_at"] < table["ended"]).all()
    assert (table["finished"] < table["number"]).any(), "some were proposed while others ran"
    again = cli.run("run", *words)
    assert "nothing to do" in again.stdout
