"""Measures of a study: only what is missing, while training, and what a measure that raises may cost."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import grokstudy as gs
from grokstudy.circuits._measure import measures
from grokstudy.cli.app import app
from grokstudy.measure_jobs.plan import missing_jobs
from grokstudy.spec.compose import compose_study
from grokstudy.spec.errors import BadInput
from grokstudy.store.views import connect
from grokstudy.study.board import Board
from grokstudy.study.run import run_study

from .conftest import SMALL, Cli
from .stored import tables

FAULTY = '''
"""A measure that cannot look at trained networks."""

import dataclasses
from typing import ClassVar

from grokstudy.spec.measure import Measure
from grokstudy.spec.rows import MeasureValue


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Faulty(Measure):
    """Raises on everything but the start.

    Source: none.
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = ("faulty",)

    def applies(self, spec):
        return None

    def measure(self, subject):
        if (subject.params["U"] != subject.start["U"]).any():
            raise ZeroDivisionError("nothing to divide by")
        return [MeasureValue(measure="faulty", value=1.0, values=None, protocol="x", version=1, reason=None)]
'''


def _long(cli: Cli, study: str = "s") -> pd.DataFrame:
    return gs.open(study, str(cli.root)).sql("SELECT * FROM measures_long ORDER BY trial_id, step, measure, protocol")


def test_a_new_measure_computes_itself_and_nothing_else(cli: Cli) -> None:
    cli.run("run", *SMALL, "seed=seeds(2)", "--steps", "30", "--name", "s", "measures.names=[norms]")
    study = gs.open("s", str(cli.root))
    with connect([study.folder]) as connection:
        (job,) = missing_jobs(study.folder, connection, ["gini", "norms"], "neuron", "all")
        assert job.measures == ("gini",)
        assert missing_jobs(study.folder, connection, ["norms"], "neuron", "all") == []
    before = _long(cli)
    cli.run("measure", "s", "--checkpoints", "all", "--only", "norms", "--only", "gini")
    after = _long(cli)
    old = after[after["measure"].isin(before["measure"])].reset_index(drop=True)
    assert old["written_at"].tolist() == before["written_at"].tolist()
    assert "gini_W_E" in set(after["measure"])


def test_measured_while_training_is_measured_after_training(cli: Cli) -> None:
    words = [*SMALL, "seed=seeds(3)", "--steps", "150"]
    cli.run("run", *words, "--name", "live", "measures.while_training=[norms,gini]")
    cli.run("run", *words, "--name", "later", "measures.names=[norms,gini]")
    live, later = (_long(cli, name).drop(columns=["written_at"]) for name in ("live", "later"))
    later = later[later["step"].isin(live["step"])].reset_index(drop=True)  # the ring's steps have no live values
    columns = ["trial_id", "step", "measure", "protocol", "version", "reason"]
    assert live[columns].equals(later[columns])
    # A forward pass of a float32 checkpoint and of the live float32 weights, both read in float64: equal bits.
    assert np.array_equal(live["value"].to_numpy(dtype=float), later["value"].to_numpy(dtype=float))


def test_what_needs_the_end_is_not_measured_before_it(cli: Cli) -> None:
    error = cli.run("run", *SMALL, "measures.while_training=[fourier_losses]", code=2).stderr
    for part in ("measures.while_training", "fourier_losses", "measures.names", "norms"):
        assert part in error
    assert "fvee" in cli.run("run", *SMALL, "measures.while_training=[fvee]", code=2).stderr


def test_a_measure_that_raises_costs_its_own_values_and_is_tried_again(cli: Cli, tmp_path: Path) -> None:
    plugin = tmp_path / "circuits" / "faulty.py"
    plugin.parent.mkdir()
    plugin.write_text(FAULTY)
    words = [*SMALL, "--steps", "20", "--name", "s", "--plugin", str(plugin), "measures.names=[faulty,norms]"]
    cli.run("run", *words)
    rows = _long(cli)
    faulty = rows[rows["measure"] == "faulty"].set_index("step")
    assert faulty.loc[0, "value"] == 1
    assert faulty.loc[20, "reason"] == "raised ZeroDivisionError: nothing to divide by"
    assert (rows[rows["measure"] == "sum_sq_weights"]["value"] > 0).all()
    plugin.write_text(FAULTY.replace("raise ZeroDivisionError", "str"))
    cli.run("run", *words)
    repaired = _long(cli)
    assert repaired[repaired["measure"] == "faulty"]["value"].tolist() == [1.0] * len(faulty)


@pytest.fixture
def measured(cli: Cli) -> Cli:
    words = ["preset=quad23", "tracking=none", "cluster=none", "checkpoint.ring=false"]
    cli.run("run", *words, "seed=seeds(6)", "--steps", "800", "--name", "s", "measures.names=[fve,gini,fourier_losses]")
    return cli


@pytest.mark.slow
def test_progress_shows_one_trial_and_what_foretells_t_gen(measured: Cli, tmp_path: Path) -> None:
    picture = tmp_path / "progress.png"
    measured.run("progress", "s", "--out", str(picture))
    assert picture.read_bytes()[:4] == b"\x89PNG"
    rows = json.loads(measured.run("progress", "s", "--at", "100", "--format", "json").stdout)
    assert {row["measure"] for row in rows} >= {"gini_W_E", "gini_W_E.merged", "gini_W_L", "gini_W_L.merged"}
    assert all(-1 <= row["rho"] <= 1 and 0 <= row["p_value"] <= 1 and row["n"] >= 5 for row in rows)
    error = measured.run("progress", "s", "--at", "101", code=2).stderr
    assert "101" in error
    assert "100" in error
    assert "--trial" in measured.run("progress", "s", "--trial", "zzz", code=2).stderr
    assert ".svg" in measured.run("progress", "s", "--out", "x.bmp", code=2).stderr


def test_progress_of_a_study_without_measures_says_what_to_do(cli: Cli) -> None:
    cli.run("run", *SMALL, "--steps", "20", "--name", "s", "measures.names=[]")
    for words in ([], ["--at", "10"], ["--out", "progress.png"]):
        assert "grokstudy measure s --checkpoints all" in cli.run("progress", "s", *words, code=2).stderr


def test_a_measure_that_raises_everywhere_says_so(cli: Cli, tmp_path: Path) -> None:
    cli.run("run", *SMALL, "--steps", "20", "--name", "s", "measures.names=[norms]")
    plugin = tmp_path / "broken.py"
    plugin.write_text("def broken(subject):\n    return 1 / 0\n")
    done = cli.run("measure", "s", "--plugin", str(plugin), "--only", "broken")
    assert "broken: missing at 2 checkpoints: raised ZeroDivisionError: division by zero" in done.stderr
    assert "missing" not in cli.run("measure", "s", "--only", "norms").stderr


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["s", "--split", "python_random:1:0.3"], "--layout, --split"),
        (["s", "--layout", "nanda"], "--layout, --split"),
        (["s", "--format", "csv"], "table or json"),
        (["--weights", "net.pth", "--checkpoints", "all"], "--checkpoints"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(words: list[str], what: str) -> None:
    result = CliRunner().invoke(app, ["measure", *words])
    assert isinstance(result.exception, BadInput), result.output
    assert what in str(result.exception)


def test_the_page_names_what_is_measured_without_only() -> None:
    page = (Path(__file__).parents[2] / "docs/measures.md").read_text()
    said = page.partition("Without `--only`, these are measured:")[2].partition(". ")[0]
    assert said.replace("`", "").split() == ", ".join(name for name, _ in measures(None, "neuron")).split()


def test_measured_while_a_resumed_pack_trains_knows_the_first_weights(tmp_path: Path) -> None:
    def live(name: str, *budgets: int) -> pd.DataFrame:
        for budget in budgets:
            words = [*SMALL, f"storage.root={tmp_path}", f"budget={budget}", "measures.while_training=[norms]"]
            run_study(compose_study([*words, "seed=seeds(2)"], name=name), Board(study=name))
        table = tables(tmp_path, name)["measures_long"]
        return table[table["measure"] == "norm.ratio_to_start"].reset_index(drop=True)

    resumed, undisturbed = live("resumed", 60, 150), live("undisturbed", 150)
    later = resumed[resumed["step"] > 60]
    assert len(later) > 0
    assert later["value"].notna().all()
    pd.testing.assert_frame_equal(resumed, undisturbed, check_exact=True)
