"""The trials of a cell: which they are, their curves, their waiting, their table, and how two cells differ."""

from __future__ import annotations

import math

import duckdb
import numpy as np
import pandas as pd
import pytest
from phase_planted import FRAC, WD, connected, curve, plane, planted, trial, with_curves

from grokstudy.phase.cell import cell_trials, trials_at
from grokstudy.phase.cell_curves import cell_curves, kept_points
from grokstudy.phase.cell_curves_plotly import cell_curves_figure
from grokstudy.phase.diagram import phase_diagram
from grokstudy.phase.differences import differences
from grokstudy.phase.query import PhaseQuery, readings
from grokstudy.phase.theme import LINE_COLOURS, themed
from grokstudy.phase.trials_table import trials_table
from grokstudy.phase.varied import varied_settings
from grokstudy.spec.errors import BadInput


@pytest.fixture
def study() -> duckdb.DuckDBPyConnection:
    stored = {"train_loss": 0.1, "train_acc": 1.0, "test_acc": 0.5, "numerics": "cpu"}
    return connected([row | stored for row in planted()])


@pytest.mark.parametrize("bins", [None, 2])
def test_the_cells_of_a_diagram_share_out_its_trials(bins: int | None) -> None:
    query = plane(bins=bins)
    study = connected(planted())
    diagram = phase_diagram(study, query)
    table = readings(study, query)
    seen: list[str] = []
    for j, y in enumerate(diagram["frac_train"].to_numpy()):
        for i, x in enumerate(diagram["weight_decay"].to_numpy()):
            trials = trials_at(table, query, float(x), float(y))
            count = diagram["n"].to_numpy()[j, i] + diagram["n_undetermined"].to_numpy()[j, i]
            assert len(trials) == count
            seen += trials["trial_id"].tolist()
    assert sorted(seen) == sorted(table["trial_id"])


def test_a_level_may_be_text_and_a_number_inside_a_bin_means_the_bin() -> None:
    rows = [trial(wd, 0.5, 0, 10, 20) for wd in np.geomspace(0.01, 1, 20)] + [trial(0.0, 0.5, 0, 10, None)]
    study = connected(rows)
    query = PhaseQuery(x=WD, bins=2)
    low, high = (cell_trials(study, query, at) for at in (0.02, "0.5"))
    assert (len(low), len(high)) == (10, 10)
    assert low.attrs["cell"] == "weight_decay = 0.01 to 0.1"
    zero = cell_trials(study, query, "0")
    assert zero["x"].tolist() == [0.0]
    assert zero.attrs["cell"] == "weight_decay = 0"


def test_a_cell_between_levels_that_exist_may_be_empty(study: duckdb.DuckDBPyConnection) -> None:
    empty = cell_trials(study, plane(), 10.0, 0.7)
    assert len(empty) == 0
    data = cell_curves(connected(planted(), curves=curve("x", 30, 4)), empty)
    assert data.title == "no trial yet"
    assert "no curves here yet" in str(cell_curves_figure(data).layout.annotations)


@pytest.mark.parametrize(
    ("x", "y", "message"),
    [
        (0.12, 0.3, "the nearest is 0.1"),
        ("ten", 0.3, "is a number"),
        (0.1, None, "frac_train has no level null"),
        (0.1, 0.3, "the diagram has no facet"),
    ],
)
def test_a_cell_that_does_not_exist_is_refused_with_the_nearest(
    study: duckdb.DuckDBPyConnection, x: float | str, y: float | None, message: str
) -> None:
    facet = "a" if "facet" in message else None
    with pytest.raises(BadInput, match=message):
        cell_trials(study, plane(), x, y, facet)


def test_names_are_levels_too() -> None:
    rows = [trial(0.1, 0.5, seed, 10, 20, **{"model.name": name}) for seed in range(2) for name in ("mlp", "quad")]
    rows = [row | {"trial_id": f"{i}"} for i, row in enumerate(rows)]
    study = connected(rows)
    assert len(cell_trials(study, PhaseQuery(x="model.name"), "quad")) == 2
    with pytest.raises(BadInput, match="did you mean 'quad'"):
        cell_trials(study, PhaseQuery(x="model.name"), "quat")


def test_every_trial_of_a_cell_is_drawn_in_its_outcomes_colour_and_can_be_clicked() -> None:
    connection, _ = with_curves()
    trials = cell_trials(connection, PhaseQuery(x=WD), 0.1)
    data = cell_curves(connection, trials)
    assert data.title == f"{int(trials['t_gen'].notna().sum())}/4 generalised by T = 1,000"
    figure = cell_curves_figure(data)
    drawn = [trace for trace in figure.data if trace.meta is not None]
    assert sorted(trace.meta for trace in drawn) == sorted(list(trials["trial_id"]) * 2)  # accuracy and loss
    outcomes = dict(zip(trials["trial_id"], trials["outcome"], strict=True))
    assert all(trace.line.color == LINE_COLOURS[outcomes[trace.meta]] for trace in drawn)
    rug = next(trace for trace in figure.data if trace.customdata is not None)
    assert sorted(rug.x) == sorted(trials["t_gen"].dropna())


def test_long_curves_are_drawn_by_webgl_and_short_ones_as_svg() -> None:
    connection, _ = with_curves()
    data = cell_curves(connection, cell_trials(connection, PhaseQuery(x=WD), 0.1))
    many = type(data)(cell=data.cell, title="", note="", curves=data.curves * 500)
    kinds = [{trace.type for trace in cell_curves_figure(one).data if trace.meta} for one in (data, many)]
    assert kinds == [{"scatter"}, {"scattergl"}]


def test_a_crowded_cell_shows_its_outcomes_in_proportion_and_says_how_many() -> None:
    rows = [trial(0.1, 0.5, seed, 10, 20 if seed < 90 else None) for seed in range(120)]
    curves = pd.concat([curve(row["trial_id"], 30, 4) for row in rows], ignore_index=True)
    connection = connected(rows, curves=curves)
    data = cell_curves(connection, cell_trials(connection, PhaseQuery(x=FRAC), 0.5), most=40)
    assert "40 of 120 trials shown" in data.note
    assert sum(one.outcome == "comprehension" for one in data.curves) == 30


def test_thinning_keeps_spikes_ends_and_the_evaluations_at_the_transitions() -> None:
    steps = np.unique(np.r_[np.arange(21), np.arange(30, 1_000_000, 100)])
    loss = np.exp(-steps / 1e5).astype(np.float32)
    spikes = np.array([200, 4000, 9500])
    loss[spikes] += np.float32(3.0)
    kept = kept_points(steps, loss, (float(steps[15]), float(steps[5000]), math.nan), 400)
    assert len(kept) <= 400 + 2 + 2 * 21  # stretches' extremes, both ends, and 21 around each time
    assert (np.diff(kept) > 0).all()
    assert {0, len(steps) - 1, *spikes, *range(5, 26), *range(4990, 5011)} <= set(kept.tolist())


def test_a_short_curve_is_not_thinned() -> None:
    steps = np.arange(400)
    assert kept_points(steps, np.ones(400, dtype=np.float32), (math.nan,), 400).tolist() == steps.tolist()


def test_the_table_names_trials_by_what_varies_and_sorts_by_it(study: duckdb.DuckDBPyConnection) -> None:
    table = trials_table(study, readings(study, plane()))
    assert table.paths == (WD, FRAC, "seed")
    assert table.names == ("wd", "frac", "s")
    assert [line.name for line in table.lines[:2]] == ["wd=0 frac=0.3 s=0", "wd=0 frac=0.3 s=1"]
    keys = [line.settings for line in table.lines]
    assert keys == sorted(keys)


def test_a_line_of_the_table_reads_times_as_the_diagram_does(study: duckdb.DuckDBPyConnection) -> None:
    query = plane(budget=200)
    lines = trials_table(study, cell_trials(study, query, 0.1, 0.3)).lines
    assert [(line.t_mem, line.t_gen, line.delay) for line in lines] == [
        (10, 100, 10.0),
        (20, 40, 2.0),
        (10, None, None),
        (None, None, None),
    ]
    assert [line.outcome for line in lines] == ["grokking", "comprehension", "memorization", "confusion"]
    assert {line.status for line in lines} == {"done"}


def test_a_seed_stream_counts_as_varied_only_if_it_has_a_will_of_its_own() -> None:
    follows = [trial(0.1, 0.5, seed, 10, 20) for seed in range(3)]
    assert varied_settings(connected(follows)) == ("seed",)
    own = [trial(0.1, 0.5, 0, 10, 20, seed_init=init, trial_id=str(init)) for init in range(3)]
    assert varied_settings(connected(own)) == ("seed_init",)


def test_null_is_a_value_that_varies() -> None:
    rows = [trial(0.1, 0.5, i, 10, 20, **{"loss.eps": eps}) for i, eps in enumerate([None, 0.1])]
    assert "loss.eps" in varied_settings(connected(rows))


def test_two_cells_differ_in_what_was_drawn_and_agree_in_the_rest(study: duckdb.DuckDBPyConnection) -> None:
    a, b = (cell_trials(study, plane(), wd, 0.3)["trial_id"].tolist() for wd in (0.0, 0.1))
    found = differences(study, a, b)
    assert [(row.path, row.a, row.b) for row in found.rows] == [(WD, "0", "0.1")]
    # task.name, optimizer.lr, model.width, batch_size (NULL on both sides), frac_train; five seeds; budget, numerics
    assert found.same == 12
    assert differences(study, a, a).rows == ()
    one = differences(study, a[:1], a[1:2])
    assert {row.path for row in one.rows} == {"seed", "seed_data", "seed_init", "seed_batch", "seed_noise"}


def test_a_side_without_trials_or_with_a_stranger_is_refused(study: duckdb.DuckDBPyConnection) -> None:
    known = readings(study, plane())["trial_id"].tolist()
    with pytest.raises(BadInput, match="side A has no trials"):
        differences(study, [], known[:1])
    with pytest.raises(BadInput, match="side B has 'nobody'"):
        differences(study, known[:1], ["nobody"])


def test_a_dark_figure_has_no_ink_on_its_dark_paper_and_the_same_data_colours() -> None:
    connection, _ = with_curves()
    figure = cell_curves_figure(cell_curves(connection, cell_trials(connection, PhaseQuery(x=WD), 0.1)))
    light, dark = themed(figure, dark=False), themed(figure, dark=True)
    assert light.layout.paper_bgcolor != dark.layout.paper_bgcolor
    assert figure.layout.font.color == light.layout.font.color != dark.layout.font.color
    lines = [[trace.line.color for trace in one.data if trace.meta] for one in (light, dark)]
    assert lines[0] == lines[1]
    assert all(note.font.color != light.layout.annotations[0].font.color for note in dark.layout.annotations)
