"""What a user gets wrong: exit code 2, one message with the key, the value, what is allowed and the nearest name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from grokstudy.cli.app import app
from grokstudy.spec.errors import GrokstudyError

from .conftest import SMALL, Cli

RUN = ["run", *SMALL]
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
    "measure nothing": (["measure"], ["STUDY", "--weights"]),
    "weights": (["measure", "--weights", "absent.safetensors"], ["--weights", "absent.safetensors"]),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_refused_with_key_value_and_remedy(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GROKSTUDY_STORAGE", str(tmp_path / "data"))
    words, expected = WRONG[case]
    result = CliRunner().invoke(app, words)
    assert isinstance(result.exception, GrokstudyError), (result.exception, result.output)
    message = str(result.exception)
    assert "\n" not in message
    for part in expected:
        assert part in message, message
    assert result.exception.exit_code == 2
    assert not list(tmp_path.rglob("*.parquet"))
    assert not list(tmp_path.rglob("study.yaml"))


def test_a_user_sees_one_line_and_exit_code_2(cli: Cli) -> None:
    result = cli.run("run", *SMALL, "modle.width=3", code=2)
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "did you mean 'model'" in result.stderr
    wrong_option = cli.run("run", "--nmae", "x", code=2)
    assert "--nmae" in wrong_option.stderr


def test_another_base_config_under_the_same_name_is_refused_and_changes_nothing(cli: Cli) -> None:
    words = ["run", *SMALL, "--name", "s", "--steps", "20"]
    cli.run(*words)
    before = {path: path.read_bytes() for path in (cli.root / "s").rglob("*") if path.is_file()}
    result = cli.run(*words, "optimizer.lr=0.5", code=2)
    assert "optimizer.lr" in result.stderr
    assert "0.01" in result.stderr
    assert "0.5" in result.stderr
    assert "--name" in result.stderr
    assert {path: path.read_bytes() for path in (cli.root / "s").rglob("*") if path.is_file()} == before


def test_a_truncated_part_is_named_and_nothing_is_lost(cli: Cli) -> None:
    cli.run("run", *SMALL, "seed=seeds(2)", "cluster.pack_size=1", "--name", "s", "--steps", "20")
    part = sorted((cli.root / "s/trials").glob("*.parquet"))[0]
    whole = part.read_bytes()
    part.write_bytes(whole[: len(whole) // 2])
    for words in (["trials", "s"], ["run", *SMALL, "seed=seeds(2)", "--name", "s", "--steps", "30"]):
        result = cli.run(*words, code=2)
        assert part.name in result.stderr
    part.write_bytes(whole)
    rows = json.loads(cli.run("trials", "s", "--format", "json").stdout)
    assert len(rows) == 2


def test_a_truncated_checkpoint_is_named_when_it_is_measured(cli: Cli) -> None:
    cli.run("run", *SMALL, "--name", "s", "--steps", "20")
    file = next((cli.root / "s/checkpoints").rglob("step-00000000.safetensors"))
    file.write_bytes(file.read_bytes()[:100])
    result = cli.run("measure", "s", code=2)
    assert "step-00000000.safetensors" in result.stderr


def test_a_phase_diagram_never_averages_over_a_forgotten_axis(cli: Cli) -> None:
    axes = ["regularization.weight_decay=0,1", "task.frac_train=0.5,0.8", "optimizer.lr=0.01,0.02"]
    cli.run("run", *SMALL, *axes, "--name", "s", "--steps", "40")
    result = cli.run("phases", "s", "--x", "weight_decay", "--y", "frac_train", code=2)
    assert "optimizer.lr" in result.stderr
    assert "--fix" in result.stderr
    fixed = cli.run("phases", "s", "--x", "weight_decay", "--y", "frac_train", "--fix", "lr=0.02", "--format", "json")
    assert json.loads(fixed.stdout)
    nearest = cli.run("phases", "s", "--x", "weight_decai", code=2)
    assert "did you mean 'weight_decay'" in nearest.stderr
