"""Diagrams of continuous axes: a posterior that says how much it knows, checked by trials that it did not choose."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pytest
from matplotlib.path import Path as Outline
from phase_planted import FRAC, WD, T, connected, trial

from grokstudy.phase import export
from grokstudy.phase.boundary import Boundary, NoBoundary, boundary_of
from grokstudy.phase.boundary_posterior import posterior_line
from grokstudy.phase.critical import critical_values
from grokstudy.phase.diagram import phase_diagram
from grokstudy.phase.figure_data import figure_data, note
from grokstudy.phase.figures_plotly import phase_figure
from grokstudy.phase.held_out import checked, held_out
from grokstudy.phase.posterior import VALUES, is_posterior
from grokstudy.phase.posterior_figure import posterior_figure
from grokstudy.phase.posterior_fit import fitted
from grokstudy.phase.posterior_matplotlib import report_posterior, save_posterior
from grokstudy.phase.posterior_plotly import posterior_html, posterior_overview_html, posterior_plot
from grokstudy.phase.posterior_words import caption, held_out_words
from grokstudy.phase.proposals import CHOSEN, COLUMNS
from grokstudy.phase.query import PhaseQuery, readings
from grokstudy.samplers.surrogate.proportion import clopper_pearson
from grokstudy.spec.axes import Axis
from grokstudy.spec.errors import BadInput
from grokstudy.spec.outcome import LABELS
from grokstudy.spec.outcome import outcome as label_of

AXES = (Axis(path=WD, low=0.01, high=10.0, log=True), Axis(path=FRAC, low=0.2, high=0.8))
LR = "optimizer.lr"


def planted(n: int, *, noise: float = 0.15, **other: Any) -> list[dict[str, Any]]:
    """Trials at random places: log10(t_gen / T) = 5 (.5 - frac) - .3 (log10 wd + .5) with seed noise; t_mem near 20."""
    rng = np.random.default_rng(5)
    places = rng.random((n, 2))
    rows = []
    for seed, (u, v) in enumerate(places):
        wd, frac = float(10 ** (3 * u - 2)), float(0.2 + 0.6 * v)
        late = 5 * (0.5 - frac) - 0.3 * (np.log10(wd) + 0.5) + noise * rng.standard_normal()
        t_mem = round(20 * 10 ** (0.1 * rng.standard_normal()))
        t_gen = max(round(T * 10**late), t_mem)
        rows.append(trial(wd, frac, seed, t_mem, t_gen if t_gen <= T else None, **other))
    return rows


def plane(**settings: Any) -> PhaseQuery:
    return PhaseQuery(**({"x": WD, "y": FRAC} | settings))


def proposed(rows: list[dict[str, Any]], sources: list[str], chances: np.ndarray) -> pd.DataFrame:
    """The view `proposals` of these trials; NaN chances are no prediction."""
    return pd.DataFrame(
        {
            "number": range(len(rows)),
            "trial_id": [row["trial_id"] for row in rows],
            "source": sources,
            "reason": "planted",
            "budget": T,
            **{f"p_{name}": chances[:, code] for code, name in enumerate(LABELS)},
            "expected_error": 0.1,
        }
    )[list(COLUMNS)]


@pytest.fixture(scope="module")
def study() -> duckdb.DuckDBPyConnection:
    return connected(planted(60))


def test_an_interval_of_the_study_is_continuous_however_few_trials_there_are() -> None:
    few = connected(planted(12))
    assert is_posterior(phase_diagram(few, plane(), AXES))
    assert not is_posterior(phase_diagram(few, plane()))
    assert not is_posterior(phase_diagram(few, plane(bins=4), AXES))
    assert is_posterior(phase_diagram(connected(planted(60)), plane()))


def test_the_map_is_right_where_the_truth_is_clear_and_its_chances_add_up(study: duckdb.DuckDBPyConnection) -> None:
    diagram = phase_diagram(study, plane(), AXES)
    assert dict(diagram.sizes) | {"vertex": 0} == {
        "frac_train": 64,
        "weight_decay": 64,
        "margin": 3,
        "trial": 60,
        "vertex": 0,
    }
    total = sum(diagram[f"p_{name}"] for name in LABELS)
    np.testing.assert_allclose(total, 1.0, atol=1e-12)
    assert (diagram["p_gen_low"] <= diagram["p_gen_high"]).all()
    middle = diagram.sel(weight_decay=0.3, method="nearest")["p_gen"]
    # log10(t_gen / T) is +-.75 there, five standard deviations of the seeds from 0.
    assert float(middle.sel(frac_train=0.65, method="nearest")) > 0.95
    assert float(middle.sel(frac_train=0.35, method="nearest")) < 0.05


def test_the_lattice_is_the_posterior_of_the_sampler() -> None:
    """One reading of the margins gives what the surrogate gives by itself, also where trials diverge."""
    rows = [row | ({"status": "diverged", "diverged_step": 7} if row[WD] > 3 else {}) for row in planted(60)]
    table = readings(connected(rows), plane(), AXES)
    diagram = phase_diagram(connected(rows), plane(), AXES)
    found = fitted(table, AXES)
    ticks = (np.arange(64) + 0.5) / 64
    places = found.plane.places(np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2), None)
    for code, name in enumerate(LABELS):
        np.testing.assert_allclose(
            diagram[f"p_{name}"].to_numpy().ravel(), found.posterior.probabilities(places)[:, code], atol=1e-12
        )
    np.testing.assert_array_equal(diagram["outcome"].to_numpy().ravel(), found.posterior.labels(places))
    np.testing.assert_allclose(diagram["phase_error"].to_numpy().ravel(), found.posterior.phase_error(places))
    assert float(diagram["p_diverged"].max()) > 0.5


def test_more_trials_narrow_the_band() -> None:
    """The band of the boundary narrows like 1 / sqrt(n) at best: of 40 and 240 trials by up to 2.4; half of that."""
    few, many = (phase_diagram(connected(planted(n)), plane(), AXES) for n in (40, 240))
    width = [float((one["p_gen_high"] - one["p_gen_low"]).mean()) for one in (few, many)]
    assert width[1] < width[0] / 1.2
    assert float(many["half_width"][1]) < float(few["half_width"][1]) / 1.2
    assert many.attrs["expected_error"] < few.attrs["expected_error"]


def test_another_T_at_query_time_is_the_fit_with_that_T() -> None:
    rows = planted(60)
    short = [
        row | {"steps_run": 300, "budget": 300, "t_gen": row["t_gen"] if (row["t_gen"] or T) <= 300 else None}
        for row in rows
    ]
    asked = phase_diagram(connected(rows), plane(budget=300), AXES)
    run = phase_diagram(connected(short), plane(), AXES)
    for name in ("p_gen", "p_grokking", "log10_delay_ratio", "p_gen_low", "edge_x"):
        np.testing.assert_array_equal(asked[name], run[name])


def test_the_same_trials_in_another_order_give_the_same_posterior() -> None:
    """Equal up to rounding in sums of 60 numbers, amplified by the inverse of a 60 x 60 matrix."""
    rows = planted(60)
    one, other = (phase_diagram(connected(each), plane(), AXES) for each in (rows, rows[::-1]))
    np.testing.assert_allclose(one["p_gen"], other["p_gen"], atol=1e-6)


def test_a_slice_is_the_posterior_at_that_value(study: duckdb.DuckDBPyConnection) -> None:
    whole = phase_diagram(study, plane(), AXES)
    frac = float(whole["frac_train"][40])
    line = phase_diagram(study, PhaseQuery(x=WD, fix=((FRAC, frac),)), AXES)
    across = whole["p_gen"].isel(frac_train=40)
    # 200 places against 64: p_gen is taken as straight between them, and it bends by less than .02 in 1/64 of an axis.
    again = np.interp(np.log(across["weight_decay"]), np.log(line["weight_decay"]), line["p_gen"])
    np.testing.assert_allclose(across, again, atol=0.02)
    near = line["trial_on_slice"].to_numpy()
    assert 0 < near.sum() < 60
    assert f"a slice of the posterior; points: the {near.sum()} trials within 10% of an axis" in caption(line)


def test_facets_are_slices_by_name_or_by_number() -> None:
    rows = [row for name in ("a", "b") for row in planted(30, **{"model.name": name, LR: 0.1 if name == "a" else 0.2})]
    for k, row in enumerate(rows):
        row["trial_id"] = f"t{k:03}"
    named = phase_diagram(connected([{**row, LR: 0.1} for row in rows]), plane(facet="model.name"), AXES)
    assert named["p_gen"].shape == (64, 64, 2)
    numbered = phase_diagram(connected([{**row, "model.name": "a"} for row in rows]), plane(facet=LR), AXES)
    for diagram in (named, numbered):
        figure = posterior_figure(diagram)
        assert [len(panel.marks) for panel in figure.panels] == [30, 30]
        assert len(figure.panels) == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"x": WD, "y": "model.name", "fix": ((FRAC, 0.5),)}, r"--facet model\.name"),
        ({"x": WD, "fix": ((FRAC, 3),)}, r"fix task\.frac_train: got 3, must lie between 0\.2 and 0\.8"),
        ({"x": WD, "fix": ((FRAC, "half"),)}, "got 'half', must be a number"),
        ({"x": WD, "facet": FRAC}, r"facet: task\.frac_train is continuous.*--fix task\.frac_train="),
        ({"x": WD}, r"--fix task\.frac_train="),
    ],
)
def test_what_has_no_place_on_a_continuous_axis_is_refused_with_the_remedy(
    settings: dict[str, Any], message: str
) -> None:
    rows = [row | {"model.name": "ab"[k % 2]} for k, row in enumerate(planted(20))]
    given = rows if settings.get("y") else [row | {"model.name": "a"} for row in rows]
    with pytest.raises(BadInput, match=message):
        phase_diagram(connected(given), PhaseQuery(**settings), AXES)


def test_the_held_out_check_counts_explored_trials_with_a_prediction_and_an_outcome_and_no_others() -> None:
    rows = planted(40)
    outcome = [label_of(row["t_mem"], row["t_gen"]) for row in rows]
    chances = np.full((40, len(LABELS)), 0.04)
    for k, name in enumerate(outcome):
        said = LABELS.index(name) if k not in (3, 4, 5, 17) else LABELS.index("confusion")
        chances[k, said] = 0.8
    chances[6] = np.nan
    sources = ["explore" if k < 20 else "boundary" for k in range(40)]
    connection = connected(rows, proposals=proposed(rows, sources, chances))
    attrs = phase_diagram(connection, plane(), AXES).attrs
    assert (attrs["held_out_n"], attrs["held_out_wrong"]) == (19, 4)
    assert attrs["held_out_expected"] == pytest.approx(19 * 0.2)
    assert attrs["held_out_calibration"] == "as expected"
    assert attrs["adaptive"]
    other = phase_diagram(connection, plane(ratio=7.0), AXES)
    assert other.attrs["held_out_n"] == 0
    assert "was predicted for T = 1,000, R = 5" in held_out_words(other)


def test_predictions_of_an_extended_study_are_held_against_outcomes_at_their_own_budget() -> None:
    rows = planted(40)
    chances = np.full((40, len(LABELS)), 1 / len(LABELS))
    table = proposed(rows, ["explore"] * 20 + ["boundary"] * 20, chances)
    table["budget"] = np.repeat([400, 1000, 1000], [15, 5, 20])  # the sampler went on for more steps
    connection = connected(rows, proposals=table)
    counted = {T: phase_diagram(connection, plane(budget=T), AXES) for T in (400, 1000, 700)}
    assert {T: one.attrs["held_out_n"] for T, one in counted.items()} == {400: 15, 1000: 5, 700: 0}
    assert "was predicted for T = 400 or 1,000, R = 5" in held_out_words(counted[700])


def test_an_event_that_is_seen_wherever_it_can_be_is_not_said_to_be_seen_everywhere() -> None:
    """Memorising ends at a weight decay of .3; all that memorise generalise at step 300 of 1,000."""
    rows = [
        trial(wd, 0.5, seed, 30 if wd < 0.3 else None, 300 if wd < 0.3 else None)
        for seed, wd in enumerate(np.geomspace(0.011, 9.9, 40).tolist())
    ]
    found = critical_values(connected(rows), PhaseQuery(x=WD), AXES[:1])
    assert [value.event for value in found.values] == ["t_mem"]
    (text,) = found.unseen
    assert "t_gen is seen within 1,000 steps wherever it can be (memorised, not diverged)" in text


def test_a_prediction_that_is_wrong_too_often_or_too_rarely_is_called_so() -> None:
    wrong = np.array([True] * 8 + [False] * 12)
    assert checked(wrong, np.full(20, 0.1)).calibration == "more than expected"
    assert checked(~wrong[:0], np.zeros(0)).calibration == "too few to say"
    assert checked(np.zeros(20, dtype=bool), np.full(20, 0.3)).calibration == "fewer than expected"
    assert held_out(pd.DataFrame({name: [] for name in COLUMNS}), pd.Series(dtype=object)).n == 0


def test_no_error_in_n_trials_bounds_the_error_by_the_closed_form() -> None:
    """(1 - p)^n = .05 at the upper end."""
    for n in (1, 20, 60):
        assert clopper_pearson(0, n, 0.05)[1] == pytest.approx(1 - 0.05 ** (1 / n))
    assert clopper_pearson(3, 3, 0.05)[1] == 1.0


def test_shares_of_chosen_trials_are_never_drawn_without_saying_so() -> None:
    rows = planted(60)
    chances = np.full((60, len(LABELS)), np.nan)
    chosen = connected(rows, proposals=proposed(rows, ["boundary"] * 60, chances))
    assert CHOSEN in note(phase_diagram(chosen, plane(bins=4), AXES))
    assert "caution" not in phase_diagram(connected(rows), plane(bins=4), AXES).attrs
    fitted = phase_diagram(chosen, plane(), AXES)
    assert not {"n", "n_undetermined", "p_lost"} & set(map(str, fitted.data_vars))


@pytest.mark.parametrize("value", [*VALUES[:3], "log10_delay_ratio", "outcome", "t_gen", "seconds"])
@pytest.mark.parametrize("flat", [False, True])
def test_both_backends_draw_every_trial_once(study: duckdb.DuckDBPyConnection, value: str, flat: bool) -> None:
    query = PhaseQuery(x=WD, fix=((FRAC, 0.5),), value=value) if flat else plane(value=value)
    diagram = phase_diagram(study, query, AXES)
    data = posterior_figure(diagram)
    known = [mark.trial_id for mark in data.every_mark if not np.isnan(mark.y)]
    ids = [one for trace in posterior_plot(data).data if trace.customdata is not None for one in trace.customdata]
    assert sorted(ids) == sorted(known)
    assert len(known) == len(set(known)) > 0
    picture = io.BytesIO()
    save_posterior(data, picture, "png")
    assert picture.getvalue().startswith(b"\x89PNG")
    assert data.shaded == (value in VALUES)
    assert ("no posterior of" in data.note) == (value not in VALUES)


@pytest.mark.parametrize("suffix", export.SUFFIXES)
def test_every_format_is_written(study: duckdb.DuckDBPyConnection, tmp_path: Path, suffix: str) -> None:
    path = export.write(phase_diagram(study, plane(), AXES), tmp_path / f"posterior{suffix}")
    starts = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF", ".html": b"<!doctype html", ".json": b"{"}
    assert path.read_bytes().startswith(starts.get(suffix, b'"frac_train"' if suffix == ".csv" else b"PAR1"))


def test_json_holds_the_lattice_the_trials_and_the_boundary(study: duckdb.DuckDBPyConnection) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    document = json.loads(export.to_json(phase_diagram(study, plane(), AXES)), parse_constant=refuse)
    assert len(document["cells"]) == 64 * 64
    assert len(document["trials"]) == 60
    assert {one["outcome"] for one in document["cells"]} <= set(LABELS)
    assert [one["margin"] for one in document["margins"]] == ["mem", "gen", "delay"]
    line = [(one["x"], one["y"]) for one in document["boundary"] if (one["margin"], one["part"]) == ("gen", "line")]
    truth = np.array([0.5 - 0.06 * (np.log10(x) + 0.5) - y for x, y in line])
    # 60 trials with .15 dex of seed noise on a slope of 5 dex per unit of frac_train; .05 is 5 standard errors.
    assert np.abs(truth).max() < 0.05


def test_pages_need_no_network_and_say_what_shapes_mean(study: duckdb.DuckDBPyConnection) -> None:
    diagram = phase_diagram(study, plane(), AXES)
    for text in (posterior_html(posterior_figure(diagram)), posterior_overview_html(diagram)):
        body = text[: text.index("<script>")]
        assert "▼</i>memorization" in body
        assert "generalises by T" in body
        assert "expected error" in body
    assert len(report_posterior(diagram).axes) == 3  # two panels and the colours of the second


GRID = [(wd, frac) for wd in (0.03, 0.1, 0.3, 1.0, 3.0) for frac in (0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)]


def grid(noise: float) -> list[dict[str, Any]]:
    """Four seeds in every cell of a grid; t_gen = T where frac = .5 - .06 (log10 wd + .5)."""
    rng = np.random.default_rng(0)
    rows = []
    for wd, frac in GRID:
        for seed in range(4):
            late = 5 * (0.5 - frac) - 0.3 * (np.log10(wd) + 0.5) + noise * rng.standard_normal()
            t_gen = round(T * 10**late)
            rows.append(trial(wd, frac, seed, 10, max(t_gen, 10) if t_gen <= T else None))
    return rows


def test_the_posterior_line_of_a_grid_lies_within_the_logistic_band() -> None:
    diagram = phase_diagram(connected(grid(0.6)), plane())
    one, other = posterior_line(diagram), boundary_of(diagram)
    assert isinstance(one, Boundary)
    assert isinstance(other, Boundary)
    line = np.concatenate(one.lines)
    inside = sum(Outline(ring).contains_points(line).astype(int) for ring in other.band) % 2 == 1
    assert float(np.mean(inside)) > 0.95  # both are right to their errors; a crossing at the very edge may fall outside


def test_where_outcomes_separate_only_the_posterior_has_a_line() -> None:
    diagram = phase_diagram(connected(grid(0.0)), plane(boundary="gp"))
    assert isinstance(boundary_of(diagram), NoBoundary)
    found = posterior_line(diagram)
    assert isinstance(found, Boundary)
    line = np.concatenate(found.lines)
    truth = 0.5 - 0.06 * (np.log10(line[:, 0]) + 0.5)
    assert np.abs(line[:, 1] - truth).max() < 0.1  # a cell of the grid
    data = figure_data(diagram)
    assert "half of all seeds generalise by T" in data.note
    assert "p = 0.5" in {trace.name for trace in phase_figure(data).data}
    picture = io.BytesIO()
    export.save_figure(diagram, picture, "png")
    none = figure_data(phase_diagram(connected(grid(0.0)), plane(boundary="none")))
    assert none.lines == ()


def test_an_unknown_boundary_is_refused_with_the_nearest() -> None:
    with pytest.raises(BadInput, match="logistic"):
        PhaseQuery(x=WD, boundary="logit")
