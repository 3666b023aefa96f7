"""Reading a study: every format, SQL, Python, one weights file."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file
from typer.testing import CliRunner

import grokstudy as gs
from grokstudy.cli.app import app
from grokstudy.cli.browse import Kind
from grokstudy.cli.show import Format, print_rows
from grokstudy.spec.compose import compose_study
from grokstudy.spec.decode import decode_trial
from grokstudy.spec.errors import BadInput
from grokstudy.study.board import Board
from grokstudy.study.run import run_study

WORDS = ["preset=quad23", "task.p=11", "model.width=32", "tracking=none", "cluster=none"]
AXES = ["regularization.weight_decay=0,3", "task.frac_train=0.5,0.8", "seed=seeds(2)"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    words = [*WORDS, *AXES, f"storage.root={root}", "measures.names=[cross_entropy,ipr,key_freqs]", "budget=400"]
    run_study(compose_study(words, name="s"), Board(study="s"))
    return root


def _invoke(root: Path, *words: str) -> str:
    result = CliRunner().invoke(app, [*words, "--storage", str(root)])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_every_reading_command_prints_one_json_document(root: Path) -> None:
    def refuse(text: str) -> None:
        raise AssertionError(f"{text} is not JSON")

    for words in (
        ["trials", "s"],
        ["curves", "s", "--where", "t_gen IS NOT NULL"],
        ["measures", "s"],
        ["query", "s", "SELECT outcome, count(*) AS n FROM trials GROUP BY 1"],
        ["query", "s", "--tables"],
        ["phases", "s", "--x", "weight_decay", "--y", "frac_train"],
        ["list", "presets"],
    ):
        assert json.loads(_invoke(root, *words, "--format", "json"), parse_constant=refuse)


@pytest.mark.parametrize("kind", list(Kind))
def test_everything_that_can_be_listed_says_what_it_is_and_where_it_comes_from(root: Path, kind: Kind) -> None:
    rows = json.loads(_invoke(root, "list", kind.value, "--format", "json"))
    own = kind in (Kind.samplers, Kind.measures)  # some of these are this package's own ideas
    for row in rows:
        stored = row == {"name": "s", "what": "stored", "source": ""}
        assert stored or (row["what"] and "\n" not in row["what"]), row
        assert stored or own or row["source"], row
    assert {"name": "s", "what": "stored", "source": ""} in rows or kind is not Kind.studies
    table = _invoke(root, "list", kind.value)
    assert max(map(len, table.splitlines())) <= 120
    unwrapped = " ".join(table.split())
    assert all(row["name"] in unwrapped and row["source"] in unwrapped for row in rows)


def test_python_and_sql_agree_on_shares(root: Path) -> None:
    study = gs.open("s", str(root))
    diagram = study.phase_diagram("weight_decay", "frac_train", value="p_gen")
    counted = study.sql("SELECT weight_decay, frac_train, avg((t_gen IS NOT NULL)::int) AS p FROM trials GROUP BY 1, 2")
    assert len(counted) == 4
    for row in counted.itertuples():
        assert diagram["p_gen"].sel(weight_decay=row.weight_decay, frac_train=row.frac_train).item() == row.p
    assert diagram["n"].values.tolist() == [[2, 2], [2, 2]]
    assert set(study.trials("t_gen IS NULL")["outcome"]) <= {"memorization", "confusion"}
    assert study.curves("weight_decay = 3")["trial_id"].nunique() == 4


def test_the_name_of_a_file_says_its_format(root: Path, tmp_path: Path) -> None:
    for suffix, read in (("csv", pd.read_csv), ("json", pd.read_json), ("parquet", pd.read_parquet)):
        target = tmp_path / f"trials.{suffix}"
        _invoke(root, "trials", "s", "--out", str(target))
        assert len(read(target)) == len(gs.open("s", str(root)).trials())
    with pytest.raises(BadInput, match=r"trials\.txt', must end in \.csv, \.json or \.parquet"):
        print_rows(pd.DataFrame(), Format.table, tmp_path / "trials.txt")


def test_a_times_reading_at_another_tau_runs_nothing(root: Path) -> None:
    strict = gs.open("s", str(root)).phase_diagram("weight_decay", "frac_train", tau=0.999)
    loose = gs.open("s", str(root)).phase_diagram("weight_decay", "frac_train", tau=0.5)
    assert np.nansum(loose["p_gen"]) >= np.nansum(strict["p_gen"])


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf", "html", "csv", "json", "parquet"])
def test_a_diagram_is_written_in_every_format(root: Path, tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"phase.{suffix}"
    _invoke(root, "phases", "s", "--x", "weight_decay", "--y", "frac_train", "--out", str(target))
    assert target.stat().st_size > 100
    if suffix == "parquet":
        assert len(pd.read_parquet(target)) == 4


def test_a_weights_file_in_either_layout_gives_the_same_measures(tmp_path: Path) -> None:
    """The paper's orientation and TransformerLens' are the same network; the split is the paper's own shuffle."""
    spec = decode_trial(
        {
            "task": {"name": "modular", "p": 13},
            "model": {"name": "transformer", "d_model": 16, "n_heads": 2, "d_mlp": 24},
            "optimizer": {"name": "adamw"},
            "loss": {"name": "ce64"},
        }
    )
    params = {name: tensor.float() for name, tensor in spec.model.init(spec.task.shape(), 0).items()}
    ours, theirs = tmp_path / "lens.safetensors", tmp_path / "nanda.safetensors"
    save_file(params, ours)
    turned = {}
    for name, tensor in params.items():
        leaf = name.rpartition(".")[2]
        flat = tensor.flatten(0, 1) if leaf == "W_O" else tensor
        turned[name] = flat if leaf in ("W_pos", "W_U") or flat.ndim < 2 else flat.transpose(-1, -2).contiguous()
    turned["blocks.0.attn.mask"] = torch.tril(torch.ones(3, 3))
    save_file(turned, theirs)
    documents = []
    for file, layout in ((ours, "transformer_lens"), (theirs, "nanda")):
        words = ["measure", "--weights", str(file), "--layout", layout, "task=modular", "task.op=add", "task.p=13"]
        result = CliRunner().invoke(app, [*words, "--split", "python_random:1:0.3", "--format", "json"])
        assert result.exit_code == 0, result.output
        documents.append(json.loads(result.stdout))
    assert documents[0] == documents[1]
    # The accuracy on the train rows of the paper's split, by hand.
    order = list(range(13 * 13))
    random.Random(1).shuffle(order)
    rows = torch.tensor(order[: int(0.3 * 169)])
    wide = {name: tensor.double() for name, tensor in params.items()}
    pairs = torch.stack([rows // 13, rows % 13], 1)
    right = spec.model.apply(wide, pairs)[:, :13].argmax(1) == pairs.sum(1) % 13
    assert documents[0]["acc_train"] == pytest.approx(right.double().mean().item(), abs=1e-12)
    wanted = "key_freqs key_freq_rule restricted_loss excluded_loss excluded_loss_by_freq fve gini_W_E gini_W_L"
    wanted += " sum_sq_weights neuron_freq_fraction ce_train ce_test acc_train acc_test keys_saturated protocol"
    assert {*wanted.split(), "measures"} == set(documents[0])


def test_a_measure_that_is_not_there_yet_is_told_apart_from_a_wrong_name(root: Path) -> None:
    words = ["phases", "s", "--x", "weight_decay", "--y", "frac_train", "--value"]
    result = CliRunner().invoke(app, [*words, "certified_share", "--storage", str(root)])
    assert "grokstudy measure s --only algorithm" in str(result.exception)
    result = CliRunner().invoke(app, [*words, "certified_shore", "--storage", str(root)])
    assert "certified_shore" in str(result.exception)
    assert "--only" not in str(result.exception)
    result = CliRunner().invoke(app, ["measure", "s", "--only", "restricted_loss.all", "--storage", str(root)])
    assert "a value of the measure fourier_losses" in str(result.exception)


def test_a_study_opens_by_its_folder_however_the_path_is_written(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    for path in (str(root / "s"), f"{root}/s/", "s/", f"../{root.name}/s"):
        assert gs.open(path).name == "s", path
