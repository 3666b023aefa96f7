"""One cell of a phase diagram: the trials in it, as they stood at the diagram's T and thresholds."""

from __future__ import annotations

import duckdb
import numpy as np
import pandas as pd
from jaxtyping import Bool

from grokstudy.phase.axis import AxisCells, axis_cells
from grokstudy.phase.columns import label
from grokstudy.phase.query import PhaseQuery, readings
from grokstudy.spec.axes import Value
from grokstudy.spec.errors import BadInput, nearest
from grokstudy.store.counting import literal

_EQUAL = 1e-9
"""Relative distance up to which a number means a level: an address may carry it in any notation."""


def cell_trials(
    connection: duckdb.DuckDBPyConnection, query: PhaseQuery, x: Value, y: Value = None, facet: Value = None
) -> pd.DataFrame:
    """The trials of the cell at (x, y, facet) of the diagram that `query` asks for: its rows of `readings`.

    A level is a value that the diagram shows, as a number or as text; on a binned axis, any number inside the bin.
    A cell between levels that exist may be empty. `attrs["cell"]` says which cell it is.

    Raises:
        BadInput: as `readings`; a level that the diagram does not have (the message names the nearest one); or a
            level missing, or given for an axis that is not drawn.
    """
    return trials_at(readings(connection, query), query, x, y, facet)


def trials_at(table: pd.DataFrame, query: PhaseQuery, x: Value, y: Value = None, facet: Value = None) -> pd.DataFrame:
    """The same from readings that are already there."""
    inside = np.ones(len(table), dtype=bool)
    words: list[str] = []
    for key, level in (("x", x), ("y", y), ("facet", facet)):
        path = table.attrs[key]
        if path is None:
            if level is not None:
                raise BadInput(f"cell: got {key} = {label(level)}, but the diagram has no {key}; leave it out.")
            continue
        axis = axis_cells(key, path, table[key], None if key == "facet" else query.bins)
        number = _level(key, axis, level)
        inside &= axis.cell_of == number
        words.append(f"{path.rpartition('.')[2]} = {_words(axis, number)}")
    trials = table[inside].reset_index(drop=True)
    trials.attrs = {**table.attrs, "cell": ", ".join(words)}
    return trials


def one_of(trial_ids: pd.Series) -> str:
    """SQL that holds for rows of these trials.

    Constants reach the scan of a view through the choice of rows that count; a join would not, and would read every
    curve of the study (measured: .3 s against 13 s for 50 trials of 100,000).
    """
    return f"trial_id IN ({', '.join(literal(str(one)) for one in trial_ids)})" if len(trial_ids) else "false"


def _level(key: str, axis: AxisCells, given: Value) -> int:
    """Number of the cell that `given` means on this axis."""
    if axis.categorical:
        names = [str(value) for value in axis.values]
        if label(given) in names:
            return names.index(label(given))
        raise BadInput(f"cell: {axis.path} has no '{label(given)}'{nearest(label(given), names)} {_allowed(names)}")
    levels = np.array(axis.values, dtype=float)
    wanted = _number(key, axis, given)
    equal = np.isclose(levels, wanted, rtol=_EQUAL, atol=0.0)
    if equal.any():
        return int(equal.argmax())
    inside = _in_bin(axis, wanted)
    if inside.any():
        return int(inside.argmax())
    near = float(levels[np.abs(levels - wanted).argmin()])
    raise BadInput(f"cell: {axis.path} has no level {label(given)}; the nearest is {near!r}.")


def _number(key: str, axis: AxisCells, given: Value) -> float:
    try:
        return float("nan" if given is None else given)
    except ValueError:
        shown = [label(value) for value in axis.values]
        raise BadInput(
            f"cell: got {key} = '{given}', but {axis.path} is a number{nearest(str(given), shown)} {_allowed(shown)}"
        ) from None


def _in_bin(axis: AxisCells, wanted: float) -> Bool[np.ndarray, " cells"]:
    """Which bin holds the number; none if the axis is not binned. Zero's own cell comes first and is no bin."""
    cells = np.zeros(len(axis.values), dtype=bool)
    edges = np.array(axis.bin_edges)
    if len(edges) and edges[0] <= wanted <= edges[-1]:
        own = len(axis.values) - (len(edges) - 1)
        cells[own + min(int(np.searchsorted(edges, wanted, side="right")) - 1, len(edges) - 2)] = True
    return cells


def _words(axis: AxisCells, number: int) -> str:
    own = len(axis.values) - (len(axis.bin_edges) - 1)
    if axis.bin_edges and number >= own:
        return f"{axis.bin_edges[number - own]:.3g} to {axis.bin_edges[number - own + 1]:.3g}"
    return label(axis.values[number])


def _allowed(names: list[str]) -> str:
    return f"Its levels: {', '.join(names[:12])}{', ...' if len(names) > 12 else ''}."
