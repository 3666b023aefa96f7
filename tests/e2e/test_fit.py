"""The verb `fit` and `Study.fit` on a real study: quad23 at four fractions and three weight decays."""

from __future__ import annotations

import json

import pytest

import grokstudy as gs
from grokstudy.phase.inference.result import Fit
from grokstudy.spec.errors import BadInput
from tests.e2e.conftest import Cli


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> gs.Study:
    """36 trials of a quarter of a second each."""
    return gs.run(
        "preset=quad23",
        "cluster=none",
        "tracking=none",
        "engine.compile=false",
        name="plane",
        steps=400,
        root=str(tmp_path_factory.mktemp("fit")),
        progress=False,
        **{
            "regularization.weight_decay": "log(2,6,3)",
            "task.frac_train": [0.35, 0.5, 0.6, 0.7],
            "seed": "seeds(3)",
        },
    )


@pytest.mark.slow
def test_more_weight_decay_and_more_data_make_it_faster(study: gs.Study) -> None:
    found = study.fit("aft", x=("weight_decay", "frac_train"))
    assert isinstance(found, Fit)
    table = found.table().set_index(["model", "name"])
    for name in ("regularization.weight_decay", "task.frac_train"):
        assert table.loc[("lognormal", name), "estimate"] < 1


@pytest.mark.slow
def test_cells_of_a_study_agree_with_its_phase_diagram(study: gs.Study) -> None:
    cells = study.fit("interval", x=("weight_decay", "frac_train")).table()
    diagram = study.phase_diagram("weight_decay", "frac_train", value="t_gen")
    seen = 0
    for row in cells.itertuples(index=False):
        at = {"weight_decay": row[0], "frac_train": row[1]}
        median = float(diagram["t_gen_median"].sel(at, method="nearest"))
        assert row.estimate == pytest.approx(median, nan_ok=True)
        seen += row.seen
    assert seen == study.trials("t_gen IS NOT NULL").shape[0]


@pytest.mark.slow
def test_the_verb_prints_rows_tells_what_is_assumed_and_writes_a_picture(study: gs.Study, cli: Cli) -> None:
    where = ["--storage", study.folder.storage.uri]
    words = ["fit", "plane", "cure", "--x", "weight_decay", "--x", "frac_train"]
    document = json.loads(cli.run(*words, "--format", "json", *where).stdout)
    assert {"rows", "sentences"} == set(document)
    assert document["rows"]
    done = cli.run(*words, "--out", "cure.png", *where)
    assert (cli.work / "cure.png").read_bytes().startswith(b"\x89PNG")
    assert "Not claimed" in done.stderr


@pytest.mark.slow
def test_bad_input_is_refused_by_the_verb_and_in_python(study: gs.Study, cli: Cli) -> None:
    words = ["fit", "plane", "aft", "--x", "weight_decay", "--storage", study.folder.storage.uri]
    assert "neither drawn nor fixed" in cli.run(*words, code=2).stderr
    for what, settings, message in (
        ("atf", {}, "did you mean 'aft'"),
        ("aft", {"value": "test_acc"}, "does not use it"),
        ("exponent", {}, "asked of one setting, got 2"),
    ):
        with pytest.raises(BadInput, match=message):
            study.fit(what, x=("weight_decay", "frac_train"), **settings)
