"""What a picture of a fit must show: what is not known, and axes that can be read."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from grokstudy.phase.inference.aft import fit_aft
from grokstudy.phase.inference.families import FAMILIES
from grokstudy.phase.inference.figure_matplotlib import fit_figure
from grokstudy.phase.inference.interval_censored import IntervalFit, fit_intervals
from grokstudy.phase.inference.result import FitFigure, Mark, Panel, Points
from tests.planted_times import FRAC, WD, diverging, trials_with


def drawn(points: Points, *marks: Mark) -> Axes:
    panel = Panel(x_label="x", y_label="y", y_log=True, points=(points,), marks=marks)
    figure = fit_figure(FitFigure(title="", note="", panels=(panel,)))
    figure.draw_without_rendering()
    return figure.axes[0]


def test_an_interval_without_an_upper_end_reaches_the_edge_of_the_panel() -> None:
    points = Points(
        x=np.array([1.0, 2.0]), y=np.array([10.0, 20.0]), low=np.array([9.0, 18.0]), high=np.array([12, np.inf])
    )
    axes = drawn(points)
    reach = max(
        path.vertices[:, 1].max() for one in axes.collections for path in one.get_paths() if len(path.vertices) == 2
    )
    assert reach == pytest.approx(axes.get_ylim()[1])
    closed = drawn(Points(x=points.x, y=points.y, low=points.low, high=np.array([12.0, 25.0])))
    assert not any(line.get_marker() == "^" for line in closed.lines)


def test_ticks_of_a_log_axis_reach_a_mark_that_lies_far_from_the_points() -> None:
    axes = drawn(Points(x=np.array([1.0]), y=np.array([0.05])), Mark(at=1.0, upright=False))
    low, high = axes.get_ylim()
    assert low < 0.05 < 1.0 < high
    assert any(0.5 <= tick <= 1.0 for tick in axes.get_yticks())


def test_equal_places_on_a_log_axis_are_drawn_without_a_warning() -> None:
    watched = np.full(2, 200 / 1.2)
    drawn(Points(x=np.array([0.1, 0.15]), y=watched, low=watched, high=watched), Mark(at=200.0, upright=False))


def cells(wd: list[float]) -> IntervalFit:
    """Four trials at each weight decay; none gets there below 1."""
    at = np.repeat(wd, 4)
    times = np.where(at < 1, np.inf, 100.0 * np.tile([1.0, 1.1, 1.2, 1.3], len(wd)))
    return fit_intervals(trials_with({WD: at}, times, 1000.0))


def test_a_cell_whose_median_is_not_known_is_an_open_triangle_where_its_trials_were_last_watched() -> None:
    (points,) = cells([0.1, 0.3, 1.0, 3.0]).figure().panels[0].points
    assert points.beyond is not None
    assert points.beyond.tolist() == [True, True, False, False]
    assert points.y[:2].tolist() == [1000.0, 1000.0]


def test_a_setting_with_a_0_on_its_log_axis_keeps_its_place_in_the_picture() -> None:
    panel = cells([0.0, 0.1, 1.0, 3.0]).figure().panels[0]
    assert not panel.x_log
    assert [text for _, text in panel.x_ticks] == ["0", "0.1", "1", "3"]
    assert panel.points[0].x.tolist() == [0, 1, 2, 3]
    assert cells([0.1, 0.3, 1.0, 3.0]).figure().panels[0].x_log


def test_cells_of_one_name_stand_beside_each_other() -> None:
    n = 24
    settings = pd.DataFrame(
        {"optimizer.filter": np.tile(["none", "orthograd"], n // 2), FRAC: np.repeat([0.5, 0.6, 0.7], 8)}
    )
    fit = fit_intervals(trials_with(dict(settings), np.full(n, 100.0), 1000.0))
    at = np.concatenate([points.x for points in fit.figure().panels[0].points])
    assert len(np.unique(at)) == len(fit.cells) == 6


def test_the_family_that_the_sentences_speak_of_is_drawn() -> None:
    names = {points.name for points in fit_aft(diverging(0)).figure().panels[0].points}
    assert names == set(FAMILIES)
