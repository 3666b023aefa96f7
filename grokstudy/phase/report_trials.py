"""The trials of a report: every setting and, at one common T, what became of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import duckdb
import numpy as np
import pandas as pd
from jaxtyping import Int

from grokstudy.phase.axis import axis_cells
from grokstudy.phase.columns import columns_of, config_paths, is_numeric, label
from grokstudy.phase.query import trial_table
from grokstudy.phase.times import CommonBudget, common_budget, cut
from grokstudy.spec.axes import Value
from grokstudy.spec.errors import BadInput
from grokstudy.spec.outcome import RATIO

MOST_LEVELS = 12
"""Values of an axis above which the trials of a table are counted in bins."""
_BINS = 6


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class ReportTrials:
    """All trials of a study."""

    table: pd.DataFrame
    """A row per trial: its columns and settings; times, retention, outcome, censored_at, determined as they stood at T
    (default tau and R)."""
    budget: CommonBudget
    """T and where it comes from."""
    varied: tuple[str, ...]
    """Settings with more than one value among the trials, the study's axes first."""

    def levels(self, path: str) -> tuple[Value, ...]:
        """The values of a setting, in the order of an axis."""
        column = self.table[path].drop_duplicates()
        if is_numeric(column):
            return tuple(column.sort_values().tolist())
        return tuple(sorted(column.tolist(), key=lambda value: (pd.isna(value), str(value))))


def report_trials(connection: duckdb.DuckDBPyConnection, axes: Sequence[str]) -> ReportTrials | None:
    """The trials of a study whose axes these are; None if there are none yet."""
    names = columns_of(connection, "trials")
    table = trial_table(connection, names)
    if table.empty:
        return None
    budget = common_budget(table, None)
    paths = config_paths(names)
    several = [path for path in paths if table[path].nunique(dropna=False) > 1]
    ordered = [*(path for path in axes if path in several), *(path for path in several if path not in axes)]
    read = cut(table, budget, RATIO)
    read = read.assign(**{name: read[name].astype(str) for name in ("outcome", "retention")})
    return ReportTrials(table=read, budget=budget, varied=tuple(ordered))


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Grouping:
    """Trials sorted into cells by some settings."""

    names: tuple[tuple[str, ...], ...]
    """The text of every setting, per cell; cells in the order of the axes."""
    cell_of: Int[np.ndarray, " trials"]
    binned: tuple[str, ...]
    """Settings whose values were gathered in bins; their text is a bin's middle."""


def grouped(trials: ReportTrials, paths: Sequence[str]) -> Grouping:
    """The cells that have a trial, by these settings; a number with many values is gathered in bins."""
    columns = [_codes(path, trials.table[path]) for path in paths]
    keys = np.stack([codes for codes, _, _ in columns], axis=1) if columns else np.zeros((len(trials.table), 0), int)
    cells, cell_of = np.unique(keys, axis=0, return_inverse=True)
    names = tuple(tuple(columns[i][1][code] for i, code in enumerate(cell)) for cell in cells.tolist())
    binned = tuple(path for path, (_, _, binned) in zip(paths, columns, strict=True) if binned)
    return Grouping(names=names or ((),), cell_of=cell_of.reshape(-1), binned=binned)


def _codes(path: str, column: pd.Series) -> tuple[Int[np.ndarray, " trials"], tuple[str, ...], bool]:
    """Number and text of every trial's cell along one setting, and whether these are bins."""
    many = is_numeric(column) and column.notna().all() and column.nunique() > MOST_LEVELS
    try:
        cells = axis_cells("axis", path, column, _BINS if many else None)
    except BadInput:  # more names than a diagram has room for; a list may be long
        texts = [label(value) for value in column]
        names = sorted(set(texts))
        place = {name: number for number, name in enumerate(names)}
        return np.array([place[text] for text in texts], dtype=np.int64), tuple(names), False
    words = tuple(f"≈{value:.3g}" if many and not isinstance(value, str) else label(value) for value in cells.values)
    return np.asarray(cells.cell_of, dtype=np.int64), words, many
