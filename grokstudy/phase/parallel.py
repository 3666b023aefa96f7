"""Parallel coordinates of a study: one line per trial through its varied settings and what came out."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import duckdb
import numpy as np
import pandas as pd
from jaxtyping import Float

from grokstudy.phase import columns, times
from grokstudy.phase.axis import is_log
from grokstudy.phase.categories import category_names
from grokstudy.phase.evenly import evenly
from grokstudy.phase.palette import OUTCOME_COLOURS
from grokstudy.phase.query import PhaseQuery, trial_table, trial_values
from grokstudy.phase.varied import varied_settings
from grokstudy.spec.errors import BadInput, unknown
from grokstudy.spec.outcome import TAU
from grokstudy.tracking.names import short_names

MOST_LINES = 5_000
_MOST_TICKS = 12
_SLOT = 0.12
"""Distance of the slot for "not seen", or for 0 on a log axis, as a share of the axis."""
_RESULTS = ("t_mem", "t_gen", "delay", "outcome")


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class ParallelAxis:
    """One vertical axis: where each trial crosses it."""

    name: str
    positions: Float[np.ndarray, " trials"]
    """Values, their log10 where `log`, or the number of a name."""
    log: bool
    ticks: tuple[tuple[float, str], ...]
    """Positions with their texts; empty for an axis of plain numbers."""
    categories: tuple[str, ...] = ()
    """Names, if positions number them."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class ParallelData:
    """Lines by trial_id, so that a choice here is a choice in the diagram."""

    title: str
    note: str
    trial_ids: tuple[str, ...]
    axes: tuple[ParallelAxis, ...]
    colour: str
    """Name of the axis that colours the lines."""


def parallel_data(
    connection: duckdb.DuckDBPyConnection,
    query: PhaseQuery,
    values: Sequence[str] = (),
    colour: str = "outcome",
    most: int = MOST_LINES,
) -> ParallelData:
    """Every trial that `query.fix` leaves, at its thresholds and T; x, y and facet do not matter.

    Args:
        values: further axes: any value of a diagram (a column, a curve, a measure, a seed).
        colour: `outcome`, `t_gen` or any other of the axes' names.
        most: lines drawn; of more trials this many are taken evenly over the settings.

    Raises:
        BadInput: an unknown name, or no trials.
    """
    names = columns.columns_of(connection, "trials")
    settings = [path for path in varied_settings(connection) if path in columns.config_paths(names)]
    frame = _stored(connection, query, (*settings, *values), names)
    paths = [path for path in settings if frame[path].nunique(dropna=False) > 1]
    budget = times.common_budget(frame, query.budget)
    total = len(frame)
    frame = times.cut(_evenly(frame, paths, most), budget, query.ratio)
    axes = [_setting(name, frame[path]) for name, path in zip(short_names(paths), paths, strict=True)]
    axes += _results(frame, budget.steps)
    for value in values:
        axes.append(_value(value, trial_values(connection, dataclasses.replace(query, value=value), frame, names)))
    if colour not in [axis.name for axis in axes]:
        raise unknown("colour", colour, [axis.name for axis in axes])
    study = ", ".join(sorted(frame["study"].astype(str).unique()))
    taken = f"{len(frame):,} of {total:,} trials, taken evenly over the settings" if len(frame) < total else ""
    return ParallelData(
        title=f"{study}: {total:,} trials",
        note="   ·   ".join(filter(None, [taken, f"T = {budget.steps:,} steps ({budget.source})"])),
        trial_ids=tuple(frame["trial_id"].astype(str)),
        axes=tuple(axes),
        colour=colour,
    )


def _stored(
    connection: duckdb.DuckDBPyConnection, query: PhaseQuery, wanted: Sequence[str], names: Sequence[str]
) -> pd.DataFrame:
    """The trials that `query.fix` leaves, with times at its thresholds; columns by full name or last part."""
    fix = tuple((columns.resolve("fix", column, names), value) for column, value in query.fix)
    read = {*columns.BASE_COLUMNS, *wanted, *(column for column, _ in fix)}
    frame = trial_table(connection, [name for name in names if {name, name.rpartition(".")[2]} & read])
    frame = columns.fixed(frame, fix)
    if frame.empty:
        raise BadInput("The study has no trials yet; run it, or wait for its first pack to finish.")
    if query.tau == TAU and query.rule is None:
        return frame
    again = times.reread(connection, frame["trial_id"], query.tau, query.parsed_rule())
    return frame.drop(columns=list(again.columns)).join(again, on="trial_id")


def _evenly(frame: pd.DataFrame, paths: Sequence[str], most: int) -> pd.DataFrame:
    if len(frame) <= most:
        return frame
    ordered = frame.sort_values(list(paths), key=_sortable, kind="stable") if paths else frame  # else by trial_id
    return ordered.iloc[evenly(len(frame), most)]


def _sortable(column: pd.Series) -> pd.Series:
    return column if columns.is_numeric(column) else column.map(columns.label)


def _setting(name: str, column: pd.Series) -> ParallelAxis:
    if not columns.is_numeric(column) or column.isna().any():
        return _names(name, [columns.label(value) for value in column])
    return _numbers(name, column.to_numpy(dtype=float), unseen="")


def _results(frame: pd.DataFrame, budget: int) -> list[ParallelAxis]:
    """t_mem, t_gen, delay and outcome; what was not seen by T has a tick of its own above."""
    t_mem, t_gen = (frame[name].to_numpy(dtype=float) for name in ("t_mem", "t_gen"))
    delay = times.delay_ratio(t_mem, t_gen)
    order = [name for name in OUTCOME_COLOURS if (frame["outcome"] == name).any()]
    return [
        _times("t_mem", t_mem, f"not by {budget:,}"),
        _times("t_gen", t_gen, f"not by {budget:,}"),
        _times("delay", delay, "not seen"),
        _names("outcome", frame["outcome"].tolist(), order),
    ]


def _value(name: str, read: pd.Series) -> ParallelAxis:
    numbers = read.to_numpy(dtype=float)
    if category_names(name) and np.isfinite(numbers).all():
        return _names(name, [category_names(name)[int(number)] for number in numbers], category_names(name))
    return _numbers(name, numbers, unseen="none")


def _names(name: str, texts: Sequence[str], order: Sequence[str] = ()) -> ParallelAxis:
    known = list(order) or sorted(set(texts), key=_by_number)
    place = {text: float(i) for i, text in enumerate(known)}
    every = range(0, len(known), -(-len(known) // 20))
    return ParallelAxis(
        name=name,
        positions=np.array([place[text] for text in texts]),
        log=False,
        ticks=tuple((float(i), known[i]) for i in every),
        categories=tuple(known),
    )


def _by_number(text: str) -> tuple[float, str]:
    try:
        return float(text), text
    except ValueError:
        return np.inf, text


def _times(name: str, steps: Float[np.ndarray, " trials"], unseen: str) -> ParallelAxis:
    logs = np.log10(np.maximum(steps, 1))
    seen = logs[np.isfinite(logs)]
    low, high = (float(seen.min()), float(seen.max())) if len(seen) else (0.0, 1.0)
    slot = high + max(high - low, 0.5) * _SLOT
    ticks = _powers(low, high)
    if len(seen) < len(logs):
        ticks = (*ticks, (slot, unseen))
    return ParallelAxis(name=name, positions=np.where(np.isfinite(logs), logs, slot), log=True, ticks=ticks)


def _numbers(name: str, numbers: Float[np.ndarray, " trials"], unseen: str) -> ParallelAxis:
    """Numbers, in the logarithm where their values are spread so; 0 and what is missing get slots below."""
    known = numbers[np.isfinite(numbers)]
    log = is_log(known)
    inside = known[known > 0] if log else known
    places = np.log10(np.where(numbers > 0, numbers, np.nan)) if log else numbers.copy()
    ends = np.log10(inside) if log else inside
    low, high = (float(ends.min()), float(ends.max())) if len(ends) else (0.0, 1.0)
    gap = (high - low or 1.0) * _SLOT
    levels = np.unique(inside)
    ticks: tuple[tuple[float, str], ...] = ()
    if len(levels) <= _MOST_TICKS:
        ticks = tuple((float(np.log10(level) if log else level), f"{level:.3g}") for level in levels)
    elif log:
        ticks = _powers(low, high)
    if log and (known == 0).any():
        places[numbers == 0] = low - gap
        ticks = ((low - gap, "0"), *ticks)
    if len(known) < len(numbers):
        places[~np.isfinite(numbers)] = low - 2 * gap
        ticks = ((low - 2 * gap, unseen), *(ticks or ((low, f"{low:.3g}"), (high, f"{high:.3g}"))))
    return ParallelAxis(name=name, positions=places, log=log, ticks=ticks)


def _powers(low: float, high: float) -> tuple[tuple[float, str], ...]:
    """Powers of ten between two logarithms; their ends where no two powers are."""
    whole = [float(power) for power in range(int(np.ceil(low - 1e-9)), int(np.floor(high + 1e-9)) + 1)]
    places = whole if len(whole) > 1 else sorted({low, high, *whole})
    return tuple((place, f"{10**place:,.4g}") for place in places)
