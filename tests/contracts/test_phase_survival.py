"""Kaplan-Meier curves of planted cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from phase_planted import WD, T, connected, trial

from grokstudy.phase.cell import cell_trials
from grokstudy.phase.query import PhaseQuery
from grokstudy.phase.survival import survival_curve, survival_data
from grokstudy.phase.survival_plotly import survival_figure


def cell(times: list[int | None], **other: object) -> pd.DataFrame:
    rows = [trial(0.1, 0.5, seed, 5, t, **other) for seed, t in enumerate(times)] + [trial(1.0, 0.5, 0, 5, 20)]
    return cell_trials(connected(rows), PhaseQuery(x=WD, budget=T), 0.1)


def test_without_censoring_before_t_the_curve_is_the_share_still_waiting() -> None:
    curve = survival_curve(cell([100, 200, 200, None]), "t_gen")
    assert curve.step.tolist() == [100, 200, T]
    assert curve.waiting == pytest.approx([0.75, 0.25, 0.25])
    assert (curve.n, curve.seen, curve.median) == (4, 3, 200)
    assert (curve.censored.tolist(), curve.censored_count.tolist()) == ([T], [1])


def test_a_trial_that_was_stopped_counts_only_until_then() -> None:
    """Two of three left after 100; at 300 one of these is seen while the other was stopped at 200: 2/3 * 0 = 0."""
    rows = [trial(0.1, 0.5, seed, 5, t) for seed, t in enumerate([100, 300])]
    rows.append(trial(0.1, 0.5, 2, 5, None, steps_run=200, status="stopped"))
    curve = survival_curve(cell_trials(connected(rows), PhaseQuery(x=WD, budget=T), 0.1), "t_gen")
    assert curve.waiting == pytest.approx([2 / 3, 2 / 3, 0])
    assert curve.censored.tolist() == [200]
    assert curve.censored_waiting == pytest.approx([2 / 3])


def test_a_diverged_trial_waits_until_t() -> None:
    curve = survival_curve(cell([None, None], status="diverged", steps_run=7, diverged_step=7), "t_gen")
    assert curve.censored.tolist() == [T]
    assert curve.waiting.tolist() == [1.0]
    assert np.isnan(curve.low).all()  # nothing was seen: no interval is defined, and none is drawn


def test_the_band_holds_the_curve_and_stays_a_share() -> None:
    curve = survival_curve(cell([50, 100, 200, 400, None, None]), "t_gen")
    known = np.isfinite(curve.low)
    assert known.any()
    assert (curve.low[known] <= curve.waiting[known]).all()
    assert (curve.waiting[known] <= curve.high[known]).all()
    assert ((curve.low[known] >= 0) & (curve.high[known] <= 1)).all()


def test_cells_are_drawn_over_each_other_apart_in_colour_and_dash() -> None:
    rows = [trial(wd, 0.5, seed, 5, 100 * (seed + 1)) for wd in (0.1, 1.0) for seed in range(4)]
    connection = connected(rows)
    query = PhaseQuery(x=WD)
    data = survival_data([cell_trials(connection, query, wd) for wd in (0.1, 1.0)])
    assert data.cells == ("weight_decay = 0.1", "weight_decay = 1")
    assert len(data.curves) == 4
    lines = [trace for trace in survival_figure(data).data if trace.name and trace.yaxis == "y2"]
    assert len({(trace.line.color, trace.line.dash) for trace in lines}) == 2


def test_an_empty_cell_has_a_figure_that_says_so() -> None:
    rows = [trial(wd, frac, 0, 5, 50) for wd, frac in ((0.1, 0.3), (1.0, 0.7))]
    empty = cell_trials(connected(rows), PhaseQuery(x="weight_decay", y="frac_train"), 0.1, 0.7)
    assert "no trial here yet" in str(survival_figure(survival_data([empty])).layout.annotations)
