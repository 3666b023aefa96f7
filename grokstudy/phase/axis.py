"""One axis of a diagram: its cells, where they lie on the page, and which cell each trial belongs to."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from grokstudy.phase.columns import is_numeric, label
from grokstudy.spec.axes import rounded
from grokstudy.spec.errors import BadInput

MOST_CELLS = 50
"""Distinct values of an axis above which it must be binned: cells would be too narrow to see or to hold seeds."""
_LOG_SPAN = 10.0


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class AxisCells:
    """Cells of one axis, in drawing order."""

    path: str
    values: tuple[float | str, ...]
    """Numbers, centres of bins, or text."""
    cell_of: Int[np.ndarray, " trials"]
    """Cell of each trial."""
    bin_edges: tuple[float, ...] = ()
    """Edges of the bins (zero's own cell not counted); empty if the axis is not binned."""

    @property
    def log(self) -> bool:
        return not self.categorical and is_log(np.array(self.bin_edges or self.values, dtype=float))

    @property
    def categorical(self) -> bool:
        return any(isinstance(value, str) for value in self.values)


def axis_cells(key: str, path: str, column: pd.Series, bins: int | None) -> AxisCells:
    """Cells of an axis from the value of every trial.

    Raises:
        BadInput: more than MOST_CELLS distinct values and no bins.
    """
    if not is_numeric(column) or column.isna().any():
        return _categories(key, path, column)
    codes, given = pd.factorize(column.to_numpy(dtype=float))
    short = np.array([rounded(value) for value in given.tolist()], dtype=float)
    distinct, place = np.unique(short, return_inverse=True)
    cell_of = place.astype(np.int64)[codes]
    if bins is not None and len(distinct) > bins:
        return _binned(path, distinct[cell_of], bins)
    if len(distinct) > MOST_CELLS:
        raise BadInput(
            f"{key}: {path} has {len(distinct)} distinct values, more than {MOST_CELLS} cells; "
            "give --bins N (e.g. --bins 12) to draw it in bins."
        )
    return AxisCells(path=path, values=tuple(distinct.tolist()), cell_of=cell_of)


def is_log(values: Float[np.ndarray, " n"]) -> bool:
    """Whether an axis is drawn on a log scale: none negative, positive ones span 10x, and not evenly spaced."""
    positive = np.unique(values[values > 0])
    if (values < 0).any() or len(positive) < 2 or positive[-1] < _LOG_SPAN * positive[0]:
        return False
    steps = np.diff(positive)
    return len(steps) < 2 or not np.allclose(steps, steps[0], rtol=1e-6)


def _categories(key: str, path: str, column: pd.Series) -> AxisCells:
    codes, values = pd.factorize(column.astype(object), use_na_sentinel=False)
    given = list(values)
    order = {label(value): (pd.isna(value), isinstance(value, str), value) for value in given}
    names = sorted(order, key=lambda text: (order[text][0], order[text][1], 0 if order[text][0] else order[text][2]))
    if len(names) > MOST_CELLS:
        raise BadInput(f"{key}: {path} has {len(names)} distinct values, more than {MOST_CELLS}; --fix some of them.")
    place = {name: i for i, name in enumerate(names)}
    return AxisCells(
        path=path,
        values=tuple(names),
        cell_of=np.array([place[label(value)] for value in given], dtype=np.int64)[codes],
    )


def _binned(path: str, numbers: Float[np.ndarray, " trials"], bins: int) -> AxisCells:
    """Equal bins, in the logarithm where the axis is log; a value of 0 keeps a cell of its own there."""
    log = is_log(numbers)
    inside = numbers[numbers > 0] if log else numbers
    low, high = float(inside.min()), float(inside.max())
    edges = np.geomspace(low, high, bins + 1) if log else np.linspace(low, high, bins + 1)
    centres = np.sqrt(edges[1:] * edges[:-1]) if log else (edges[1:] + edges[:-1]) / 2
    cell = np.clip(np.searchsorted(edges, numbers, side="right") - 1, 0, bins - 1)
    values = [rounded(float(centre)) for centre in centres]
    if log and len(inside) < len(numbers):
        values = [0.0, *values]
        cell = np.where(numbers > 0, cell + 1, 0)
    return AxisCells(path=path, values=tuple(values), cell_of=cell, bin_edges=tuple(edges.tolist()))  # type: ignore[arg-type]
