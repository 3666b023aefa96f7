"""Where points from elsewhere land: on every kind of axis, in their own facet, and nowhere they do not belong."""

from __future__ import annotations

from pathlib import Path

import pytest
from phase_planted import connected, plane, planted

from grokstudy.phase.diagram import phase_diagram
from grokstudy.phase.figure_data import FigureData, figure_data
from grokstudy.phase.figures_plotly import phase_figure
from grokstudy.phase.overlay import read_overlay
from grokstudy.spec.errors import BadInput


def drawn(tmp_path: Path, text: str, **settings: object) -> FigureData:
    (tmp_path / "points.csv").write_text(text)
    rows = [row | {"optimizer.filter": ("none", "ema")[row["seed"] % 2]} for row in planted()]
    diagram = phase_diagram(connected(rows), plane(**settings))
    return figure_data(diagram, read_overlay(tmp_path / "points.csv", diagram))


def test_numbers_stand_at_their_values_and_zero_of_a_log_axis_in_its_slot(tmp_path: Path) -> None:
    data = drawn(tmp_path, "weight_decay,frac_train\n0,0.3\n2.5,0.5\n", fix=(("optimizer.filter", "none"),))
    (panel,) = data.panels
    assert data.x.log
    assert [mark.y for mark in panel.overlay] == [0.3, 0.5]
    assert [mark.x for mark in panel.overlay] == [data.x.centres[0], 2.5]
    assert data.x.edges[0] < panel.overlay[0].x < data.x.edges[1]


def test_names_stand_in_the_middle_of_their_cell(tmp_path: Path) -> None:
    text = "optimizer.filter,frac_train,label\nnone,0.3,here\n"
    data = drawn(tmp_path, text, x="optimizer.filter", fix=(("weight_decay", 0.1),))
    (mark,) = data.panels[0].overlay
    assert (mark.x, mark.label) == (data.x.names.index("none"), "here")
    with pytest.raises(BadInput, match=r"no 'nonne'; did you mean 'none'"):
        drawn(tmp_path, text.replace("none", "nonne"), x="optimizer.filter", fix=(("weight_decay", 0.1),))


def test_a_point_is_drawn_in_its_own_facet_only(tmp_path: Path) -> None:
    text = "weight_decay,frac_train,filter\n1,0.4,ema\n1,0.5,other\n"
    data = drawn(tmp_path, text, facet="optimizer.filter")
    assert {panel.title: len(panel.overlay) for panel in data.panels} == {
        "optimizer.filter = ema": 1,
        "optimizer.filter = none": 0,
    }
    assert "1 of 2 outside" in data.note


def test_without_y_a_point_has_the_value(tmp_path: Path) -> None:
    fix = (("frac_train", 0.3), ("optimizer.filter", "none"))
    data = drawn(tmp_path, "weight_decay,p_gen,source\n1,0.75,a paper\n", y=None, fix=fix)
    assert [(mark.x, mark.y) for mark in data.panels[0].overlay] == [(1.0, 0.75)]
    assert data.note.endswith("crosses: a paper")
    assert "from elsewhere" in {trace.name for trace in phase_figure(data).data}
    with pytest.raises(BadInput, match="no column for p_gen"):
        drawn(tmp_path, "weight_decay\n1\n", y=None, fix=fix)


def test_a_log_axis_shows_nothing_below_zero(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="which a log axis without 0 cannot show"):
        drawn(tmp_path, "weight_decay,frac_train\n-1,0.3\n", fix=(("optimizer.filter", "none"),))
