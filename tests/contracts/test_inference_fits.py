"""What every fit keeps to: found by name, reads times honestly, refuses what it would ignore, and can be drawn."""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from grokstudy.phase.inference import figure_matplotlib
from grokstudy.phase.inference.aft import fit_aft
from grokstudy.phase.inference.budget_shift import fit_budget_shift
from grokstudy.phase.inference.cure import fit_cure
from grokstudy.phase.inference.export import to_json, write
from grokstudy.phase.inference.figure_plotly import fit_figure
from grokstudy.phase.inference.fits import COMMON, FITS, fit
from grokstudy.phase.inference.interval_censored import fit_intervals
from grokstudy.phase.inference.query import FitQuery
from grokstudy.phase.inference.result import Fit
from grokstudy.phase.inference.trials import read_trials
from grokstudy.spec.errors import BadInput
from tests.contracts.phase_planted import WD, T, connected, planted, trial, with_curves
from tests.planted_times import diverging

NO_CURVES = pd.DataFrame({"trial_id": pd.Series(dtype=str), "step": pd.Series(dtype=int)})


@pytest.mark.parametrize("what", FITS)
def test_a_fit_is_a_file_that_answers_one_question_with_settings_that_exist(what: str) -> None:
    kind = FITS[what]
    module = importlib.import_module(f"grokstudy.phase.inference.{kind.file}")
    assert callable(module.fit_study)
    assert kind.question.endswith("?")
    assert {*kind.uses, *COMMON} <= {field.name for field in dataclasses.fields(FitQuery)}


@pytest.mark.parametrize("make", [fit_aft, fit_cure, fit_intervals, fit_budget_shift])
def test_a_fit_is_rows_sentences_and_a_figure_that_both_libraries_draw(make: Any, tmp_path: Path) -> None:
    found = make(diverging(0, scatter=0.2, budget=3e5))
    assert isinstance(found, Fit)
    document = json.loads(to_json(found))
    assert len(document["rows"]) == len(found.table()) > 0
    told = document["sentences"]
    assert any("right-censored, neither dropped nor set to T" in one for one in told)
    assert len(set(told)) == len(told)
    panels = found.figure().panels
    drawn = fit_figure(found.figure())
    assert isinstance(drawn, go.Figure)
    assert len(figure_matplotlib.fit_figure(found.figure()).axes) == len(panels)
    names = [trace.name for trace in drawn.data if trace.showlegend]
    assert len(set(names)) == len(names)  # every name once in the legend
    for suffix in ("svg", "html", "csv", "json", "parquet"):
        assert write(found, tmp_path / f"fit.{suffix}").stat().st_size > 100
    stored = pd.read_parquet(tmp_path / "fit.parquet")
    assert not np.isinf(stored.select_dtypes("number").to_numpy(dtype=float, na_value=0.0)).any()


def test_a_time_lies_between_its_evaluation_and_the_one_before() -> None:
    connection, curves = with_curves()
    found = read_trials(connection, FitQuery(x=(WD,)))
    steps = np.unique(curves["step"])
    seen = found.seen
    assert seen.happened.any()
    for low, high in zip(seen.low[seen.happened], seen.high[seen.happened], strict=True):
        assert high in steps
        assert low == steps[np.searchsorted(steps, high) - 1]


@pytest.mark.parametrize("settings", [{"tau": 0.6}, {"rule": "test_loss<0.3"}, {"budget": 200}, {"event": "t_mem"}])
def test_thresholds_and_budget_are_changed_without_running_anything(settings: dict[str, Any]) -> None:
    connection, _ = with_curves()
    before = read_trials(connection, FitQuery(x=(WD,)))
    after = read_trials(connection, FitQuery(x=(WD,), **settings))
    assert len(after) == len(before)
    assert not np.array_equal(after.seen.high, before.seen.high)
    if "budget" in settings:  # what came later is not seen, what came earlier is unchanged
        early = before.seen.high <= 200
        assert np.array_equal(after.seen.high[early], before.seen.high[early])
        assert np.isinf(after.seen.high[~early]).all()


def test_a_trial_is_censored_where_a_crossing_could_last_be_confirmed_and_a_diverged_one_at_T() -> None:
    rows = [
        trial(1.0, 0.5, 0, 10, None),
        trial(2.0, 0.5, 1, 10, None, status="stopped", steps_run=600),
        trial(2.0, 0.5, 2, None, None, status="diverged", steps_run=7, diverged_step=7),
        trial(2.0, 0.5, 3, 10, 100),
        trial(1.0, 0.5, 4, 10, None, test_loss=None),
    ]
    found = read_trials(connected(rows, curves=NO_CURVES), FitQuery(x=(WD,)))
    assert found.left_out == 1  # without test rows nothing is known
    assert sorted(found.seen.low[~found.seen.happened]) == pytest.approx([600 / 1.2, T / 1.2, T])
    assert found.seen.high[found.seen.happened].tolist() == [100.0]
    told = found.sentences()
    assert any("Diverged: 1 trial, taken as watched until T" in one for one in told)
    assert any("Left out: 1 trial without test rows" in one for one in told)


def test_what_a_fit_would_ignore_is_refused() -> None:
    connection = connected(planted(), curves=NO_CURVES)
    with pytest.raises(BadInput, match="value: `fit aft` does not use it"):
        fit(connection, "aft", FitQuery(x=(WD,), value="test_acc"))
    with pytest.raises(BadInput, match=r"fit: no 'atf'.*did you mean 'aft'"):
        fit(connection, "atf", FitQuery(x=(WD,)))
    with pytest.raises(BadInput, match="rule: a rule defines t_gen"):
        FitQuery(x=(WD,), rule="test_loss<1", event="t_mem")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"x": ()}, "x: name at least one setting"),
        ({"x": ("weight_decay",)}, "task.frac_train"),
        ({"x": ("t_mem",)}, "is a result of trials"),
        ({"x": ("weight_decay", WD)}, "must differ"),
        ({"x": ("weight_decay", "frac_train"), "budget": 10**6}, "longest of these trials was watched"),
        ({"x": ("weight_deca",)}, "weight_decay"),
    ],
)
def test_bad_questions_are_refused_with_the_remedy(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        read_trials(connected(planted(), curves=NO_CURVES), FitQuery(**settings))


@pytest.mark.parametrize(
    "settings", [{"tau": 0.0}, {"confidence": 1.0}, {"resamples": 3}, {"event": "t_lose"}, {"ratio": math.inf}]
)
def test_settings_outside_their_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        FitQuery(x=(WD,), **settings)
