"""Pages of phase diagrams and their parts: tiles, ticks, room for dots and counts, light and dark."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
import pytest
from phase_planted import connected, plane, planted, trial

from grokstudy.phase.diagram import phase_diagram
from grokstudy.phase.figure_data import FigureData, figure_data
from grokstudy.phase.figures_matplotlib import save
from grokstudy.phase.figures_plotly import phase_figure, phase_html
from grokstudy.phase.log_ticks import log_ticks, number
from grokstudy.phase.overview_plotly import overview_html
from grokstudy.phase.page import Figure, Key, page
from grokstudy.phase.room import MOST_DOTS, counts_fit, counts_in_words, dots_fit
from grokstudy.phase.theme import DARK, LIGHT
from grokstudy.phase.tiles import NO_TRIAL, OUTCOMES
from grokstudy.phase.units import with_unit


def drawn(**settings: object) -> FigureData:
    return figure_data(phase_diagram(connected(planted()), plane(**settings)))


def full(cells: int, seeds: int) -> FigureData:
    """A diagram of cells x cells, every trial of which grokked."""
    levels = np.linspace(0.1, 0.9, cells).round(4).tolist()
    rows = [trial(1 + a, b, seed, 10, 100) for a in levels for b in levels for seed in range(seeds)]
    return figure_data(phase_diagram(connected(rows), plane()))


def figures_of(text: str) -> list[dict[str, list[dict[str, object]]]]:
    found = re.search(r'<script type="application/json" id="figures">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    figures: list[dict[str, list[dict[str, object]]]] = json.loads(found[1])
    return figures


def test_every_trial_is_one_tile_of_its_own_cell() -> None:
    diagram = phase_diagram(connected(planted()), plane())
    tiles = figure_data(diagram).panels[0].tiles
    columns, rows = diagram["trial_cell_x"].to_numpy(), diagram["trial_cell_y"].to_numpy()
    for place, outcome in enumerate(diagram["trial_outcome"].to_numpy()):
        found = np.argwhere(tiles.trial == place)
        assert len(found) == 1  # every cell of this study has four trials or none
        row, column = found[0]
        assert (row // tiles.down, column // tiles.across) == (rows[place], columns[place])
        assert OUTCOMES[tiles.outcome[row, column]] == outcome
    assert (tiles.trial == NO_TRIAL).sum() == 4  # the empty cell
    assert len(tiles.x) == tiles.outcome.shape[1] + 1
    assert np.isin(figure_data(diagram).x.edges, tiles.x).all()


def test_the_only_trial_of_a_cell_fills_it() -> None:
    rows = [trial(0.1, 0.3, seed, 10, 100) for seed in range(4)] + [trial(1.0, 0.3, 0, 10, None)]
    tiles = figure_data(phase_diagram(connected(rows), plane())).panels[0].tiles
    assert (tiles.trial[:, tiles.across :] == tiles.trial[0, -1]).all()
    assert tiles.outcomes == ("memorization", "grokking")


def test_a_trial_that_lost_it_is_marked_on_its_tile() -> None:
    rows = [trial(0.1, 0.3, 0, 10, 100, retention="lost"), trial(1.0, 0.3, 0, 10, 100)]
    data = figure_data(phase_diagram(connected(rows), plane()))
    assert data.panels[0].tiles.lost.tolist() == [[dot.lost for dot in data.panels[0].dots]]


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [
        (1e-5, 10, ("10⁻⁵", "10⁻⁴", "0.001", "0.01", "0.1", "1", "10")),
        (60, 1500, ("100", "200", "500", "1,000")),
        (80, 340, ("100", "200", "300")),
        (249, 338, ("260", "280", "300", "320")),
        (3e7, 2e8, ("3×10⁷", "5×10⁷", "7×10⁷", "10⁸", "2×10⁸")),
    ],
)
def test_log_ticks_are_round_numbers_inside_the_range(low: float, high: float, texts: Sequence[str]) -> None:
    assert tuple(text for _, text in log_ticks(low, high)) == tuple(texts)


@pytest.mark.parametrize("decades", [0.01, 0.1, 0.3, 0.49, 0.51, 0.9, 1.0, 2.0, 2.6, 8.0, 30.0])
@pytest.mark.parametrize("low", [1e-9, 0.031, 1.0, 700.0])
def test_every_log_range_has_two_to_twelve_rising_ticks(low: float, decades: float) -> None:
    high = low * 10**decades
    places = [at for at, _ in log_ticks(low, high)]
    assert 2 <= len(places) <= 12
    assert places == sorted(set(places))
    assert low * (1 - 1e-8) <= places[0]
    assert places[-1] <= high * (1 + 1e-8)  # rounding of 10**k, a relative 1e-16


def test_numbers_are_short() -> None:
    assert [number(value) for value in (0, 0.02, 1, 1500, 1e-5, 2e-4)] == ["0", "0.02", "1", "1,500", "10⁻⁵", "2×10⁻⁴"]


def test_axes_say_their_units() -> None:
    assert with_unit("task.frac_train") == "task.frac_train (share of inputs)"
    assert with_unit("steps_run") == "steps_run (steps)"
    assert with_unit("optimizer.lr") == "optimizer.lr"


def test_dots_that_could_not_be_told_apart_are_left_out_and_the_note_says_so() -> None:
    data = full(cells=40, seeds=3)
    assert data.panels[0].dots == ()
    assert "4,800 dots would hide each other and are left out" in data.note
    assert "3 trials in every cell" in data.note
    names = {trace.name for trace in phase_figure(data).data}
    assert names == {"no value", "cells"}
    assert full(cells=5, seeds=3).note.count("dots") == 0


def test_no_figure_has_more_than_the_most_dots() -> None:
    cell = np.full((1, 1, 1), MOST_DOTS)
    assert dots_fit(cell, flat=True)
    assert not dots_fit(cell + 1, flat=True)
    assert not dots_fit(cell, flat=False)  # 71 by 71 dots, whose rows need 71 / .62 > 110 places


def test_counts_are_written_only_where_cells_are_large_enough() -> None:
    few, none = np.full((1, 8, 10), 50), np.zeros((1, 8, 10), dtype=int)
    assert counts_fit(few, none)
    assert not counts_fit(np.full((1, 40, 50), 50), np.zeros((1, 40, 50), dtype=int))
    assert not counts_fit(np.full((1, 8, 20), 50), np.full((1, 8, 20), 10))  # 50+10? is longer
    assert counts_in_words(np.array([[[3, 13]]])) == "3 to 13 trials in a cell"


@pytest.mark.parametrize(("value", "ends"), [("train_acc", (0.0, 1.0)), ("width", (64.0, 192.0))])
def test_a_constant_value_stands_on_a_scale_that_it_belongs_to(value: str, ends: tuple[float, float]) -> None:
    rows = [trial(wd, 0.3, 0, 10, 100, train_acc=1.0) for wd in (0.1, 1.0)]
    data = figure_data(phase_diagram(connected(rows), plane(value=value)))
    assert (data.low, data.high) == ends


def test_a_click_on_a_cell_knows_its_place_and_its_numbers() -> None:
    data = drawn(value="t_gen")
    cells = next(trace for trace in phase_figure(data).data if trace.name == "cells")
    assert data.y is not None
    for j in range(len(data.y.values)):
        for i in range(len(data.x.values)):
            about = cells.customdata[j][i]
            assert tuple(about[:4]) == (i, j, 0, data.panels[0].counts[j, i])
            assert tuple(about[5:7]) == (data.x.names[i], data.y.names[j])
    assert cells.customdata[0][0][4] == "none"  # three of four never generalised: the median is censored
    line = next(
        trace for trace in phase_figure(drawn(y=None, fix=(("frac_train", 0.3),))).data if trace.name == "cells"
    )
    assert [about[:3] for about in line.customdata] == [[i, 0, 0] for i in range(3)]


def test_a_facet_is_known_to_its_cells_too() -> None:
    figure = phase_figure(drawn(y=None, facet="frac_train"))
    cells = [trace for trace in figure.data if trace.name == "cells"]
    assert [{about[2] for about in trace.customdata} for trace in cells] == [{0}, {1}]


def test_dots_of_one_dimension_lie_above_the_line() -> None:
    figure = phase_figure(drawn(y=None, fix=(("frac_train", 0.3),)))
    names = [trace.name for trace in figure.data]
    assert names.index("cells") < min(names.index(name) for name in ("memorization", "grokking"))
    buffer = io.BytesIO()
    save(drawn(y=None, fix=(("frac_train", 0.3),)), buffer, "svg")
    assert "n=4" in buffer.getvalue().decode()


def test_the_page_has_one_figure_per_facet_its_note_and_a_legend_of_words() -> None:
    text = phase_html(drawn(facet="width"))
    assert len(figures_of(text)) == 1
    assert "<h1>planted: p_gen</h1>" in text
    for word in ("memorization</li>", "grokking</li>", "no trial</li>", "T = 1,000 steps"):
        assert word in text, word


def test_the_overview_shows_every_trial_beside_the_delay() -> None:
    tiles, delays = figures_of(overview_html(phase_diagram(connected(planted()), plane())))
    shown = next(trace for trace in tiles["data"] if trace["name"] == "trials")
    ids = {one for row in shown["customdata"] for one in row if one}  # type: ignore[attr-defined]
    assert ids == {row["trial_id"] for row in planted()}
    assert {trace["name"] for trace in delays["data"]} == {"no value", "cells", "trials per cell"}


def test_the_overview_of_one_dimension_shows_delays_of_trials_and_no_interval_of_another_value() -> None:
    diagram = phase_diagram(connected(planted()), plane(y=None, fix=(("frac_train", 0.3),)))
    _, delays = figures_of(overview_html(diagram))
    cells = next(trace for trace in delays["data"] if trace["name"] == "cells")
    assert "error_y" not in cells or not cells["error_y"]
    grokking = next(trace for trace in delays["data"] if trace["name"] == "grokking")
    assert max(grokking["y"]) == pytest.approx(np.log10(900 / 10), rel=1e-12)  # type: ignore[call-overload]


def test_a_page_escapes_words_and_cannot_be_ended_by_its_data() -> None:
    figure = go.Figure(go.Scatter(x=[1], y=[2], text=["</script><em>"]))
    text = page("<em>", "a <em> b", [Figure(figure, "<em>")], [Key("<em>", "#123456", "dot")])
    assert figures_of(text)[0]["data"][0]["text"] == ["</script><em>"]
    words = text.partition("<body>")[2].partition("<script>")[0]
    assert (words.count("&lt;em&gt;"), words.count("<em>")) == (4, 0)


def test_the_page_knows_both_themes() -> None:
    text = phase_html(drawn())
    assert LIGHT.paper in text
    assert DARK.paper in text
    assert "prefers-color-scheme: dark" in text
