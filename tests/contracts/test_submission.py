"""What is sent to a cluster: exactly what the work needs, under a name that the same work always has."""

from __future__ import annotations

import dataclasses
import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from grokstudy.execution.remote_job import RemoteJob, State
from grokstudy.spec.compose import compose_study
from grokstudy.spec.errors import BadInput
from grokstudy.spec.identity import leaves
from grokstudy.spec.study import StudySpec
from grokstudy.study import document
from grokstudy.study.resolved import resolved_study
from grokstudy.study.sendable import check_storage, check_study, check_words
from grokstudy.study.submission import Work, archive, code_files, study_work, without_options, words_work
from grokstudy.study.submitted import check_free, found_job, last_lines, next_id, remedy

SECRET = "hunter2-do-not-send"
STUDY = ["preset=quad23", "task.p=11", "seed=seeds(2)", "storage.root=s3://bucket/data", "tracking=none"]
PLUGIN = "def half(network):\n    '''Half.'''\n    return 0.5\n"


def spec(*words: str) -> StudySpec:
    return compose_study([*STUDY, *words], name="mine")


def work(*words: str) -> Work:
    return study_work(spec("cluster=none", *words), [])


def job(job_id: str, state: State = "running", study: str = "mine") -> RemoteJob:
    return RemoteJob(
        id=job_id,
        study=study,
        verb="run",
        storage="s3://bucket/data",
        state=state,
        started=None,
        ended=None,
        message="",
        exit_code=None,
    )


def test_the_same_submission_has_the_same_name_and_bytes_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = work()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GROKSTUDY_DEBUG", "1")
    assert work().stem == first.stem
    assert archive(work().files) == archive(first.files)
    assert first.stem.startswith("mine-")
    assert len(first.stem) == len("mine-") + 8


def test_other_libraries_do_not_rename_a_submission(monkeypatch: pytest.MonkeyPatch) -> None:
    before = work().stem
    monkeypatch.setattr(document, "_versions", lambda: {"grokstudy": "9.9"})
    assert work().stem == before


@pytest.mark.parametrize(
    "words",
    [["optimizer.lr=0.5"], ["budget=77"], ["seed=seeds(3)"], ["cluster.pack_size=3"], ["tracking.uri=http://m:5"]],
)
def test_other_work_has_another_name(words: list[str]) -> None:
    assert work(*words).stem != work().stem


def test_a_changed_plugin_is_other_work(tmp_path: Path) -> None:
    file = tmp_path / "half.py"
    file.write_text(PLUGIN)
    one = study_work(spec("cluster=none"), [file])
    file.write_text(PLUGIN.replace("0.5", "0.25"))
    assert study_work(spec("cluster=none"), [file]).stem != one.stem


def test_a_submission_at_work_is_not_sent_twice_and_an_ended_one_counts_up() -> None:
    stem = work().stem
    assert next_id(stem, []) == (f"{stem}-1", None)
    running = job(f"{stem}-1")
    assert next_id(stem, [running]) == (f"{stem}-2", running)
    ended = [job(f"{stem}-{n}", "failed") for n in (1, 2, 10)]
    assert next_id(stem, ended) == (f"{stem}-11", None)
    others = [job(f"{stem}0-1"), job("mine-00000000-7"), job(f"{stem}-x")]
    assert next_id(stem, others) == (f"{stem}-1", None)


def test_a_package_holds_the_study_and_named_plugins_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not the user's directory, its secrets or its data, nor the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("RAY_AUTH_TOKEN", SECRET)
    (tmp_path / ".env").write_text(SECRET)
    (tmp_path / "circuits").mkdir()
    for name in ("half.py", "other.py", "credentials.yaml"):
        (tmp_path / "circuits" / name).write_text(PLUGIN if name == "half.py" else SECRET)
    sent = study_work(spec("cluster=none"), [Path("circuits/half.py")])
    with zipfile.ZipFile(io.BytesIO(archive(sent.files))) as package:
        assert sorted(package.namelist()) == ["plugins/circuits/half.py", "study.yaml"]
        for name in package.namelist():
            assert SECRET.encode() not in package.read(name)
            assert str(tmp_path).encode() not in package.read(name)
    assert sent.entrypoint.endswith("run --from study.yaml --plugin plugins/circuits/half.py")
    assert SECRET not in repr(sent)


def test_shipped_code_is_code_and_runs_alone(tmp_path: Path) -> None:
    files = code_files()
    assert {Path(name).suffix for name in files} == {".py", ".yaml", ".jinja", ""}
    assert [name for name in files if not Path(name).suffix] == [next(name for name in files if "METADATA" in name)]
    assert not [name for name in files if "__pycache__" in name or "/." in name or "static/" in name]
    assert sum(map(len, files.values())) < 10 << 20
    with zipfile.ZipFile(io.BytesIO(archive(files))) as package:
        package.extractall(tmp_path)
    program = "import grokstudy.cli.app, grokstudy.conf, importlib.metadata as m; "
    program += "print(grokstudy.__file__, grokstudy.conf.__file__, m.version('grokstudy'))"
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    said = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=clean, capture_output=True, text=True, timeout=60, check=True
    ).stdout.split()
    assert said[:2] == [f"{tmp_path}/grokstudy/__init__.py", f"{tmp_path}/grokstudy/conf/__init__.py"]
    assert said[2] == yaml.safe_load(document.to_yaml(spec()))["versions"]["grokstudy"]


def test_the_content_of_a_named_file_travels(tmp_path: Path) -> None:
    """A Cayley table is a file here; on the cluster there is none."""
    table = tmp_path / "c3.txt"
    table.write_text("0 1 2\n1 2 0\n2 0 1\n")
    words = ["task=group", "task.group=null", f"task.table={table}", "task.frac_train=0.8"]
    given = compose_study(["preset=quad23", *words, "cluster=none"])
    before = given.trial({})
    sent = study_work(given, [])
    table.unlink()
    file = tmp_path / "study.yaml"
    file.write_bytes(sent.files["study.yaml"])
    read = resolved_study(file, []).spec
    assert str(table).encode() not in sent.files["study.yaml"]
    assert leaves(read.trial({}))["task.table"].value == leaves(before)["task.table"].value


def test_a_resolved_file_is_the_study_that_was_composed(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    given = spec("task.frac_train=lin(0.5,0.7,3)")
    file.write_text(document.to_yaml(given))
    read = resolved_study(file, [])
    assert document.plain(read.spec) == document.plain(given)
    assert read.notices == ()
    moved = resolved_study(
        file, ["cluster=none", "cluster.pack_size=4", "storage.root=/x", "budget=9"], name="other"
    ).spec
    assert (moved.cluster.kind, moved.cluster.pack_size) == ("none", 4)
    assert (moved.storage.root, moved.budget, moved.name) == ("/x", 9, "other")
    assert list(moved.trials([{}])) == list(given.trials([{}]))


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["optimizer.lr=1"], ["optimizer.lr", "--from", "cluster.*"]),
        (["seed=seeds(4)"], ["seed", "--from"]),
        (["preset=small31"], ["preset", "--from"]),
        (["engine.threads=2"], ["engine.threads", "--from"]),
        (["cluster.packsize=2"], ["cluster.packsize", "did you mean 'pack_size'"]),
        (["cluster=nowhere"], ["cluster.kind", "nowhere"]),
        (["storage=local"], ["storage", "storage.root"]),
        (["budget=0"], ["budget", ">= 1"]),
    ],
)
def test_a_word_that_says_what_a_trial_is_is_refused_beside_a_resolved_file(
    tmp_path: Path, words: list[str], named: list[str]
) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(document.to_yaml(spec()))
    with pytest.raises(BadInput) as refused:
        resolved_study(file, words)
    assert all(part in str(refused.value) for part in named), refused.value


def test_a_file_of_another_grokstudy_is_refused_and_other_libraries_are_told(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    data = yaml.safe_load(document.to_yaml(spec()))
    torch = data["versions"]["torch"]
    file.write_text(yaml.safe_dump({**data, "versions": {**data["versions"], "torch": "1.0"}}))
    (notice,) = resolved_study(file, []).notices
    assert "torch 1.0 there" in notice
    assert torch in notice
    file.write_text(yaml.safe_dump({**data, "versions": {**data["versions"], "grokstudy": "99.1"}}))
    with pytest.raises(BadInput, match=r"grokstudy 99\.1.*--ship-code"):
        resolved_study(file, [])
    for text in ("[1, 2", "- 3", "5"):
        file.write_text(text)
        with pytest.raises(BadInput, match="not a readable study"):
            resolved_study(file, [])


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["storage.root=./here"], ["storage.root", "./here", "s3://", "--shared-path"]),
        (["storage.root=memory://x"], ["storage.root", "memory://x", "s3://"]),
        (["tracking=mlflow"], ["tracking.uri", "tracking=none"]),
        (["tracking=mlflow", "tracking.uri=sqlite:////x/mlflow.db"], ["tracking.uri", "sqlite", "tracking=none"]),
        (["measures.names=[fvee]"], ["fvee", "did you mean 'fve'"]),
        (["task.frac_train=0.5,1.5"], ["task.frac_train", "1.5"]),
    ],
)
def test_what_nodes_cannot_reach_or_run_is_refused_before_anything_is_sent(words: list[str], named: list[str]) -> None:
    with pytest.raises(BadInput) as refused:
        check_study(spec(*words), shared_path=False)
    assert all(part in str(refused.value) for part in named), refused.value


def test_a_study_that_can_be_sent_is_counted() -> None:
    assert check_study(spec("task.frac_train=0.5,0.6,0.7"), shared_path=False) == 6
    assert check_study(spec("tracking=mlflow", "tracking.uri=https://mlflow:5000"), shared_path=False) == 2
    check_storage("/mnt/shared", shared_path=True)
    with pytest.raises(BadInput, match="absolute"):
        check_storage("mnt/shared", shared_path=True)


@pytest.mark.parametrize(
    "word",
    [
        f"tracking.uri=http://me:{SECRET}@mlflow:5000",
        f"storage.root=s3://key:{SECRET}@bucket/data",
        f"--storage=s3://key:{SECRET}@bucket/data",
        f"storage.root=s3://bucket/data?secret={SECRET}",
        f"s3://key:{SECRET}@bucket/data/mine",
    ],
)
def test_a_password_in_an_address_is_refused_and_not_repeated(word: str) -> None:
    with pytest.raises(BadInput) as refused:
        check_words([word])
    assert SECRET not in str(refused.value)


def test_another_verb_keeps_its_words_and_names_its_storage() -> None:
    words = ["mine", "--storage", "elsewhere", "--checkpoints", "all", "--plugin=a.py", "--only", "fve"]
    assert without_options(words, ["--storage", "--plugin"]) == ["mine", "--checkpoints", "all", "--only", "fve"]
    sent = words_work("measure", "mine", "s3://b/d", words[:-3], [], [("--storage", "s3://b/d")])
    assert sent.words == ("mine", "--checkpoints", "all", "--storage", "s3://b/d")
    assert sent.files == {}


def test_a_job_is_found_by_id_study_or_the_beginning_of_one_id() -> None:
    newest, older, other = job("mine-aaaaaaaa-2"), job("mine-aaaaaaaa-1"), job("mine2-bbbbbbbb-1", study="mine2")
    jobs = [newest, older, other]
    assert found_job("mine", jobs) == newest
    assert found_job("mine-aaaaaaaa-1", jobs) == older
    assert found_job("mine2-b", jobs) == other
    with pytest.raises(BadInput, match="begins 2 ids"):
        found_job("mine-a", jobs)
    for asked in ("nothing", ""):
        with pytest.raises(BadInput, match="grokstudy status"):
            found_job(asked, jobs)


def test_a_study_s_name_means_its_job_at_work() -> None:
    refused, running = job("mine-bbbbbbbb-1", "failed"), job("mine-aaaaaaaa-1")
    assert found_job("mine", [refused, running]) == running
    assert found_job("mine-bbbbbbbb-1", [refused, running]) == refused
    newest, older = job("mine-aaaaaaaa-2", "finished"), job("mine-aaaaaaaa-1", "failed")
    assert found_job("mine", [newest, older]) == newest


def test_a_study_that_a_job_is_running_takes_no_other_run() -> None:
    running = job("mine-aaaaaaaa-1")
    with pytest.raises(BadInput, match="grokstudy stop mine-aaaaaaaa-1"):
        check_free("mine", running.storage, [job("mine-bbbbbbbb-1", "failed"), running])
    check_free("mine", f"{running.storage}/elsewhere", [running])
    check_free("other", running.storage, [running])
    check_free("mine", running.storage, [job("mine-aaaaaaaa-1", "stopped")])
    check_free("mine", running.storage, [dataclasses.replace(running, verb="measure")])


@pytest.mark.parametrize(
    ("log", "told"),
    [
        ("/usr/bin/python: Error while finding module specification ... No module named 'grokstudy'", "--ship-code"),
        ("/usr/bin/python: No module named grokstudy", "--ship-code"),
        ("ModuleNotFoundError: No module named 'duckdb'", "duckdb"),
        ("/bin/sh: 1: python: not found", "PATH"),
        ("Job supervisor actor died: its node has died", "goes on"),
    ],
)
def test_a_known_failure_comes_with_its_remedy(log: str, told: str) -> None:
    assert told in (remedy(f"line\n{log}\nline") or "")
    assert remedy("Traceback: something else") is None


def test_last_lines_are_the_end_without_blanks() -> None:
    assert last_lines("a\n\nb  \n\n", 8) == ["a", "b"]
    assert last_lines("\n".join("abcdefgh"), 2) == ["g", "h"]


def test_a_job_record_says_whether_it_is_over() -> None:
    for state in ("waiting", "running", "finished", "failed", "stopped"):
        assert dataclasses.replace(job("x"), state=state).is_over is (state not in ("waiting", "running"))
