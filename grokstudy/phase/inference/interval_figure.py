"""The picture of the times of each cell: medians with their intervals, and open triangles where half still wait."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Float

from grokstudy.phase import columns
from grokstudy.phase.axis import axis_cells
from grokstudy.phase.inference import words
from grokstudy.phase.inference.covariates import on_log_axis
from grokstudy.phase.inference.result import FitFigure, Mark, Panel, Points

if TYPE_CHECKING:
    from grokstudy.phase.inference.interval_censored import CellTimes, IntervalFit

_ASIDE = 0.08
"""Between cells of one name, so that their intervals are all seen."""


def interval_figure(fit: IntervalFit) -> FitFigure:
    """Along the first setting; a colour for each combination of the others."""
    trials = fit.trials
    path = str(trials.settings.columns[0])
    column = trials.settings[path]
    names = _level_names(path, column)
    others = list(dict.fromkeys(one.cell[1:] for one in fit.cells))
    drawn = []
    for number, other in enumerate(others):
        cells = [one for one in fit.cells if one.cell[1:] == other]
        aside = _ASIDE * (number - (len(others) - 1) / 2) if names else 0.0
        at = [_place(one.cell[0], names) + aside for one in cells]
        drawn.append(_points(cells, np.array(at), _other_words(fit, other), number))
    panel = Panel(
        x_label=words.label(path),
        y_label=f"median {trials.query.event} (steps)",
        x_log=not names and on_log_axis(column.to_numpy(dtype=float)),
        y_log=True,
        x_ticks=tuple((float(k), name) for k, name in enumerate(names)),
        points=tuple(drawn),
        marks=(Mark(at=float(trials.budget.steps), upright=False, text="T"),),
    )
    method = f"Kaplan-Meier medians, {trials.query.confidence:.0%} intervals; triangles: half not seen until then"
    return FitFigure(
        title=f"{trials.study}: {trials.query.event} of each cell", note=words.note(trials, method), panels=(panel,)
    )


def _points(cells: list[CellTimes], x: Float[np.ndarray, " cells"], name: str, series: int) -> Points:
    median = np.array([one.median for one in cells])
    watched = np.maximum([one.watched for one in cells], 1.0)
    known = np.isfinite(median)
    low, high = (np.array([getattr(one, end) for one in cells]) for end in ("median_low", "median_high"))
    y = np.where(known, median, watched)
    return Points(
        x=x,
        y=y,
        low=np.where(known, low, y),
        high=np.where(known, high, y),
        beyond=~known,
        name=name,
        series=series,
    )


def _level_names(path: str, column: pd.Series) -> list[str]:
    """Levels that are drawn side by side under their names: words, and numbers of a log axis that has a 0."""
    numeric = columns.is_numeric(column) and not column.isna().any()
    if numeric and not (on_log_axis(column.to_numpy(dtype=float)) and (column <= 0).any()):
        return []
    return [columns.label(value) for value in axis_cells("x", path, column, None).values]


def _place(value: object, names: list[str]) -> float:
    return float(names.index(columns.label(value))) if names else float(str(value))


def _other_words(fit: IntervalFit, other: tuple[object, ...]) -> str:
    paths = [str(path).rpartition(".")[2] for path in fit.trials.settings.columns[1:]]
    return ", ".join(f"{path} = {columns.label(value)}" for path, value in zip(paths, other, strict=True))
