"""The boundary of a diagram as the page draws it."""

from __future__ import annotations

import numpy as np
import pytest
from phase_planted import WD, connected, plane, planted, trial

from grokstudy.phase.boundary import Boundary, NoBoundary, boundary_of
from grokstudy.phase.boundary_plotly import add_boundary
from grokstudy.phase.diagram import phase_diagram
from grokstudy.phase.figure_data import figure_data
from grokstudy.phase.figures_plotly import phase_figure
from grokstudy.phase.planned import with_planned
from grokstudy.phase.query import PhaseQuery

LEVELS = (0.0, 0.01, 0.1, 1.0, 10.0)


def rows(**other: object) -> list[dict[str, object]]:
    """p rises from 1/8 to 7/8 along weight decay; at 0 nothing generalises."""
    share = dict(zip(LEVELS, (0, 1, 3, 5, 7), strict=True))
    return [
        trial(wd, frac, seed, 10, 100 if seed < share[wd] else None, **other)
        for wd in LEVELS
        for frac in (0.3, 0.5, 0.7)
        for seed in range(8)
    ]


def test_the_line_is_drawn_within_the_diagram_and_trials_at_zero_are_left_out() -> None:
    diagram = phase_diagram(connected(rows()), plane())
    found = boundary_of(diagram)
    assert isinstance(found, Boundary)
    assert found.trials == 4 * 3 * 8
    assert "24 trials at 0" in found.note
    line = np.concatenate(found.lines)
    # 1/8, 3/8, 5/8, 7/8 are symmetric about log10 wd = -.5, whatever the fraction
    assert np.log10(line[:, 0]) == pytest.approx(-0.5, abs=0.01)
    figure = phase_figure(figure_data(diagram))
    before = len(figure.data)
    add_boundary(figure, found)
    assert [trace.name for trace in figure.data[before:]] == ["95% band", None, "p = 0.5"]


def test_each_facet_has_its_own_line() -> None:
    study = connected(
        [row | {"trial_id": f"{name}{i}", "model.name": name} for name in ("a", "b") for i, row in enumerate(rows())]
    )
    diagram = phase_diagram(study, plane(facet="model.name"))
    assert isinstance(boundary_of(diagram), NoBoundary)
    assert all(isinstance(boundary_of(diagram, facet), Boundary) for facet in (0, 1))


def test_a_line_stays_with_its_facet_when_planned_facets_join() -> None:
    study = connected(
        [row | {"trial_id": f"{size}-{i}", "batch_size": size} for size in (64, 128) for i, row in enumerate(rows())]
        + [trial(0.01, 0.3, 99, 10, 100, batch_size=128)]
    )
    seen = phase_diagram(study, plane(facet="batch_size"))
    whole = with_planned(seen, {"batch_size": (32, 64, 128)})
    assert isinstance(boundary_of(whole, 0), NoBoundary)
    for before, after in ((0, 1), (1, 2)):
        one, two = boundary_of(seen, before), boundary_of(whole, after)
        assert isinstance(one, Boundary)
        assert isinstance(two, Boundary)
        assert one.trials == two.trials
        np.testing.assert_array_equal(np.concatenate(one.lines), np.concatenate(two.lines))


def test_names_and_single_axes_have_no_line() -> None:
    named = connected([row | {"model.name": "ab"[i % 2]} for i, row in enumerate(rows())])
    by_name = phase_diagram(named, PhaseQuery(x=WD, y="model.name", fix=(("frac_train", 0.3),)))
    alone = phase_diagram(connected(planted()), PhaseQuery(x=WD, fix=(("frac_train", 0.3),)))
    for diagram, reason in ((by_name, "names"), (alone, "two axes")):
        found = boundary_of(diagram)
        assert isinstance(found, NoBoundary)
        assert reason in found.reason
