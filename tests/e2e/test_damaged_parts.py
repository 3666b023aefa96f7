"""A study with a damaged part on the command line and from Python: a warning that helps, and everything else."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

import grokstudy as gs
from grokstudy.store.damaged_part import DamagedPartWarning

from .conftest import SMALL, Cli


@pytest.mark.slow
def test_verbs_go_on_without_a_damaged_part_and_run_brings_its_trials_back(cli: Cli) -> None:
    words = ["run", *SMALL, "--name", "s", "--steps", "60", "measures.names=[ipr]"]
    cli.run(*words, "seed=0")
    cli.run(*words, "seed=seeds(2)")
    whole = json.loads(cli.run("trials", "s", "--format", "json").stdout)
    assert len(whole) == 2
    part = sorted((cli.root / "s" / "trials").iterdir())[0]
    (lost,) = pd.read_parquet(part)["trial_id"]
    part.write_bytes(part.read_bytes()[:-9])
    for verb in (["trials", "s"], ["curves", "s"], ["query", "s", "SELECT trial_id FROM trials"]):
        told = cli.run(*verb, "--format", "json")
        rows = json.loads(told.stdout)
        assert {row["trial_id"] for row in rows} == {row["trial_id"] for row in whole} - {lost}
        lines = [line for line in told.stderr.splitlines() if line.startswith("warning:")]
        assert len(lines) == 1
        assert str(part) in lines[0]
        assert "`grokstudy run` of the study runs them again" in lines[0]
    table = cli.run("trials", "s").stdout
    assert len(table.splitlines()) == 2, "a header and the trial that is left"
    assert part.exists()
    cli.run(*words, "seed=seeds(2)")
    again = json.loads(cli.run("trials", "s", "--format", "json").stdout)
    bits = ("trial_id", "seed", "t_mem", "train_loss", "test_loss", "sum_sq_weights")
    assert [[row[name] for name in bits] for row in again] == [[row[name] for name in bits] for row in whole]
    assert part.exists(), "nobody takes it away"
    with pytest.warns(DamagedPartWarning):
        frame = gs.open("s", str(cli.root)).trials()
    assert frame["t_gen"].dtype == pd.Int64Dtype()
    assert len(frame) == 2


def test_sql_that_does_not_parse_shows_the_place_and_prints_no_document(cli: Cli, tmp_path: Path) -> None:
    import yaml

    study = cli.root / "s"
    study.mkdir(parents=True)
    (study / "study.yaml").write_text(yaml.safe_dump({}))
    for format in ("table", "json"):
        failed = cli.run("query", "s", "SELECT steps_ran\nFROM trials", "--format", format, code=2)
        assert failed.stdout == ""
        head, line, carets = failed.stderr.splitlines()
        assert head.startswith("error: query: no column 'steps_ran'; did you mean 'steps_run'?")
        assert (line, carets) == ("  SELECT steps_ran", "         ^^^^^^^^^")
        failed = cli.run("trials", "s", "--where", "t_gen IS NO NULL", "--format", format, code=2)
        assert "syntax error" in failed.stderr
        assert "^" in failed.stderr
