"""What is known of every cell of a diagram, from the readings of its trials."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
from jaxtyping import Int

from grokstudy.phase.categories import category_names
from grokstudy.phase.query import SHARES, PhaseQuery
from grokstudy.phase.statistics import Counts, PerCell, censored_quantiles, counts, medians, shares, widened_intervals
from grokstudy.phase.times import UNDETERMINED, delay_ratio
from grokstudy.spec.outcome import LABELS


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class CellStatistics:
    """One entry per cell. NaN where it is not defined; all shares have the denominator n."""

    n: Counts
    """Determined trials: watched until T, generalised before, or diverged."""
    n_undetermined: Counts
    """Trials stopped before T without having generalised."""
    p_gen: PerCell
    p_gen_low: PerCell
    """Ends of the Wilson interval, wide enough for whatever the undetermined trials would have done."""
    p_gen_high: PerCell
    p_mem: PerCell
    p_confusion: PerCell
    p_memorization: PerCell
    p_inversion: PerCell
    p_grokking: PerCell
    p_comprehension: PerCell
    p_diverged: PerCell
    p_lost: PerCell
    """Generalised, then fell below tau."""
    retention: PerCell
    """Share that kept, among those whose keeping was seen either way."""
    t_mem_median: PerCell
    """Kaplan-Meier medians over all trials of the cell; NaN if more than half did not get there."""
    t_gen_median: PerCell
    log10_delay_ratio: PerCell
    """Median of log10(t_gen / t_mem) over the trials that have both."""
    n_delay_ratio: Counts
    value: PerCell
    """The value asked for."""
    value_low: PerCell
    """Wilson interval where the value is a share, else NaN."""
    value_high: PerCell
    n_value: Counts
    """Trials behind the value."""


def cell_statistics(
    table: pd.DataFrame, cell: Int[np.ndarray, " trials"], cells: int, query: PhaseQuery
) -> CellStatistics:
    """Statistics of all cells, from rows of `readings` and the number of the cell of each."""
    t_mem, t_gen, until = (table[name].to_numpy(dtype=float) for name in ("t_mem", "t_gen", "censored_at"))
    with_label, kept_or_lost = (_counts_by_label(table[name], cell, cells) for name in ("outcome", "retention"))
    undetermined, lost, kept = with_label[UNDETERMINED], kept_or_lost["lost"], kept_or_lost["kept"]
    n = sum((with_label[name] for name in LABELS), start=np.zeros_like(undetermined))
    both = with_label["grokking"] + with_label["comprehension"]
    memorised, generalised = both + with_label["memorization"], both + with_label["inversion"]
    low, high = widened_intervals(generalised, n, undetermined, query.confidence)
    delays = np.log10(delay_ratio(t_mem, t_gen))
    times = {name: censored_quantiles(seen, until, cell, cells) for name, seen in (("t_mem", t_mem), ("t_gen", t_gen))}
    values = table["value"].to_numpy(dtype=float)
    value, value_low, value_high = _value(values, cell, cells, query, undetermined, times)
    return CellStatistics(
        n=n,
        n_undetermined=undetermined,
        p_gen=shares(generalised, n),
        p_gen_low=low,
        p_gen_high=high,
        p_mem=shares(memorised, n),
        **{f"p_{name}": shares(with_label[name], n) for name in LABELS},
        p_lost=shares(lost, n),
        retention=shares(kept, kept + lost),
        t_mem_median=times["t_mem"],
        t_gen_median=times["t_gen"],
        log10_delay_ratio=medians(delays, cell, cells),
        n_delay_ratio=both,
        value=value,
        value_low=value_low,
        value_high=value_high,
        n_value=counts(~np.isnan(values), cell, cells),
    )


def _counts_by_label(labels: pd.Series, cell: Int[np.ndarray, " trials"], cells: int) -> dict[str, Counts]:
    """How many trials of every cell have each label, from a categorical column without missing ones."""
    names = tuple(labels.cat.categories)
    table = _table(labels.cat.codes.to_numpy(), cell, cells, len(names))
    return {name: table[:, code] for code, name in enumerate(names)}


def _value(
    values: np.ndarray,
    cell: Int[np.ndarray, " trials"],
    cells: int,
    query: PhaseQuery,
    undetermined: Counts,
    times: dict[str, PerCell],
) -> tuple[PerCell, PerCell, PerCell]:
    """Every cell's value and its interval, from the values of its trials."""
    nothing = np.full(cells, np.nan)
    known = ~np.isnan(values)
    if query.value in SHARES or query.value == "retention":  # every trial says yes or no
        k, n = counts(known & (values == 1), cell, cells), counts(known, cell, cells)
        open_ = undetermined if query.value in SHARES else np.zeros_like(n)
        return shares(k, n), *widened_intervals(k, n, open_, query.confidence)
    if query.value in times:
        return times[query.value], nothing, nothing
    if names := category_names(query.value):
        return _most_frequent(values[known].astype(np.int64), cell[known], cells, len(names)), nothing, nothing
    return medians(values, cell, cells), nothing, nothing


def _most_frequent(
    category: Int[np.ndarray, " known"], cell: Int[np.ndarray, " known"], cells: int, categories: int
) -> PerCell:
    """Ties go to the first; NaN without any."""
    table = _table(category, cell, cells, categories)
    return np.where(table.any(axis=1), table.argmax(axis=1), np.nan)


def _table(
    category: Int[np.ndarray, " known"], cell: Int[np.ndarray, " known"], cells: int, categories: int
) -> Int[np.ndarray, "cells categories"]:
    """How often each category occurs in each cell."""
    return np.bincount(cell * categories + category, minlength=cells * categories).reshape(cells, categories)
