"""`store gc` and `store compact`: what goes is named first, what stays can be measured, and a study goes on."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from grokstudy.cli.live import Mode
from grokstudy.cli.measure import Which, measure
from grokstudy.cli.show import Format
from grokstudy.cli.store import compact
from grokstudy.spec.compose import compose_study
from grokstudy.spec.errors import BadInput, DamagedFile
from grokstudy.store.checkpoints import checkpoints, load_lane
from grokstudy.store.folder import StudyFolder
from grokstudy.store.gc import removed
from grokstudy.store.quarantine import TIME, quarantine
from grokstudy.store.views import read_trials
from grokstudy.study import run
from grokstudy.study.board import Board
from grokstudy.study.lookup import checkpoint_at, find_trial
from grokstudy.study.store_gc import Policy, collect, planned_gc

from .conftest import SMALL, Cli
from .store_damage import DAMAGES, FIXED, checked, copied, damage, files, repaired, train, trained
from .stored import assert_equal, tables


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_report", lambda *_, **__: [])


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study that nobody changes."""
    return trained(tmp_path_factory.mktemp("whole"))


@pytest.fixture
def folder(study: Path, tmp_path: Path) -> StudyFolder:
    """A copy of it."""
    return copied(study, tmp_path)


def _longer(folder: StudyFolder, budget: int) -> Board:
    words = [*FIXED, f"storage.root={folder.storage.uri}", "regularization.weight_decay=1,3", "seed=seeds(2)"]
    board = Board(study="s")
    run.run_study(compose_study([*SMALL, *words, f"budget={budget}"], name="s"), board)
    return board


@pytest.mark.parametrize("choice", ["scheduled", "transition", "final"])
def test_what_stays_can_be_read_and_the_study_is_whole(folder: StudyFolder, choice: str) -> None:
    before, names = tables(folder.storage.uri, "s"), folder.names("")
    planned = planned_gc(folder, Policy(checkpoints=choice))
    assert folder.names("") == names, "planning deletes nothing"
    gone = planned[0].names
    assert gone
    assert planned[0].size == sum(folder.storage.size(folder.key(name)) for name in gone)
    assert collect(folder, Policy(checkpoints=choice)) == planned
    assert not set(gone) & set(folder.names(""))
    rows = checkpoints(folder)
    assert all(load_lane(folder, row) for row in rows)
    assert {row.file for row in rows} == set(files(folder, "weights"))
    after = tables(folder.storage.uri, "s")
    assert all(after[view].equals(before[view]) for view in ("trials", "curves", "measures_long"))
    steps = {
        trial.trial_id: {row.step for row in rows if row.trial_id == trial.trial_id} for trial in read_trials(folder)
    }
    assert all({0, 300} <= some for some in steps.values())
    assert checked(folder).is_whole
    assert checked(folder).findings.unreferenced == ()
    assert [event.kept for event in removed(folder)] == [choice]
    assert collect(folder, Policy(checkpoints=choice))[0].names == ()


def test_the_choices_are_nested(folder: StudyFolder) -> None:
    gone = {choice: set(planned_gc(folder, Policy(checkpoints=choice))[0].names) for choice in ("transition", "final")}
    assert gone["transition"] < gone["final"]
    windows = planned_gc(folder, Policy(checkpoints="scheduled"))[0].names
    assert all("/ring-" in name for name in windows)
    assert len(windows) == sum("/ring-" in name for name in files(folder, "weights"))
    assert not any("/ring-" in name for name in gone["transition"])


def test_a_checkpoint_that_was_removed_is_said_to_be_removed(folder: StudyFolder) -> None:
    collect(folder, Policy(checkpoints="final"))
    trial = find_trial(read_trials(folder)[0].trial_id, folder.storage.uri)
    with pytest.raises(BadInput, match=r"no checkpoint there; nearest: 0.*`grokstudy store gc` removed .* kept: final"):
        checkpoint_at(trial, 10)


def test_a_study_goes_on_after_gc_without_training_a_step_twice(folder: StudyFolder) -> None:
    collect(folder, Policy(checkpoints="final"))
    board = _longer(folder, 310)
    assert board.updates == 4 * 10
    assert checked(folder).is_whole


def test_without_states_a_larger_budget_trains_from_the_start_to_the_same_numbers(folder: StudyFolder) -> None:
    before = tables(folder.storage.uri, "s")["curves"]
    waste = {some.group: some for some in collect(folder, Policy(snapshots="all"))}
    assert len(waste["snapshots"].names) > 0
    board = _longer(folder, 310)
    assert board.updates == 4 * 310
    after = tables(folder.storage.uri, "s")["curves"]
    assert after[after["step"] <= 300].reset_index(drop=True).equals(before)


def test_weights_that_a_fork_starts_from_stay(folder: StudyFolder) -> None:
    parent = read_trials(folder)[0].trial_id
    words = [f"storage.root={folder.storage.uri}", "task.frac_train=0.7", f"init.from={parent}@10", "budget=20"]
    run.run_study(compose_study([*SMALL, *words], name="fork"), Board(study="fork"))
    collect(folder, Policy(checkpoints="final"))
    assert 10 in {row.step for row in checkpoints(folder) if row.trial_id == parent}


def test_what_killed_runs_left_goes_and_what_a_person_put_there_stays(folder: StudyFolder) -> None:
    orphan = "checkpoints/aaaa/step-00000001.safetensors"
    folder.put_bytes(orphan, folder.get_bytes(files(folder, "weights")[0]) or b"")
    folder.put_text("notes.md", "mine")
    (Path(folder.storage.uri) / "s" / "curves" / ".part.0123.tmp").write_bytes(b"half")
    found = checked(folder)
    assert found.is_whole
    assert found.findings.unreferenced == (orphan,)
    assert found.findings.unfinished == ("curves/.part.0123.tmp",)
    waste = {some.group: some.names for some in collect(folder, Policy())}
    assert waste["unreferenced"] == (orphan,)
    assert waste["unfinished"] == ("curves/.part.0123.tmp",)
    assert waste["checkpoints"] == ()
    assert folder.get_text("notes.md") == "mine"
    assert not (Path(folder.storage.uri) / "s" / "curves" / ".part.0123.tmp").exists()
    assert checked(folder).findings.unreferenced == ()


def test_quarantine_stays_until_it_is_old(folder: StudyFolder) -> None:
    quarantine(folder, {"study.yaml": "a test"})
    (young, note) = folder.names("quarantine")
    old = young.replace(young.split("/")[1], f"{datetime.now(UTC) - timedelta(days=31):{TIME}}")
    folder.put_text(old, "old")
    assert {w.group: w.names for w in collect(folder, Policy())}["quarantine"] == (old,)
    assert folder.names("quarantine") == [young, note]
    assert {w.group: w.names for w in collect(folder, Policy(older_than=0))}["quarantine"] == (young, note)


def test_nothing_is_deleted_from_a_damaged_study(folder: StudyFolder) -> None:
    damage(folder, files(folder, "checkpoints")[0], DAMAGES["truncated"])
    before = folder.names("")
    with pytest.raises(DamagedFile, match=r"store check s --repair.*Nothing is deleted"):
        collect(folder, Policy(checkpoints="final"))
    assert folder.names("") == before


def test_weights_lost_after_gc_bring_their_trials_back(folder: StudyFolder) -> None:
    before = tables(folder.storage.uri, "s")["curves"]
    collect(folder, Policy(checkpoints="final"))
    name = next(name for name in files(folder, "weights") if name.endswith("step-00000300.safetensors"))
    damage(folder, name, DAMAGES["flipped"])
    assert checked(folder).repair.again
    repaired(folder)
    train(folder.storage.uri)
    assert checked(folder).is_whole
    assert tables(folder.storage.uri, "s")["curves"].equals(before)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"checkpoints": "finl"}, "did you mean 'final'"),
        ({"snapshots": "x"}, "superseded"),
        ({"older_than": -1.0}, ">= 0"),
    ],
)
def test_a_policy_that_cannot_be_is_refused(given: dict[str, str], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        Policy(**given)  # type: ignore[arg-type]


def test_compact_says_how_many_parts_there_were_and_a_dry_run_changes_nothing(
    folder: StudyFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    before, names = tables(folder.storage.uri, "s"), folder.names("")
    parts = len(files(folder, "trials"))
    assert parts > 1
    compact("s", dry_run=True, storage=folder.storage.uri)
    assert f"trials     {parts} parts" in capsys.readouterr().out
    assert folder.names("") == names
    compact("s", format=Format.json, storage=folder.storage.uri)
    told = json.loads(capsys.readouterr().out)
    counts = {word: {kind["kind"]: kind["parts"] for kind in told[word]} for word in ("before", "after")}
    assert counts["before"]["trials"] == parts
    assert counts["after"]["trials"] == counts["after"]["curves"] == len(files(folder, "curves")) == 1
    assert_equal(tables(folder.storage.uri, "s"), before)


def test_measuring_all_after_gc_says_that_some_were_removed(
    folder: StudyFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    collect(folder, Policy(checkpoints="final"))
    measure(["s"], checkpoints=Which.all, only=["cross_entropy"], progress=Mode.quiet, storage=folder.storage.uri)
    assert "`grokstudy store gc` removed checkpoints of s" in capsys.readouterr().err


@pytest.mark.slow
def test_the_verbs_say_what_they_do_in_words_and_as_one_document(folder: StudyFolder, cli: Cli) -> None:
    there = ("--storage", folder.storage.uri)
    name = files(folder, "curves")[-1]
    damage(folder, name, DAMAGES["flipped"])
    told = json.loads(cli.run("store", "check", "s", "--format", "json", *there, code=1).stdout)
    assert [file["file"] for file in told["damaged"]] == [name]
    assert not told["whole"]
    again = [lost["trial_id"] for lost in told["again"]]
    assert again
    said = cli.run("store", "check", "s", "--repair", *there).stdout
    assert "s: repaired" in said
    assert all(trial_id[:8] in said for trial_id in again)
    assert "`grokstudy run` of s" in said
    told = json.loads(
        cli.run("store", "gc", "s", "--checkpoints", "final", "--dry-run", "--format", "json", *there).stdout
    )
    assert {group["group"] for group in told["deleted"]} >= {"checkpoints", "snapshots", "unreferenced"}
    assert set(told["names"]) <= set(folder.names(""))
