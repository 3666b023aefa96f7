"""Long work seen while it goes on: by a script, by another process, by nobody."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from grokstudy.cli.app import app
from grokstudy.store.folder import StudyFolder
from grokstudy.study.activity import Activity, activity

from .conftest import SMALL, Cli

FIELDS = {field.name for field in dataclasses.fields(Activity)}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GROKSTUDY_STORAGE", str(tmp_path / "data"))
    return tmp_path / "data"


def invoke(*words: str) -> Result:
    """The command in this process, with its two streams apart."""
    result = CliRunner().invoke(app, words)
    assert result.exit_code == 0, (result.exception, result.output)
    return result


def looks(stderr: str) -> list[dict[str, object]]:
    """JSON lines; nothing else may be there."""
    found = [json.loads(line) for line in stderr.splitlines()]
    assert all(set(look) == FIELDS for look in found)
    return found


@pytest.mark.slow
def test_run_and_measure_in_every_mode(root: Path) -> None:
    words = ["run", *SMALL, "seed=seeds(2)", "--steps", "40", "--name", "s"]
    first = invoke(*words, "--progress", "json", "--format", "json")
    assert json.loads(first.stdout)["ran"] == 2
    start, *_, end = looks(first.stderr)
    assert (start["stage"], start["done"], start["measured"]) == ("preparing", 0, 0)
    assert (end["stage"], end["done"], end["planned"], end["updates"]) == ("finished", 2, 2, 80)
    again = invoke(*words, "--progress", "quiet")
    assert (again.stdout.count("\n"), again.stderr) == (1, "")
    assert again.stdout.startswith("s: nothing to do")
    assert len(invoke(*words, "--progress", "lines").stdout.splitlines()) > 1

    measured = invoke("measure", "s", "--only", "norms", "--progress", "json", "--format", "json")
    *_, end = looks(measured.stderr)
    assert (end["stage"], end["measured"], end["to_measure"]) == ("finished", 4, 4)  # start and end of two trials
    quiet = invoke("measure", "s", "--only", "gini", "--progress", "quiet")
    assert (quiet.stdout, quiet.stderr) == ("s: measured 4 checkpoints.\n", "")

    verified = invoke("verify", "s", "--progress", "json", "--format", "json")
    assert len(json.loads(verified.stdout)["checkpoints"]) == 4
    *_, end = looks(verified.stderr)
    assert (end["stage"], end["measured"], end["to_measure"]) == ("finished", 4, 4)
    assert list((root / "s").glob("progress.json")) == []


def test_a_dry_run_in_json_has_the_resolved_settings(root: Path) -> None:
    found = json.loads(invoke("run", *SMALL, "seed=seeds(2)", "--dry-run", "--format", "json").stdout)
    assert (found["trials"], found["settings"]["base"]["task"]["p"]) == (2, 11)
    assert found["settings"]["budget"] == 1500
    assert not root.exists()


def test_an_interrupt_before_the_first_trial_is_answered(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("grokstudy.spec.compose.compose_study", interrupted)
    result = CliRunner().invoke(app, ["run", *SMALL])
    assert result.exit_code == 130
    assert result.stderr == "Interrupted. Everything finished is kept; the same command goes on.\n"


def test_no_program_of_a_group_is_promised(root: Path) -> None:
    group = ["preset=quad23", "task=group", "task.group=S3", "model.width=8", "tracking=none", "cluster=none"]
    invoke("run", *group, "--steps", "2", "--name", "g")
    result = CliRunner().invoke(app, ["verify", "g", "--emit", "program.py"])
    assert "--emit: writes programs for task=modular, this trial has task=group" in str(result.exception)
    assert result.output == ""


def test_an_error_about_a_file_names_the_word_that_was_given(root: Path) -> None:
    Path("net.pth").write_bytes(b"nothing")
    for words in (["verify", "absent.pth"], ["verify", "net.pth"]):
        message = str(CliRunner().invoke(app, words).exception)
        assert message.startswith("FILE: ")
        assert "--weights" not in message


@pytest.mark.slow
def test_another_process_sees_a_running_study(cli: Cli) -> None:
    words = [*SMALL, "task.p=23", "model.width=128", "seed=seeds(2)", "cluster.pack_size=1", "--steps", "3000"]
    process = cli.start("run", *words, "--name", "s", "--progress", "json")
    folder = StudyFolder.open(str(cli.root), "s")
    end = time.monotonic() + 120
    while (found := activity(folder)) is None or found.stage != "training" or not found.updates:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.05)
    assert found.is_live
    assert (found.pid, found.planned, found.updates_planned) == (process.pid, 2, 6000)
    assert found.rate is not None
    process.kill()
    process.communicate()
    left = activity(folder)
    assert left is not None  # a killed process cleans up nothing; the age of its last word tells
    assert left.stage == "training"
    _, err = cli.start("run", *words, "--name", "s", "--progress", "json").communicate(timeout=300)
    assert looks(err)[-1]["stage"] == "finished"
    assert activity(folder) is None
