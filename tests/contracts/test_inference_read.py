"""Fits of transitions read from stored trials: thresholds, T and clusters are those of the query."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from phase_planted import FRAC, WD, T, connected, trial, with_curves

from grokstudy.phase.inference.fits import fit
from grokstudy.phase.inference.query import FitQuery
from grokstudy.phase.inference.read_cut import last_by, read_cut
from grokstudy.phase.inference.result import Fit
from grokstudy.spec.errors import BadInput


def test_a_cut_reads_the_curve_at_the_last_evaluation_up_to_t() -> None:
    connection, curves = with_curves()
    for budget in (T, 300, 25):
        cut = read_cut(connection, FitQuery(x=("weight_decay",), budget=budget), "susceptibility")
        before = curves[curves["step"] <= budget].sort_values("step").groupby("trial_id")["test_acc"].last()
        assert sorted(cut.value) == pytest.approx(sorted(before))
        assert (cut.budget, cut.x_name, cut.value_name) == (budget, WD, "test_acc")


def test_diverged_and_stopped_trials_have_no_value_and_are_counted() -> None:
    rows = [trial(wd, 0.5, seed, 10, 100) for wd in (0.1, 1.0) for seed in range(5)]
    rows[0] |= {"status": "diverged", "diverged_step": 7, "steps_run": 7}
    rows[1] |= {"status": "stopped", "steps_run": 300, "t_gen": None}
    steps = pd.DataFrame([{"trial_id": row["trial_id"], "step": 5, "test_acc": 0.5} for row in rows])
    cut = read_cut(connected(rows, curves=steps), FitQuery(x=(WD,)), "susceptibility")
    assert (len(cut.x), cut.left_out) == (8, 2)
    assert "2 without a value left out" in cut.note


def test_values_follow_the_order_asked_for_and_are_missing_where_no_step_is_early_enough() -> None:
    connection, curves = with_curves()
    ids = pd.Series([*sorted(curves["trial_id"].unique(), reverse=True), "none"])
    assert last_by(connection, ids, "step", 9).tolist()[:-1] == [9] * (len(ids) - 1)
    assert last_by(connection, ids, "step", -1).isna().all()


def test_seeds_are_clusters_and_sizes_are_read_from_a_setting() -> None:
    rows = [
        trial(wd, 0.5, seed, 10, 100, **{"task.p": p, "trial_id": f"{p}-{wd}-{seed}"})
        for p in (11, 23)
        for wd in (0.1, 1.0)
        for seed in range(5)
    ]
    connection = connected(rows)
    query = FitQuery(x=(WD,), size="task.p", value="seed")
    cut = read_cut(connection, query, "susceptibility")
    assert sorted(set(cut.cluster)) == [0, 1, 2, 3, 4]
    found = fit(connection, "susceptibility", query)
    assert isinstance(found, Fit)
    # chi = p^2 Var(0 .. 4) with Var = 2.5
    assert found.table()["estimate"].tolist() == pytest.approx([11**2 * 2.5] * 2 + [23**2 * 2.5] * 2)


def test_another_t_changes_what_a_sentinel_says_without_running_anything() -> None:
    rows = [trial(0.1, frac, seed, 10, 100 * (seed + 1)) for frac in (0.3, 0.7) for seed in range(8)]
    connection = connected(rows)
    table = [fit(connection, "sentinels", FitQuery(x=(FRAC,), budget=budget)).table() for budget in (T, 400)]
    assert table[0]["k"].tolist() == [8, 8]
    assert table[1]["k"].tolist() == [4, 4]
    assert table[0]["name"].tolist() == ["frac_train = 0.3", "frac_train = 0.7"]


def test_crossed_seeds_of_a_cell_are_attributed_and_a_missing_time_is_refused() -> None:
    rows = [
        trial(0.1, 0.5, 10 * data + init, 10, int(100 * 2**data), seed_data=data, seed_init=init)
        | {"seed_batch": 0, "seed_noise": 0}
        for data in range(4)
        for init in range(4)
    ]
    parts = fit(connected(rows), "seeds", FitQuery()).table().set_index("name")
    assert parts.loc["data", "estimate"] == pytest.approx(np.log10([1, 2, 4, 8]).std(ddof=1))
    assert parts.loc["init", "estimate"] == 0
    rows[0]["t_gen"] = None
    with pytest.raises(BadInput, match=r"1 of 16 trials have no t_gen by T = 1000.*--value test_acc"):
        fit(connected(rows), "seeds", FitQuery())


@pytest.mark.parametrize("what", ["susceptibility", "bimodality", "collapse", "hysteresis"])
def test_a_cut_without_x_is_refused(what: str) -> None:
    connection, _ = with_curves()
    with pytest.raises(BadInput, match=r"runs along one setting, got none|needs the setting that is the size"):
        fit(connection, what, FitQuery())


def test_a_study_without_forks_has_no_loop() -> None:
    connection, _ = with_curves()
    with pytest.raises(BadInput, match=r"no trial of this study is a fork.*PARENTS@100,PARENTS@end"):
        fit(connection, "hysteresis", FitQuery(x=(WD,)))


@pytest.mark.parametrize("what", ["susceptibility", "sentinels"])
def test_a_setting_that_no_two_trials_share_cannot_be_fixed_and_is_not_averaged_over(what: str) -> None:
    """More values than a diagram has cells are an interval: all of its trials would count as if they were equal."""
    rows = [
        trial(wd, 0.5, seed, 10, 100, **{FRAC: 0.3 + 0.005 * seed, "trial_id": f"{wd}-{seed}"})
        for wd in (0.1, 1.0)
        for seed in range(60)
    ]
    query = FitQuery(x=(WD,), fix=((FRAC, 0.4),), value="seed" if what == "susceptibility" else None)
    with pytest.raises(BadInput, match=r"fix task\.frac_train: its values were chosen from an interval"):
        fit(connected(rows), what, query)
