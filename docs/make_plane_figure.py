"""Draws the README's first picture: a plane of trials with its boundary, and beside it three runs and their phases.

    python docs/make_plane_figure.py PLANE RUNS --out docs/images/plane.png

PLANE is a study with two continuous axes, RUNS one with a few trials on that plane, measured at all checkpoints.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import matplotlib as mpl
import matplotlib.patheffects as effects
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import grokstudy as gs
from grokstudy.phase import circuit_figures_matplotlib as circuits
from grokstudy.phase import posterior_matplotlib as plane
from grokstudy.phase.circuit_figures_data import Panel
from grokstudy.phase.circuit_figures_steps import progress
from grokstudy.phase.figures_matplotlib import STYLE, colour_bar, empty_figure, title_and_note, write_figure
from grokstudy.phase.posterior_figure import PosteriorFigure, posterior_figure
from grokstudy.phase.progress import TrialProgress, trial_progress
from grokstudy.phase.query import PhaseQuery
from grokstudy.store.views import connect

X, Y = "regularization.weight_decay", "task.frac_train"
LETTERS = "ABC"
_OVER = 10
"""Above all marks of the plane."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Run:
    """One of the trials beside the plane, and where it lies there."""

    x: float
    y: float
    outcome: str
    seen: TrialProgress


def runs_of(study: str) -> list[Run]:
    """The study's trials by weight decay.

    Raises:
        ValueError: not one trial per letter.
    """
    found = gs.open(study)
    rows = found.sql(f'SELECT trial_id, "{X}" AS x, "{Y}" AS y, outcome FROM trials ORDER BY x')
    if len(rows) != len(LETTERS):
        raise ValueError(f"{study}: {len(rows)} trials, must be {len(LETTERS)}.")
    with connect([found.folder]) as connection:
        return [
            Run(x=row.x, y=row.y, outcome=row.outcome, seen=trial_progress(connection, row.trial_id))
            for row in rows.itertuples()
        ]


def figure_of(study: str, runs: list[Run]) -> Figure:
    """Left the plane, right a panel of losses per run."""
    diagram = gs.open(study).diagram(PhaseQuery(x=X, y=Y, value="log10_delay_ratio"))
    data = dataclasses.replace(posterior_figure(diagram), own_colours=True)
    with mpl.rc_context(STYLE):
        figure = empty_figure(15.0, 7.6)
        left, right = figure.subfigures(1, 2, width_ratios=[1.28, 1])
        _draw_plane(left, data, runs)
        for letter, run, axes in zip(LETTERS, runs, right.subplots(len(runs), 1), strict=True):
            panel = losses(run.seen)
            words = f"{letter}   {run.outcome} ({run.x:g}, {run.y:g})"  # short: the legend stands beside it
            circuits.draw_panel(axes, dataclasses.replace(panel, title=words))
        title_and_note(figure, "Where a one-layer transformer groks, and three of its trainings", data.note)
    return figure


def losses(seen: TrialProgress) -> Panel:
    """Cross entropy on train and test rows, restricted and excluded loss, with the phases."""
    return progress(seen, None, "").panels[0]


def _draw_plane(figure: Figure, data: PosteriorFigure, runs: list[Run]) -> None:
    axes = figure.subplots()
    plane.draw_panel(axes, data, data.panels[0])
    colour_bar(figure, data, [axes])
    plane.draw_legend(figure, data, loc="outside upper left", across_top=True)
    for letter, run in zip(LETTERS, runs, strict=True):
        _letter(axes, letter, run)


def _letter(axes: Axes, letter: str, run: Run) -> None:
    """A star at its place, the letter to the upper left: a trial of the plane may lie there too."""
    axes.scatter(run.x, run.y, s=130, marker="*", c="black", edgecolors="white", linewidths=1, zorder=_OVER)
    outline = [effects.withStroke(linewidth=3, foreground="white")]
    at = axes.annotate(letter, (run.x, run.y), xytext=(-12, 12), textcoords="offset points", ha="center", va="center")
    at.set(size=15, weight="bold", path_effects=outline, zorder=_OVER)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("plane")
    parser.add_argument("runs")
    parser.add_argument("--out", type=Path, default=Path("docs/images/plane.png"))
    given = parser.parse_args()
    write_figure(figure_of(given.plane, runs_of(given.runs)), given.out)
    print(given.out)


if __name__ == "__main__":
    main()
