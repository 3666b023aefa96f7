"""Two studies, or the levels of one axis of a study, compared trial by trial at equal seeds and settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Int

from grokstudy.phase import columns, times
from grokstudy.phase.compare_sides import (
    TIMES,
    CompareQuery,
    Side,
    known_values,
    logarithms,
    spans_decades,
    stated_place,
    trials_of,
)
from grokstudy.phase.paired import (
    Known,
    PairedEffect,
    difference,
    median,
    median_interval,
    medians_by,
    paired_effect,
)
from grokstudy.phase.pairing import SEEDS, Difference, Pairing, pair_trials
from grokstudy.spec.errors import BadInput

MOST_STRIPS = 24
"""Cells that a figure and a table show beside each other."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Strip:
    """The pairs of one cell."""

    settings: tuple[tuple[str, str], ...]
    """Setting and value, as text; empty if nothing varies."""
    trials: tuple[tuple[str, str], ...]
    """trial_id of both sides of every pair."""
    seeds: tuple[int, ...]
    a: Known
    """Values; logarithms if the effect is a ratio."""
    b: Known
    effect: PairedEffect


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SeedEffect:
    """The median over seeds of each seed's median effect over the cells. Pairs of one seed depend on each other, seeds
    do not."""

    seeds: int
    median_low: float
    median_high: float
    low: float
    high: float
    confidence: float


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Comparison:
    """How side b differs from side a, the baseline."""

    a: str
    b: str
    query: CompareQuery
    budget: times.CommonBudget
    is_ratio: bool
    """Effects are ratios b / a (stored as logarithms), else differences b - a."""
    differences: tuple[Difference, ...]
    unpaired_a: int
    unpaired_b: int
    strips: tuple[Strip, ...]
    over_seeds: SeedEffect | None
    """Over all cells; None with one cell."""

    @property
    def name(self) -> str:
        return f"{self.b} / {self.a}" if self.is_ratio else f"{self.b} - {self.a}"


def compare(sides: Sequence[Side], query: CompareQuery) -> tuple[Comparison, ...]:
    """Every other side against the first one, all at one common T.

    Raises:
        BadInput: an unknown name, a value that needs a stated place, a setting that varies and is neither shown nor
            fixed, or sides without a pair of trials.
    """
    tables = [trials_of(side, query) for side in sides]
    together = pd.concat(tables, ignore_index=True)
    budget = times.common_budget(together, query.budget)
    tables = [times.cut(table, budget, query.ratio) for table in tables]
    asked = query.reading(stated_place(query, together, sides[0].connection))
    values = [known_values(side, table, asked, budget) for side, table in zip(sides, tables, strict=True)]
    numbers = np.concatenate([ends for known in values for ends in (known.low, known.high)])
    is_ratio = query.value in TIMES or spans_decades(query.value, numbers[np.isfinite(numbers)])
    if is_ratio and query.value not in TIMES:
        values = [Known(logarithms(known.low), logarithms(known.high)) for known in values]
    return tuple(
        _comparison(sides[0], side, (tables[0], table), (values[0], known), query, budget, is_ratio)
        for side, table, known in zip(sides[1:], tables[1:], values[1:], strict=True)
    )


def _comparison(
    first: Side,
    second: Side,
    tables: tuple[pd.DataFrame, pd.DataFrame],
    values: tuple[Known, Known],
    query: CompareQuery,
    budget: times.CommonBudget,
    is_ratio: bool,
) -> Comparison:
    pairing = pair_trials(*tables, (first.name, second.name))
    strips = _strips(pairing, tables, values, query)
    return Comparison(
        a=first.name,
        b=second.name,
        query=query,
        budget=budget,
        is_ratio=is_ratio,
        differences=pairing.differences,
        unpaired_a=pairing.unpaired_a,
        unpaired_b=pairing.unpaired_b,
        strips=strips,
        over_seeds=_over_seeds(pairing, tables[0], values, query) if len(strips) > 1 else None,
    )


def _over_seeds(pairing: Pairing, trials: pd.DataFrame, values: tuple[Known, Known], query: CompareQuery) -> SeedEffect:
    change = difference(values[0].at(pairing.rows_a), values[1].at(pairing.rows_b))
    medians = medians_by(change, trials.iloc[pairing.rows_a].groupby(list(SEEDS)).ngroup().to_numpy())
    low, high, reached = median_interval(medians, query.confidence)
    return SeedEffect(
        seeds=len(medians.low),
        median_low=median(medians.low),
        median_high=median(medians.high),
        low=low,
        high=high,
        confidence=reached,
    )


def _strips(
    pairing: Pairing, tables: tuple[pd.DataFrame, pd.DataFrame], values: tuple[Known, Known], query: CompareQuery
) -> tuple[Strip, ...]:
    paired = tables[0].iloc[pairing.rows_a]
    shown = _shown_settings(paired, pairing.varied, query)
    cell = paired.groupby(list(shown), dropna=False, sort=True).ngroup().to_numpy() if shown else np.zeros(len(paired))
    numbers = np.unique(cell)
    if len(numbers) > MOST_STRIPS:
        raise BadInput(
            f"by: {len(numbers)} cells ({' x '.join(shown)}) are more than {MOST_STRIPS} strips; --fix some settings, "
            f"e.g. --fix {shown[0]}={columns.label(paired[shown[0]].iloc[0])}."
        )
    return tuple(_strip(np.flatnonzero(cell == number), shown, pairing, tables, values, query) for number in numbers)


def _strip(
    pairs: Int[np.ndarray, " pairs"],
    shown: Sequence[str],
    pairing: Pairing,
    tables: tuple[pd.DataFrame, pd.DataFrame],
    values: tuple[Known, Known],
    query: CompareQuery,
) -> Strip:
    trials_a, trials_b = tables[0].iloc[pairing.rows_a[pairs]], tables[1].iloc[pairing.rows_b[pairs]]
    a, b = values[0].at(pairing.rows_a[pairs]), values[1].at(pairing.rows_b[pairs])
    return Strip(
        settings=tuple((path, columns.label(trials_a[path].iloc[0])) for path in shown),
        trials=tuple(zip(trials_a["trial_id"], trials_b["trial_id"], strict=True)),
        seeds=tuple(int(seed) for seed in trials_a["seed"]),
        a=a,
        b=b,
        effect=paired_effect(a, b, query.confidence),
    )


def _shown_settings(paired: pd.DataFrame, varied: Sequence[str], query: CompareQuery) -> tuple[str, ...]:
    """The settings that strips are made of: those asked for, if that averages over nothing; else all that vary."""
    if not query.by:
        return tuple(varied)
    shown = tuple(columns.resolve("by", name, tuple(paired.columns)) for name in query.by)
    loose = [path for path in varied if path not in shown and paired.groupby(list(shown))[path].nunique().max() > 1]
    if loose:
        told = "; ".join(f"{path} = {columns.shown(paired[path])}" for path in loose)
        remedy = " ".join(f"--fix {path}={columns.label(paired[path].iloc[0])}" for path in loose)
        raise BadInput(
            f"These settings vary from pair to pair but are neither shown nor fixed: {told}. Fix each ({remedy}), add "
            "it with a further --by, or leave --by out to see every cell."
        )
    return shown
