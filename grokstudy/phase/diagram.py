"""The phase diagram: every statistic of every cell, with the trials themselves, as one labelled data set."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Hashable

import duckdb
import numpy as np
import pandas as pd
import xarray as xr

from grokstudy.phase.axis import AxisCells, axis_cells
from grokstudy.phase.categories import category_names
from grokstudy.phase.query import SHARES, PhaseQuery, readings
from grokstudy.phase.statistics import censored_quantile, wilson_with_undetermined
from grokstudy.spec.outcome import LABELS

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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CellStatistics:
    """What is known of one cell. NaN where it is not defined; all shares have the denominator n."""

    n: int
    """Determined trials: watched until T, generalised before, or diverged."""
    n_undetermined: int
    """Trials stopped before T without having generalised."""
    p_gen: float
    p_gen_low: float
    """Ends of the Wilson interval, wide enough for whatever the undetermined trials would have done."""
    p_gen_high: float
    p_mem: float
    p_confusion: float
    p_memorization: float
    p_inversion: float
    p_grokking: float
    p_comprehension: float
    p_diverged: float
    p_lost: float
    """Generalised, then fell below tau."""
    retention: float
    """Share that kept, among those whose keeping was seen either way."""
    t_mem_median: float
    """Kaplan-Meier medians over all trials of the cell; NaN if more than half did not get there."""
    t_gen_median: float
    log10_delay_ratio: float
    """Median of log10(t_gen / t_mem) over the trials that have both."""
    n_delay_ratio: int
    value: float
    """The value asked for."""
    value_low: float
    """Wilson interval where the value is a share, else NaN."""
    value_high: float
    n_value: int
    """Trials behind the value."""


def phase_diagram(connection: duckdb.DuckDBPyConnection, query: PhaseQuery) -> xr.Dataset:
    """The diagram as a data set over (y, x[, facet]), dimensions named by the axes' leaves.

    Data variables: every field of CellStatistics; `trial_*` over the dimension `trial` (one entry per trial); and,
    where no cell holds a seed twice, `t_gen` and `outcome` with a dimension `seed`. Cells without trials have n = 0
    and NaN.
    `attrs` say study, tau, ratio, budget (T) and where it comes from, rule, at, fix.

    Raises:
        BadInput: see `readings`; also an axis with too many values and no bins.
    """
    return diagram_of(readings(connection, query), query)


def diagram_of(table: pd.DataFrame, query: PhaseQuery) -> xr.Dataset:
    """The diagram of given readings; see `phase_diagram`."""
    axes = [axis_cells(key, table.attrs[key], table[key], _bins(key, query)) for key in _drawn(table)]
    names = _dimension_names([axis.path for axis in axes])
    shape = tuple(len(axis.values) for axis in axes)
    cell = np.ravel_multi_index(tuple(axis.cell_of for axis in axes), shape)
    groups = {int(number): trials for number, trials in table.groupby(cell)}
    cells = [cell_statistics(groups.get(number, table.iloc[:0]), query) for number in range(math.prod(shape))]
    data: dict[Hashable, object] = {
        field.name: (names, np.array([getattr(one, field.name) for one in cells]).reshape(shape))
        for field in dataclasses.fields(CellStatistics)
    }
    data.update({f"trial_{name.removeprefix('trial_')}": ("trial", _plain(table[name])) for name in TRIAL_COLUMNS})
    data.update({f"trial_cell_{key}": ("trial", axis.cell_of) for key, axis in zip(_drawn(table), axes, strict=True)})
    coordinates: dict[Hashable, object] = {
        name: (name, np.array(axis.values, dtype=object if axis.categorical else float), _axis_attrs(axis))
        for name, axis in zip(names, axes, strict=True)
    }
    seeds = np.unique(table["seed"].to_numpy())
    if "seed" not in names and not pd.DataFrame({"cell": cell, "seed": table["seed"]}).duplicated().any():
        coordinates["seed"] = seeds
        where = (cell, np.searchsorted(seeds, table["seed"].to_numpy()))
        data["t_gen"] = ((*names, "seed"), _spread(table["t_gen"], where, shape, seeds, np.nan))
        data["outcome"] = ((*names, "seed"), _spread(table["outcome"], where, shape, seeds, ""))
    dims = dict(zip(_drawn(table), names, strict=True))
    attrs = {
        **table.attrs,
        **{f"{key}_dim": dims.get(key) for key in ("x", "y", "facet")},
        "confidence": query.confidence,
    }
    return xr.Dataset(data, coords=coordinates, attrs=attrs)


def cell_statistics(trials: pd.DataFrame, query: PhaseQuery) -> CellStatistics:
    """Statistics of the trials of one cell (rows of `readings`)."""
    known = trials[trials["determined"]]
    n, undetermined = len(known), len(trials) - len(known)
    generalised = int(known["t_gen"].notna().sum())
    lost, kept = (int((trials["retention"] == name).sum()) for name in ("lost", "kept"))
    t_mem, t_gen = (trials[name].to_numpy(dtype=float) for name in ("t_mem", "t_gen"))
    delays = np.log10(np.maximum(t_gen, 1) / np.maximum(t_mem, 1))
    delays = delays[~np.isnan(delays)]
    low, high = wilson_with_undetermined(generalised, n, undetermined, query.confidence)
    medians = {
        name: _nan(censored_quantile(times, trials["censored_at"].to_numpy(dtype=float)))
        for name, times in (("t_mem", t_mem), ("t_gen", t_gen))
    }
    value, value_low, value_high = _value(trials["value"].dropna().to_numpy(dtype=float), query, undetermined, medians)
    return CellStatistics(
        n=n,
        n_undetermined=undetermined,
        p_gen=_share(generalised, n),
        p_gen_low=low,
        p_gen_high=high,
        p_mem=_share(int(known["t_mem"].notna().sum()), n),
        **{f"p_{name}": _share(int((known["outcome"] == name).sum()), n) for name in LABELS},
        p_lost=_share(lost, n),
        retention=_share(kept, kept + lost),
        t_mem_median=medians["t_mem"],
        t_gen_median=medians["t_gen"],
        log10_delay_ratio=_median(delays),
        n_delay_ratio=len(delays),
        value=value,
        value_low=value_low,
        value_high=value_high,
        n_value=int(trials["value"].notna().sum()),
    )


def _value(
    values: np.ndarray, query: PhaseQuery, undetermined: int, medians: dict[str, float]
) -> tuple[float, float, float]:
    """The cell's value and its interval, from the values of its trials."""
    if query.value in SHARES:
        k, n = int(values.sum()), len(values)
        return (_share(k, n), *wilson_with_undetermined(k, n, undetermined, query.confidence))
    if query.value == "retention":
        k, n = int(values.sum()), len(values)
        return (_share(k, n), *wilson_with_undetermined(k, n, 0, query.confidence))
    if query.value in medians:
        return medians[query.value], math.nan, math.nan
    if category_names(query.value):  # the most frequent; ties go to the first
        return (float(np.bincount(values.astype(int)).argmax()) if len(values) else math.nan), math.nan, math.nan
    return _median(values), math.nan, math.nan


def _drawn(table: pd.DataFrame) -> list[str]:
    return [key for key in ("y", "x", "facet") if table.attrs[key] is not None]


def _bins(key: str, query: PhaseQuery) -> int | None:
    return None if key == "facet" else query.bins


def _dimension_names(paths: list[str]) -> tuple[str, ...]:
    """Leaves of the paths; full paths where leaves are equal or are names of data variables."""
    leaves = [path.rpartition(".")[2] for path in paths]
    taken = {field.name for field in dataclasses.fields(CellStatistics)} | {"t_gen", "outcome", "trial"}
    return tuple(
        path if leaves.count(leaf) > 1 or leaf in taken or (leaf == "seed" and path != "seed") else leaf
        for path, leaf in zip(paths, leaves, strict=True)
    )


def _axis_attrs(axis: AxisCells) -> dict[str, object]:
    return {"path": axis.path, "log": axis.log, "bin_edges": list(axis.bin_edges)}


def _spread(
    column: pd.Series, where: tuple[np.ndarray, np.ndarray], shape: tuple[int, ...], seeds: np.ndarray, empty: object
) -> np.ndarray:
    flat = np.full((math.prod(shape), len(seeds)), empty, dtype=object if empty == "" else float)
    flat[where] = column.to_numpy()
    return flat.reshape(*shape, len(seeds))


def _plain(column: pd.Series) -> np.ndarray:
    plain: np.ndarray = column.to_numpy(dtype=None if pd.api.types.is_numeric_dtype(column) else object)
    return plain


def _share(k: int, n: int) -> float:
    return k / n if n else math.nan


def _median(values: np.ndarray) -> float:
    return float(np.median(values)) if len(values) else math.nan


def _nan(value: float | None) -> float:
    return math.nan if value is None else value
