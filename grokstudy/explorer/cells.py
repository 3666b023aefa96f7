"""Open cells of a diagram: every seed's curves, when they generalise, their trials, and in what two cells differ."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import duckdb
import pandas as pd
import plotly.graph_objects as go

from grokstudy.explorer.view import Cell
from grokstudy.phase.cell import trials_at
from grokstudy.phase.cell_curves import cell_curves
from grokstudy.phase.cell_curves_plotly import cell_curves_figure
from grokstudy.phase.differences import Differences, differences
from grokstudy.phase.parallel import parallel_data
from grokstudy.phase.parallel_plotly import parallel_figure
from grokstudy.phase.query import PhaseQuery, readings
from grokstudy.phase.survival import survival_data
from grokstudy.phase.survival_plotly import survival_figure
from grokstudy.phase.theme import themed
from grokstudy.phase.trials_table import TrialsTable, trials_table
from grokstudy.spec.axes import Axis
from grokstudy.spec.errors import BadInput
from grokstudy.store.folder import StudyFolder
from grokstudy.store.views import asked
from grokstudy.study.document import stored_layout

MOST_CELLS = 6
"""Cells that stand side by side."""
MOST_LINES = 2_000
"""Trials that a table of the page lists."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DrawnCell:
    """One cell with the curves of its trials."""

    cell: str
    n: int
    figure: go.Figure


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ListedTrials:
    """A table of trials, and how many more there are."""

    table: TrialsTable
    left_out: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ComparedCells:
    """In what the trials of two cells differ."""

    a: str
    b: str
    differences: Differences


def curves(folder: StudyFolder, query: PhaseQuery, cells: Sequence[Cell], *, dark: bool) -> tuple[DrawnCell, ...]:
    """The curves of every trial of each cell.

    Raises:
        BadInput: a cell that the diagram does not have, or too many of them.
    """
    axes = stored_layout(folder).axes
    read = asked(
        [folder],
        lambda connection: [
            (trials, cell_curves(connection, trials)) for trials in _trials(connection, query, cells, axes)
        ],
    )
    return tuple(
        DrawnCell(cell=drawn.cell, n=len(trials), figure=themed(cell_curves_figure(drawn), dark=dark))
        for trials, drawn in read
    )


def survival(folder: StudyFolder, query: PhaseQuery, cells: Sequence[Cell], *, dark: bool) -> go.Figure:
    """Kaplan-Meier curves of the cells in one figure. Errors as `curves`; also cells without trials."""
    axes = stored_layout(folder).axes
    found = asked([folder], lambda connection: _trials(connection, query, cells, axes))
    if not any(len(trials) for trials in found):
        raise BadInput("cell: no trial of this cell has finished yet.")
    return themed(survival_figure(survival_data(found)), dark=dark)


def listed(folder: StudyFolder, query: PhaseQuery, cells: Sequence[Cell]) -> ListedTrials:
    """The trials of the cells; of the whole diagram if there are none. Errors as `curves`."""
    axes = stored_layout(folder).axes

    def read(connection: duckdb.DuckDBPyConnection) -> ListedTrials:
        table = pd.concat(_trials(connection, query, cells, axes)) if cells else readings(connection, query, axes)
        return ListedTrials(
            table=trials_table(connection, table.head(MOST_LINES)), left_out=max(len(table) - MOST_LINES, 0)
        )

    return asked([folder], read)


def parallel(folder: StudyFolder, query: PhaseQuery, *, dark: bool) -> go.Figure:
    """All trials as lines over their settings and times, also those beside a slice. Errors as `readings`."""
    intervals = {name for axis in stored_layout(folder).axes if axis.is_interval for name in _names(axis.path)}
    kept = () if query.bins is None else intervals
    fix = tuple(pair for pair in query.fix if pair[0] in kept or pair[0] not in intervals)
    data = asked(
        [folder], lambda connection: parallel_data(connection, dataclasses.replace(query, facet=None, fix=fix))
    )
    return themed(parallel_figure(data), dark=dark)


def compared(folder: StudyFolder, query: PhaseQuery, cells: Sequence[Cell]) -> ComparedCells:
    """The settings in which the last two open cells differ. Errors as `curves`; also fewer than two."""
    if len(cells) < 2:
        raise BadInput("cell: open a second cell beside the first (hold Shift and click) to see in what they differ.")
    axes = stored_layout(folder).axes

    def read(connection: duckdb.DuckDBPyConnection) -> ComparedCells:
        a, b = _trials(connection, query, cells[-2:], axes)
        found = differences(connection, a["trial_id"].tolist(), b["trial_id"].tolist())
        return ComparedCells(a=a.attrs["cell"], b=b.attrs["cell"], differences=found)

    return asked([folder], read)


def _names(path: str) -> tuple[str, str]:
    """What a query may call a setting."""
    return path, path.rpartition(".")[2]


def _trials(
    connection: duckdb.DuckDBPyConnection, query: PhaseQuery, cells: Sequence[Cell], axes: Sequence[Axis]
) -> list[pd.DataFrame]:
    if len(cells) > MOST_CELLS:
        raise BadInput(f"cell: {len(cells)} cells are open, at most {MOST_CELLS} stand side by side; close some.")
    table = readings(connection, query, axes)
    if "continuous" in table.attrs and query.bins is None:
        raise BadInput("cell: this diagram has no cells; click a point for its trial, or give bins (bins=12).")
    return [trials_at(table, query, cell.x, cell.y, cell.facet) for cell in cells]
