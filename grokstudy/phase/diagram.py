"""The phase diagram: every statistic of every cell, with the trials themselves, as one labelled data set."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable, Sequence

import duckdb
import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Int

from grokstudy.phase.axis import AxisCells, axis_cells
from grokstudy.phase.cell_statistics import CellStatistics, cell_statistics
from grokstudy.phase.dimensions import dimension_names
from grokstudy.phase.posterior import posterior_diagram
from grokstudy.phase.proposals import CHOSEN, is_adaptive, proposals
from grokstudy.phase.query import PhaseQuery, readings
from grokstudy.spec.axes import Axis
from grokstudy.spec.outcome import RATIO

TRIAL_COLUMNS: tuple[str, ...] = (
    "trial_id",
    "x",
    "y",
    "facet",
    "seed",
    "t_mem",
    "t_gen",
    "retention",
    "outcome",
    "censored_at",
    "determined",
    "value",
)
_TAKEN = {field.name for field in dataclasses.fields(CellStatistics)} | {"t_gen", "outcome", "trial"}
"""Names of variables, which no dimension may have."""


def phase_diagram(
    connection: duckdb.DuckDBPyConnection,
    query: PhaseQuery,
    axes_of_study: Sequence[Axis] = (),
    ratio_of_study: float = RATIO,
) -> xr.Dataset:
    """The diagram as a data set over (y, x[, facet]), dimensions named by the axes' leaves.

    Data variables: every field of CellStatistics; `trial_*` over the dimension `trial` (one entry per trial); and,
    where no cell holds a seed twice, `t_gen` and `outcome` with a dimension `seed`. Cells without trials have n = 0
    and NaN.
    `attrs` say study, tau, ratio, budget (T) and where it comes from, rule, at, fix.

    An axis without cells (an interval of the study, or more numbers than there is room for) makes it a posterior on a
    lattice, unless `bins` are asked for: see `posterior_diagram`.

    Args:
        connection: has the views of the studies.
        query: what is asked.
        axes_of_study: which of them are intervals; without, an axis of many numbers counts as one.
        ratio_of_study: R that an adaptive sampler predicted outcomes with.

    Raises:
        BadInput: see `readings` and `posterior_diagram`; also an axis with too many names.
    """
    table = readings(connection, query, axes_of_study)
    if query.bins is None and "continuous" in table.attrs:
        return posterior_diagram(table, query, axes_of_study, proposals(connection), ratio_of_study)
    diagram = diagram_of(table, query)
    diagram.attrs["boundary"] = query.boundary
    if is_adaptive(proposals(connection)):
        diagram.attrs["caution"] = CHOSEN
    return diagram


def diagram_of(table: pd.DataFrame, query: PhaseQuery) -> xr.Dataset:
    """The diagram of given readings; see `phase_diagram`."""
    axes = [axis_cells(key, table.attrs[key], table[key], _bins(key, query)) for key in _drawn(table)]
    names = dimension_names([axis.path for axis in axes], _TAKEN)
    shape = tuple(len(axis.values) for axis in axes)
    cell = np.ravel_multi_index(tuple(axis.cell_of for axis in axes), shape)
    statistics = cell_statistics(table, cell, math.prod(shape), query)
    data: dict[Hashable, object] = {
        field.name: (names, getattr(statistics, field.name).reshape(shape))
        for field in dataclasses.fields(CellStatistics)
    }
    data.update(
        {f"trial_{name.removeprefix('trial_')}": _stored("trial", _plain(table[name])) for name in TRIAL_COLUMNS}
    )
    data.update({f"trial_cell_{key}": ("trial", axis.cell_of) for key, axis in zip(_drawn(table), axes, strict=True)})
    coordinates: dict[Hashable, object] = {
        name: (name, np.array(axis.values, dtype=object if axis.categorical else float), _axis_attrs(axis))
        for name, axis in zip(names, axes, strict=True)
    }
    column, seeds = pd.factorize(table["seed"].to_numpy(), sort=True)
    place = cell * len(seeds) + column
    if "seed" not in names and _all_differ(place):
        coordinates["seed"] = seeds
        block = (*shape, len(seeds))
        data["t_gen"] = ((*names, "seed"), _spread(_plain(table["t_gen"]), place, block, np.nan))
        data["outcome"] = _stored((*names, "seed"), _spread(_plain(table["outcome"]), place, block, ""))
    dims = dict(zip(_drawn(table), names, strict=True))
    attrs = {
        **{name: value for name, value in table.attrs.items() if name not in ("continuous", "slices")},
        **{f"{key}_dim": dims.get(key) for key in ("x", "y", "facet")},
        "confidence": query.confidence,
    }
    return xr.Dataset(data, coords=coordinates, attrs=attrs)


def _drawn(table: pd.DataFrame) -> list[str]:
    return [key for key in ("y", "x", "facet") if table.attrs[key] is not None]


def _bins(key: str, query: PhaseQuery) -> int | None:
    return None if key == "facet" else query.bins


def _axis_attrs(axis: AxisCells) -> dict[str, object]:
    return {"path": axis.path, "log": axis.log, "bin_edges": list(axis.bin_edges)}


def _spread(values: np.ndarray, place: Int[np.ndarray, " trials"], shape: tuple[int, ...], empty: object) -> np.ndarray:
    """The values at their places in an array that is otherwise empty."""
    flat = np.full(math.prod(shape), empty, dtype=values.dtype)
    flat[place] = values
    return flat.reshape(shape)


def _all_differ(numbers: Int[np.ndarray, " n"]) -> bool:
    ranked = np.sort(numbers)
    return bool((ranked[1:] != ranked[:-1]).all())


def _stored(dims: str | tuple[str, ...], values: np.ndarray) -> xr.Variable:
    """A variable of these values as they are; xarray would look into each word of them whether it is a date."""
    return xr.Variable(dims, values, fastpath=True)


def _plain(column: pd.Series) -> np.ndarray:
    plain: np.ndarray = column.to_numpy(dtype=None if pd.api.types.is_numeric_dtype(column) else object)
    return plain
