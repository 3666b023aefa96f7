"""`compare` and `phases --overlay` on a real study, as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from grokstudy.cli.app import app
from grokstudy.spec.compose import compose_study
from grokstudy.spec.errors import BadInput
from grokstudy.study.board import Board
from grokstudy.study.run import run_study

WORDS = ["preset=quad23", "task.p=11", "model.width=32", "tracking=none", "cluster=none", "budget=300"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two studies that differ in weight decay, the second with a seed less; and one with both as an axis."""
    root = tmp_path_factory.mktemp("data")
    fractions = "task.frac_train=0.6,0.8"
    for name, words in {
        "none": ["regularization.weight_decay=0", "seed=seeds(4)", fractions],
        "some": ["regularization.weight_decay=2", "seed=seeds(3)", fractions],
        "axis": ["regularization.weight_decay=0,2", "seed=seeds(4)", "task.frac_train=0.8"],
    }.items():
        run_study(compose_study([*WORDS, *words, f"storage.root={root}"], name=name), Board(study=name))
    return root


def invoke(root: Path, *words: str) -> str:
    result = CliRunner().invoke(app, [*words, "--storage", str(root)])
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(root: Path, *words: str) -> str:
    result = CliRunner().invoke(app, [*words, "--storage", str(root)])
    assert isinstance(result.exception, BadInput), result.output
    return str(result.exception)


def test_two_studies_are_paired_by_seeds_and_say_in_what_they_differ(root: Path) -> None:
    document = json.loads(invoke(root, "compare", "none", "some", "--format", "json"))
    (about,) = document["comparisons"]
    assert about["differences"] == [{"setting": "regularization.weight_decay", "a": "0", "b": "2"}]
    assert (about["unpaired_a"], about["unpaired_b"], about["budget"]) == (2, 0, 300)
    assert [cell["pairs"] for cell in document["cells"]] == [3, 3, 6]
    trials = json.loads(invoke(root, "trials", "some", "--format", "json"))
    times = {row["trial_id"]: row["t_gen"] for row in trials}
    for pair in document["pairs"]:
        seen = times[pair["trial_b"]]
        assert (pair["b_high"] is None) == (seen is None)
        assert seen is None or pair["b_low"] == pytest.approx(seen)


def test_levels_of_an_axis_are_the_same_pairs_as_two_studies(root: Path) -> None:
    levels = json.loads(invoke(root, "compare", "axis", "--axis", "weight_decay", "--format", "json"))
    studies = json.loads(
        invoke(root, "compare", "none", "some", "--fix", "frac_train=0.8", "--format", "json", "--by", "frac_train")
    )
    shared = {(pair["trial_a"], pair["trial_b"]) for pair in levels["pairs"]}
    assert len(shared) == 4
    assert {(pair["trial_a"], pair["trial_b"]) for pair in studies["pairs"]} < shared
    turned = invoke(root, "compare", "axis", "--axis", "weight_decay", "--against", "2", "--format", "json")
    assert {(pair["trial_b"], pair["trial_a"]) for pair in json.loads(turned)["pairs"]} == shared


def test_another_threshold_rule_or_value_needs_no_training(root: Path, tmp_path: Path) -> None:
    for words in (["--tau", ".8"], ["--rule", "test_loss<0.5"], ["--value", "test_loss"], ["--budget", "150"]):
        assert json.loads(invoke(root, "compare", "none", "some", "--format", "json", *words))["cells"]
    table = invoke(root, "compare", "none", "some", "--value", "log10_delay_ratio")
    assert "interval" in table
    for name in ("c.png", "c.html", "c.csv"):
        invoke(root, "compare", "none", "some", "--out", str(tmp_path / name))
        assert (tmp_path / name).stat().st_size > 0


def test_what_cannot_be_compared_is_said_in_one_line(root: Path) -> None:
    assert "compared with itself" in refused(root, "compare", "none", "none")
    assert "give two studies" in refused(root, "compare", "none")
    assert "did you mean 'axis'" in refused(root, "compare", "axs", "some")
    assert "did you mean" in refused(root, "compare", "axis", "--axis", "weight_decy")
    assert "its values are 0, 2" in refused(root, "compare", "axis", "--axis", "weight_decay", "--against", "3")
    assert "has 1 values" in refused(root, "compare", "axis", "--axis", "frac_train")
    assert "give --axis too" in refused(root, "compare", "none", "some", "--against", "2")
    assert "no amount" in refused(root, "compare", "none", "some", "--value", "p_gen")
    assert "neither shown nor fixed" in refused(root, "compare", "none", "some", "--by", "lr")


def plane(root: Path, overlay: Path, out: Path) -> list[str]:
    axes = ["--x", "weight_decay", "--y", "seed", "--overlay", str(overlay), "--out", str(out)]
    return ["phases", "axis", *axes]


def test_points_from_elsewhere_are_drawn_with_their_source(root: Path, tmp_path: Path) -> None:
    points = tmp_path / "published.csv"
    points.write_text("weight_decay,seed,label,source\n1,1,Gromov,arXiv 2301.02679\n0.5,2,,\n9,1,far,\n")
    invoke(root, *plane(root, points, tmp_path / "phase.svg"))
    text = (tmp_path / "phase.svg").read_text()
    assert all(word in text for word in ("Gromov", "arXiv 2301.02679", "published.csv", "1 of 3 outside"))
    rows = [{"regularization.weight_decay": 1, "seed": 1, "label": "ours"}]
    (tmp_path / "ours.json").write_text(json.dumps(rows))
    invoke(root, *plane(root, tmp_path / "ours.json", tmp_path / "phase.html"))
    assert '"ours"' in (tmp_path / "phase.html").read_text()


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "weight_decy,seed\n1,1\n", "did you mean 'weight_decay'"),
        ("a.csv", "weight_decay,label\n1,x\n", "no column for seed"),
        ("a.csv", "weight_decay,seed\none,1\n", "must be a number"),
        ("a.csv", "weight_decay,seed\n", "holds no point"),
        ("a.csv", "", "cannot be read"),
        ("a.json", '{"weight_decay": 1}', "must be a list of objects"),
        ("a.json", "[1", "cannot be read"),
        ("a.xlsx", "", "must be .csv or .json"),
    ],
)
def test_a_file_of_points_that_does_not_fit_is_explained(
    root: Path, tmp_path: Path, name: str, text: str, said: str
) -> None:
    (tmp_path / name).write_text(text)
    assert said in refused(root, *plane(root, tmp_path / name, tmp_path / "phase.png"))
    assert not (tmp_path / "phase.png").exists()


def test_points_need_a_file_and_a_picture(root: Path, tmp_path: Path) -> None:
    assert "no file" in refused(root, *plane(root, tmp_path / "none.csv", tmp_path / "phase.png"))
    (tmp_path / "a.csv").write_text("weight_decay,seed\n1,1\n")
    assert "drawn over a figure" in refused(root, *plane(root, tmp_path / "a.csv", tmp_path / "phase.csv"))
    words = ["phases", "axis", "--x", "weight_decay", "--y", "seed", "--overlay", str(tmp_path / "a.csv")]
    assert "give --out" in refused(root, *words)
