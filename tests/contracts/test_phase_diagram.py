"""Phase diagrams of planted trials: known answers and refusals."""

from __future__ import annotations

import math
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from phase_planted import WD, T, connected, plane, planted, trial, with_curves

from grokstudy.phase.diagram import phase_diagram
from grokstudy.phase.figure_data import figure_data
from grokstudy.phase.query import PhaseQuery, readings, value_names
from grokstudy.spec.errors import BadInput
from grokstudy.spec.outcome import TAU


@pytest.fixture
def study() -> duckdb.DuckDBPyConnection:
    return connected(planted())


def cell(diagram: xr.Dataset, name: str, wd: float, frac: float) -> float:
    return float(diagram[name].sel(weight_decay=wd, frac_train=frac))


def test_planted_trials_give_their_exact_shares_medians_and_delays(study: duckdb.DuckDBPyConnection) -> None:
    diagram = phase_diagram(study, plane())
    assert diagram["value"].dims == ("frac_train", "weight_decay")
    assert cell(diagram, "p_gen", 0.0, 0.3) == 0.25
    assert cell(diagram, "p_memorization", 0.0, 0.3) == 0.75
    assert cell(diagram, "p_gen", 0.1, 0.3) == 0.75
    assert cell(diagram, "p_grokking", 0.1, 0.3) == 0.5  # 100 / 10 and 300 / 10; 40 / 20 is comprehension
    assert cell(diagram, "p_comprehension", 0.1, 0.3) == 0.25
    assert cell(diagram, "p_confusion", 0.1, 0.3) == 0.25
    assert cell(diagram, "p_inversion", 0.1, 0.7) == 0.25
    assert cell(diagram, "p_diverged", 10.0, 0.3) == 0.25
    assert cell(diagram, "n", 10.0, 0.3) == 4  # the diverged one stays in the denominator
    assert cell(diagram, "t_gen_median", 0.1, 0.3) == 100  # 40, 100, 300, never: half are there at 100
    assert math.isnan(cell(diagram, "t_gen_median", 0.0, 0.3))
    assert cell(diagram, "log10_delay_ratio", 0.1, 0.3) == 1.0  # median of log10 of 10, 2, 30
    assert cell(diagram, "n_delay_ratio", 0.1, 0.3) == 3
    assert cell(diagram, "n", 10.0, 0.7) == 0
    assert math.isnan(cell(diagram, "p_gen", 10.0, 0.7))
    assert diagram.attrs["budget"] == T
    assert diagram["t_gen"].sel(weight_decay=0.1, frac_train=0.3).to_numpy()[:3].tolist() == [100, 40, 300]


def test_the_order_of_stored_rows_changes_nothing(study: duckdb.DuckDBPyConnection) -> None:
    rows = planted()
    shuffled = [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]
    xr.testing.assert_identical(phase_diagram(connected(shuffled), plane()), phase_diagram(study, plane()))


def test_a_smaller_budget_and_another_ratio_read_the_same_times_again(study: duckdb.DuckDBPyConnection) -> None:
    assert cell(phase_diagram(study, plane(budget=99)), "p_gen", 0.1, 0.3) == 0.25
    assert cell(phase_diagram(study, plane(ratio=20)), "p_grokking", 0.1, 0.3) == 0.25
    early = phase_diagram(study, plane(budget=6))
    assert cell(early, "p_diverged", 10.0, 0.3) == 0  # it diverged at 7
    assert early.attrs["budget_source"] == "as asked"


def test_a_stopped_trial_is_undetermined_and_leaves_the_denominator_but_widens_the_interval() -> None:
    stopped = {"status": "stopped", "steps_run": 500}
    rows = [
        trial(1.0, 0.5, 0, 10, 100),
        trial(1.0, 0.5, 1, 10, None, **stopped),
        trial(1.0, 0.5, 2, 10, 400, **stopped),
    ]
    diagram = phase_diagram(connected(rows), PhaseQuery(x=WD))
    known, every = phase_diagram(connected(rows[:1] + rows[2:]), PhaseQuery(x=WD)), diagram.isel(weight_decay=0)
    assert (int(every["n"]), int(every["n_undetermined"]), float(every["p_gen"])) == (2, 1, 1.0)
    assert float(every["p_gen_low"]) < float(known["p_gen_low"][0])
    assert diagram.attrs["budget"] == T
    assert set(diagram["trial_outcome"].to_numpy()) == {"grokking", "undetermined"}


def test_the_common_budget_is_the_fewest_steps_of_a_finished_trial_that_is_not_decided() -> None:
    rows = [trial(1.0, 0.5, 0, 10, None, steps_run=800), trial(1.0, 0.5, 1, 10, 900)]
    decided = trial(1.0, 0.5, 2, 10, 20, status="ended_early", steps_run=100)
    diagram = phase_diagram(connected([*rows, decided]), PhaseQuery(x=WD))
    assert diagram.attrs["budget"] == 800
    assert float(diagram["p_gen"][0]) == pytest.approx(1 / 3)  # 900 is past T
    assert int(diagram["n_undetermined"][0]) == 0


def test_generalisation_lost_again_is_counted_and_never_hidden() -> None:
    rows = [trial(1.0, 0.5, seed, 10, 100, t_lose=400 if seed == 0 else None) for seed in range(4)]
    diagram = phase_diagram(connected(rows), PhaseQuery(x=WD, value="p_lost"))
    assert float(diagram["value"][0]) == 0.25
    assert float(diagram["retention"][0]) == 0.75
    assert [dot.lost for dot in figure_data(diagram).panels[0].dots] == [True, False, False, False]
    before = phase_diagram(connected(rows), PhaseQuery(x=WD, value="p_lost", budget=399))
    assert float(before["value"][0]) == 0


def test_times_read_again_from_curves_equal_the_stored_ones_at_the_default_threshold() -> None:
    connection, _ = with_curves()
    stored = readings(connection, PhaseQuery(x=WD))
    again = readings(connection, PhaseQuery(x=WD, rule="test_acc>=0.95"))
    assert stored["t_gen"].notna().any()
    assert stored["t_gen"].isna().any()
    pd.testing.assert_frame_equal(stored, again)


def test_a_higher_threshold_gives_later_times_and_a_rule_replaces_only_t_gen() -> None:
    connection, _ = with_curves()
    stored, later = (readings(connection, PhaseQuery(x=WD, tau=tau)) for tau in (TAU, 0.99))
    both = stored["t_gen"].notna() & later["t_gen"].notna()
    assert both.any()
    assert (later["t_gen"] > stored["t_gen"])[both].all()
    ruled = readings(connection, PhaseQuery(x=WD, rule="test_loss<1e-2"))
    pd.testing.assert_series_equal(ruled["t_gen"], later["t_gen"])  # 1 - acc < .01
    pd.testing.assert_series_equal(ruled["t_mem"], stored["t_mem"])


def measured(steps_run: tuple[int, int]) -> duckdb.DuckDBPyConnection:
    rows = [trial(1.0, 0.5, seed, 10, 100, steps_run=ran, budget=T) for seed, ran in enumerate(steps_run)]
    places = [(row["trial_id"], s, 1.0 * s + row["seed"]) for row in rows for s in (90, 110, 300, row["steps_run"])]
    return connected(rows, measures=pd.DataFrame(places, columns=["trial_id", "step", "gini_W_E"]))


@pytest.mark.parametrize(
    ("at", "expected"),
    [(None, 1000.5), ("end", 1000.5), ("t_gen", 110.5), ("2*t_gen", 300.5), ("step:90", 90.5)],
)
def test_a_measure_is_read_at_the_stated_place(at: str | None, expected: float) -> None:
    assert float(phase_diagram(measured((T, T)), PhaseQuery(x=WD, value="gini_W_E", at=at))["value"][0]) == expected


def test_a_measure_that_is_nowhere_at_the_place_is_refused_with_the_steps_where_it_is() -> None:
    with pytest.raises(
        BadInput, match=r"none of these trials at 4\*t_gen; it is at steps 90, 110, 300, 1000.* measure planted"
    ):
        phase_diagram(measured((T, T)), PhaseQuery(x=WD, value="gini_W_E", at="4*t_gen"))


@pytest.mark.parametrize("axis", ["t_gen", "trial_id", "retention", "test_loss"])
def test_a_result_is_no_axis(study: duckdb.DuckDBPyConnection, axis: str) -> None:
    with pytest.raises(BadInput, match=f"^y: '{axis}' is a result of trials"):
        phase_diagram(study, PhaseQuery(x=WD, y=axis))


def test_any_numeric_column_is_a_value_and_is_its_median(study: duckdb.DuckDBPyConnection) -> None:
    assert cell(phase_diagram(study, plane(value="lr_wd")), "value", 10.0, 0.3) == pytest.approx(0.01)
    assert {"p_grokking", "lr_wd", "test_loss", "task.frac_train"} <= set(value_names(study))


def varied_lr(lr: float) -> list[dict[str, Any]]:
    return [trial(wd, 0.5, seed, 10, 100, **{"optimizer.lr": lr}) for wd in (0.1, 1.0) for seed in (0, 1)]


def test_fixing_the_other_setting_shows_its_slice() -> None:
    both = connected(varied_lr(0.001) + [row | {"t_gen": None} for row in varied_lr(0.01)])
    assert float(phase_diagram(both, PhaseQuery(x=WD, fix=(("lr", 0.001),)))["p_gen"][0]) == 1
    assert float(phase_diagram(both, PhaseQuery(x=WD, fix=(("optimizer.lr", 0.01),)))["p_gen"][0]) == 0
    facets = phase_diagram(both, PhaseQuery(x=WD, facet="lr"))
    assert facets["p_gen"].dims == ("weight_decay", "lr")
    assert facets["p_gen"].to_numpy().tolist() == [[1, 0], [1, 0]]


def test_a_setting_that_follows_from_a_drawn_axis_needs_no_fix() -> None:
    rows = [trial(wd, 0.5, s, 10, 100, **{"model.width": int(100 * wd)}) for wd in (1.0, 2.0) for s in (0, 1)]
    assert phase_diagram(connected(rows), PhaseQuery(x=WD)).sizes["weight_decay"] == 2


def test_every_random_point_of_a_third_axis_is_refused_although_no_cell_holds_two() -> None:
    rows = [trial(0.1 * s, 0.5, s, 10, 100, **{"optimizer.lr": 0.001 * s}) for s in range(1, 6)]
    with pytest.raises(BadInput, match=r"optimizer\.lr"):
        phase_diagram(connected(rows), PhaseQuery(x=WD))


def test_an_axis_of_many_values_is_drawn_in_bins_and_zero_keeps_its_own() -> None:
    rows = [trial(wd, 0.5, k, 10, 100) for k, wd in enumerate([0.0, *np.geomspace(0.01, 10, 60)])]
    fitted = phase_diagram(connected(rows), PhaseQuery(x=WD))
    assert fitted.attrs["kind"] == "posterior"
    assert "1 trials at 0 of a log axis left out of the fit" in fitted.attrs["notes"]
    binned = phase_diagram(connected(rows), PhaseQuery(x=WD, bins=6))
    assert binned["n"].to_numpy().tolist() == [1, 10, 10, 10, 10, 10, 10]
    scale = figure_data(binned).x
    assert (scale.log, scale.zero_slot, scale.names[0]) == (True, True, "0")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"x": "weight_decy"}, "did you mean 'weight_decay'"),
        ({"x": "name", "y": None}, r"several settings.*task\.name"),
        ({"y": "weight_decay"}, "must differ"),
        ({"y": None}, r"task\.frac_train = 0\.3, 0\.7.*--fix task\.frac_train="),
        ({"value": "p_grok"}, "did you mean 'p_grokking'"),
        ({"value": "status"}, "is not a number"),
        ({"fix": (("lr", 5.0),)}, r"no trial has 5\.0.*0\.001"),
        ({"budget": T + 1}, "longest of these trials was watched for 1000"),
        ({"budget": 0}, "budget: got 0"),
        ({"tau": 1.5}, "tau: got 1.5"),
        ({"ratio": 0.5}, "ratio: got 0.5"),
        ({"bins": 0}, "bins: got 0"),
        ({"confidence": 1.0}, "confidence: got 1.0"),
        ({"at": "t_mem"}, "at: got 't_mem'"),
        ({"at": "0.5*t_gen"}, "at least 1"),
        ({"rule": "test_loss==1"}, "rule: got"),
        ({"rule": "__import__('os')<1"}, "rule: got"),
        ({"rule": "test_los<1"}, "did you mean 'test_loss'"),
        ({"rule": "test_loss<nan"}, "finite number"),
        ({"rule": "test_loss<abc"}, "finite number"),
    ],
)
def test_bad_input_is_named_with_what_must_hold(settings: dict[str, Any], message: str) -> None:
    rows = [row | {"model.name": "mlp"} for row in planted()]
    connection = connected(rows)
    with pytest.raises(BadInput, match=message):
        phase_diagram(connection, plane(**settings))


def test_a_measure_without_a_place_is_refused_when_trials_ran_for_different_steps() -> None:
    with pytest.raises(BadInput, match=r"at: .*--at end"):
        phase_diagram(measured((T, 500)), PhaseQuery(x=WD, value="gini_W_E"))
    with pytest.raises(BadInput, match="nearest step with values is step:90"):
        phase_diagram(measured((T, 500)), PhaseQuery(x=WD, value="gini_W_E", at="step:95"))
    with pytest.raises(BadInput, match=r"at: .*--at end"):
        phase_diagram(measured((T, 500)), PhaseQuery(x=WD, value="test_loss"))


def test_an_empty_study_says_so(study: duckdb.DuckDBPyConnection) -> None:
    study.execute("DELETE FROM trials")
    with pytest.raises(BadInput, match="no trials yet"):
        phase_diagram(study, plane())
