"""Figures, files and the report of planted phase diagrams."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from pathlib import Path

import duckdb
import matplotlib.image
import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
import xarray as xr
from phase_planted import connected, plane, planted, trial

import grokstudy.phase.accessor  # noqa: F401  (registers `.gs`)
from grokstudy.circuits._labels import LABELS as ALGORITHMS
from grokstudy.phase import export
from grokstudy.phase.diagram import phase_diagram
from grokstudy.phase.figure_data import figure_data
from grokstudy.phase.figures_matplotlib import colour_map, save
from grokstudy.phase.figures_plotly import phase_figure, phase_html
from grokstudy.phase.palette import ALGORITHM_COLOURS
from grokstudy.phase.report_figure import save_report_png
from grokstudy.spec.errors import BadInput


@pytest.fixture
def study() -> duckdb.DuckDBPyConnection:
    return connected(planted())


def test_json_is_strict_and_holds_every_cell_and_trial(study: duckdb.DuckDBPyConnection) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    document = json.loads(export.to_json(phase_diagram(study, plane())), parse_constant=refuse)
    assert len(document["cells"]) == 6
    assert len(document["trials"]) == 20
    empty = [one for one in document["cells"] if one["n"] == 0]
    assert [(one["weight_decay"], one["frac_train"], one["p_gen"]) for one in empty] == [(10.0, 0.7, None)]


def test_parquet_has_null_where_nothing_is_known_and_never_nan(
    study: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    path = export.write(phase_diagram(study, plane()), tmp_path / "cells.parquet")
    table = pyarrow.parquet.read_table(path)
    assert table["p_gen"].null_count == 1
    medians = table["t_gen_median"].to_pylist()
    assert medians.count(None) == 3
    assert not any(math.isnan(median) for median in medians if median is not None)


@pytest.mark.parametrize("suffix", export.SUFFIXES)
def test_every_format_is_written_and_is_what_its_name_says(
    study: duckdb.DuckDBPyConnection, tmp_path: Path, suffix: str
) -> None:
    starts = {
        ".png": b"\x89PNG",
        ".svg": b"<?xml",
        ".pdf": b"%PDF",
        ".html": b"<!doctype html",
        ".csv": b'"frac_train"',
    }
    path = export.write(phase_diagram(study, plane()), tmp_path / f"diagram{suffix}")
    assert path.read_bytes().startswith(starts.get(suffix, b"{" if suffix == ".json" else b"PAR1"))


def test_zero_has_the_lowest_colour_of_a_log_scale(study: duckdb.DuckDBPyConnection) -> None:
    data = figure_data(phase_diagram(study, plane(value="weight_decay")))
    assert (data.value_log, data.low) == (True, 0.1)
    heat = next(phase_figure(data).select_traces({"type": "heatmap"}))
    assert heat.z[0].tolist() == [-1, -1, 1]  # log10 of weight decay 0, 0.1 and 10
    assert heat.customdata[0][0][4] == "0"
    _, norm = colour_map(data)
    assert norm(0.0) == norm(0.1) == 0


def test_an_unknown_suffix_or_folder_is_refused(study: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    diagram = phase_diagram(study, plane())
    with pytest.raises(BadInput, match=r"did you mean '\.svg'"):
        export.write(diagram, tmp_path / "diagram.svgz")
    with pytest.raises(BadInput, match="does not exist"):
        export.write(diagram, tmp_path / "no" / "diagram.png")


def pixels(write: Callable[[io.BytesIO], None]) -> np.ndarray:
    buffer = io.BytesIO()
    write(buffer)
    buffer.seek(0)
    image: np.ndarray = matplotlib.image.imread(buffer, format="png")
    return image


def test_the_report_figure_shows_all_outcomes_in_their_colours(study: duckdb.DuckDBPyConnection) -> None:
    image = pixels(lambda buffer: save_report_png(phase_diagram(study, plane()), buffer))
    seen = {tuple(colour) for colour in (image[::3, ::3, :3].reshape(-1, 3) * 255).round().astype(int).tolist()}
    for outcome in ("#C9C9C9", "#E69F00", "#CC79A7", "#0072B2", "#56B4E9", "#222222"):
        assert tuple(bytes.fromhex(outcome[1:])) in seen, outcome


@pytest.mark.parametrize("settings", [{}, {"value": "t_gen"}, {"value": "outcome"}, {"value": "log10_delay_ratio"}])
def test_both_backends_draw_every_kind_of_value(study: duckdb.DuckDBPyConnection, settings: dict[str, str]) -> None:
    for fix, y in (((), "frac_train"), ((("frac_train", 0.3),), None)):
        data = figure_data(phase_diagram(study, plane(y=y, fix=fix, **settings)))
        assert pixels(lambda buffer, data=data: save(data, buffer, "png"))[..., :3].std() > 0.05
        names = {trace.name for trace in phase_figure(data).data}
        assert {"grokking", "memorization"} <= names


def test_the_svg_keeps_labels_counts_and_hatching(study: duckdb.DuckDBPyConnection) -> None:
    buffer = io.BytesIO()
    save(figure_data(phase_diagram(study, plane())), buffer, "svg")
    text = buffer.getvalue().decode()
    assert "<pattern" in text  # the hatching of the empty cell
    for word in ("regularization.weight_decay", "task.frac_train", "T = 1,000 steps", "memorization", "no trial"):
        assert word in text, word


def test_equal_figures_are_equal_files(study: duckdb.DuckDBPyConnection) -> None:
    data = figure_data(phase_diagram(study, plane()))
    one, two = io.BytesIO(), io.BytesIO()
    save(data, one, "svg")
    save(data, two, "svg")
    assert one.getvalue() == two.getvalue()


def test_a_log_axis_gives_zero_its_own_labelled_slot_at_the_left(study: duckdb.DuckDBPyConnection) -> None:
    data = figure_data(phase_diagram(study, plane()))
    assert data.y is not None
    assert (data.x.log, data.x.zero_slot, data.x.names) == (True, True, ("0", "0.1", "10"))
    assert 0 < data.x.centres[0] < data.x.centres[1]
    assert not data.y.log
    assert data.panels[0].hatched.tolist() == [[False, False, False], [False, False, True]]
    assert len(data.panels[0].dots) == 20


def test_every_dot_and_tile_lies_inside_its_cell(study: duckdb.DuckDBPyConnection) -> None:
    diagram = phase_diagram(study, plane())
    data = figure_data(diagram)
    assert data.y is not None
    cells = {str(i): (int(x), int(y)) for i, x, y in zip(*_columns(diagram), strict=True)}
    for dot in data.panels[0].dots:
        i, j = cells[dot.trial_id]
        assert data.x.edges[i] < dot.x < data.x.edges[i + 1]
        assert data.y.edges[j] < dot.y < data.y.edges[j + 1]


def _columns(diagram: xr.Dataset) -> list[np.ndarray]:
    return [diagram[name].to_numpy() for name in ("trial_id", "trial_cell_x", "trial_cell_y")]


def test_the_html_needs_no_network_and_names_every_trial(study: duckdb.DuckDBPyConnection) -> None:
    page = phase_html(figure_data(phase_diagram(study, plane())))
    assert "cdn.plot.ly/plotly" not in page
    assert "0.1-0.3-2-0-0" in page


def test_the_accessor_draws_and_saves(study: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    diagram = phase_diagram(study, plane())
    assert diagram.gs.plot().layout.xaxis.type == "log"
    assert diagram.gs.save(tmp_path / "d.csv").read_text().count("\n") == 7


@pytest.mark.parametrize("value", ["p_gen", "t_gen", "log10_delay_ratio", "outcome"])
def test_a_study_in_which_nothing_was_reached_is_still_drawn(value: str) -> None:
    rows = [trial(1.0, 0.5, seed, None, None, status="stopped", steps_run=30) for seed in range(3)]
    for y in (None, "frac_train"):
        data = figure_data(phase_diagram(connected(rows), plane(y=y, value=value)))
        assert pixels(lambda buffer, data=data: save(data, buffer, "png"))[..., :3].std() > 0.02


def test_the_algorithm_is_drawn_as_the_most_frequent_label_in_its_own_colours(tmp_path: Path) -> None:
    """Three of four networks at weight decay .1 became a pizza, all of the others a table by heart."""
    rows = [trial(wd, 0.3, seed, 10, None) for wd in (0.1, 1.0) for seed in range(4)]
    labels = [ALGORITHMS.index(name) for name in ["pizza"] * 3 + ["clock"] + ["lookup_table"] * 4]
    measures = pd.DataFrame({"trial_id": [row["trial_id"] for row in rows], "step": 1000, "algorithm_label": labels})
    diagram = phase_diagram(connected(rows, measures=measures), plane(value="algorithm_label", at="end"))
    assert diagram["value"].to_numpy().ravel().tolist() == [ALGORITHMS.index("pizza"), ALGORITHMS.index("lookup_table")]
    data = figure_data(diagram)
    assert data.categories == ALGORITHMS
    assert len(set(data.category_colours)) == len(ALGORITHMS)
    assert not data.value_log
    save(data, tmp_path / "algorithm.png")
    pixels = (matplotlib.image.imread(tmp_path / "algorithm.png")[..., :3].reshape(-1, 3) * 255).round().astype(int)
    seen = set(map(tuple, pixels.tolist()))
    for name in ("pizza", "lookup_table"):
        assert tuple(bytes.fromhex(ALGORITHM_COLOURS[name][1:])) in seen, name
    assert "most frequent algorithm at end" in phase_html(data)
    assert data.panels[0].dots == ()  # their colours are outcomes', the cells' are algorithms'
    cells, trials = export.cells_table(diagram), export.trials_table(diagram)
    assert cells["value"].to_pylist() == ["pizza", "lookup_table"]
    assert sorted(trials["value"].to_pylist()) == ["clock"] + ["lookup_table"] * 4 + ["pizza"] * 3
    assert '"value": "pizza"' in export.to_json(diagram)
