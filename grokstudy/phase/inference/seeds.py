"""Which seed it is: the variance of a number over crossed seeds, attributed to split, start, batches and noise."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import duckdb
import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from grokstudy.phase import columns
from grokstudy.phase.inference.query import FitQuery
from grokstudy.phase.inference.read_cut import value_table
from grokstudy.phase.inference.result import FitFigure, Panel, Points
from grokstudy.phase.inference.trials import trial_columns
from grokstudy.phase.inference.two_way import Component, components
from grokstudy.phase.inference.words import fixed_words
from grokstudy.spec.errors import BadInput

FACTORS = ("seed_data", "seed_init", "seed_batch", "seed_noise")
CROSS = "'seeds.data=seeds(6)' 'seeds.init=seeds(6)'"


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class SeedVariance:
    """Components of variance of one number over two crossed seeds."""

    factors: tuple[str, str]
    value: Float[np.ndarray, "a b r"]
    levels: tuple[Int[np.ndarray, " a"], Int[np.ndarray, " b"]]
    parts: tuple[Component, ...]
    value_name: str
    note: str
    confidence: float

    def table(self) -> pd.DataFrame:
        whole = sum(part.variance for part in self.parts)
        return pd.DataFrame(
            {
                "name": [part.name for part in self.parts],
                "estimate": [part.variance**0.5 for part in self.parts],
                "low": [part.low**0.5 for part in self.parts],
                "high": [part.high**0.5 for part in self.parts],
                "share": [part.variance / whole for part in self.parts],
                "degrees": [part.degrees for part in self.parts],
            }
        )

    def sentences(self) -> tuple[str, ...]:
        whole = sum(part.variance for part in self.parts)
        told = [
            f"{part.name} {part.variance**0.5:.3g} [{part.low**0.5:.3g}, {part.high**0.5:.3g}] "
            f"({part.variance / whole:.0%} of the variance)"
            for part in self.parts
        ]
        a, b, r = self.value.shape
        return (
            f"Standard deviation of {self.value_name} by seed: {'; '.join(told)}.",
            f"Two-way random effects over {a} x {b} crossed seeds with {r} trial{'s' if r > 1 else ''} each; "
            f"{self.confidence:.0%} intervals assume normal effects, and are wide because levels are few, not trials.",
            "A part whose interval begins at 0 may be absent. Seeds are those of one cell: nothing is said of others.",
            *([f"{self.note}."] if self.note else []),
        )

    def figure(self) -> FitFigure:
        panels = []
        for axis, (factor, levels) in enumerate(zip(self.factors, self.levels, strict=True)):
            values = np.moveaxis(self.value, axis, 0).reshape(len(levels), -1)
            order = np.argsort(values.mean(axis=1))
            rank = np.arange(len(levels), dtype=float)
            every = Points(x=np.repeat(rank, values.shape[1]), y=values[order].ravel(), name="trials")
            means = Points(x=rank, y=values[order].mean(axis=1), name="mean", series=1)
            ticks = tuple((float(i), str(levels[k])) for i, k in enumerate(order.tolist()))
            panels.append(
                Panel(
                    x_label=f"seeds.{factor}, by rising mean",
                    y_label=self.value_name,
                    x_ticks=ticks,
                    points=(every, means) if axis == 0 else (_unnamed(every), _unnamed(means)),
                )
            )
        return FitFigure(title="which seed is it?", note=self.note, panels=tuple(panels))


def crossed(
    value: Float[np.ndarray, " trials"], first: Int[np.ndarray, " trials"], second: Int[np.ndarray, " trials"]
) -> Float[np.ndarray, "a b r"]:
    """The values as a table of first seed x second seed x trials of the pair.

    Raises:
        BadInput: the seeds are not crossed, or pairs have different numbers of trials.
    """
    rows, row = np.unique(first, return_inverse=True)
    cols, col = np.unique(second, return_inverse=True)
    count = np.bincount(row * len(cols) + col, minlength=len(rows) * len(cols))
    if count.min() == 0 or count.min() < count.max():
        pairs, trials = int((count > 0).sum()), sorted(set(count[count > 0].tolist()))
        raise BadInput(
            f"seeds: {len(rows)} x {len(cols)} seeds need as many trials for every pair, got {pairs} of {len(count)} "
            f"pairs with {' or '.join(map(str, trials))}. Cross them: {CROSS} (with seed fixed)."
        )
    order = np.argsort(row * len(cols) + col, kind="stable")
    return np.asarray(value[order].reshape(len(rows), len(cols), -1))


def seed_variance(
    value: Float[np.ndarray, " trials"],
    seeds: Mapping[str, Int[np.ndarray, " trials"]],
    *,
    value_name: str = "m",
    note: str = "",
    confidence: float = 0.95,
) -> SeedVariance:
    """Components of variance over the first two of the seeds that vary; a third one makes replicates of a pair.

    Args:
        value: one number per trial, of one cell.
        seeds: of each trial, by the name of the stream (data, init, batch, noise).

    Raises:
        BadInput: all values are equal, fewer than two seeds vary, they are not crossed, or there are too few of one.
    """
    if np.ptp(value) == 0:
        raise BadInput(
            f"value: {value_name} is {value[0]:g} in all {len(value)} trials, so there is no variance to attribute; "
            "give another --value, or another T (--budget)."
        )
    varied = [name for name, own in seeds.items() if len(np.unique(own)) > 1]
    if len(varied) < 2:
        raise BadInput(
            f"seeds: {', '.join(varied) or 'none'} of {', '.join(seeds)} varies here; an attribution needs two that "
            f"vary independently. Cross them: {CROSS} (with seed fixed)."
        )
    first, second = varied[:2]
    table = crossed(value, seeds[first], seeds[second])
    return SeedVariance(
        factors=(first, second),
        value=table,
        levels=(np.unique(seeds[first]), np.unique(seeds[second])),
        parts=components(table, (first, second), confidence),
        value_name=value_name,
        note=note,
        confidence=confidence,
    )


def fit_study(connection: duckdb.DuckDBPyConnection, query: FitQuery) -> SeedVariance:
    """Which seeds move log10 of a time, or another value, in one cell of a study.

    Raises:
        BadInput: a trial without the value, and as `value_table` and `seed_variance`.
    """
    names = trial_columns(connection)
    asked = dataclasses.replace(query, value=query.value or query.event)
    table = value_table(connection, asked, _constant(connection, names), None)
    unknown_ = int(table["value"].isna().sum())
    if unknown_:
        raise BadInput(
            f"{'value' if query.value else 'event'}: {unknown_} of {len(table)} trials have no {asked.value} by T = "
            f"{table.attrs['budget']}, and leaving them out would bias every part. Run them longer (run --steps), or "
            "attribute another value: --value test_acc."
        )
    value = table["value"].to_numpy(dtype=float)
    own = connection.sql(f"SELECT trial_id, {', '.join(FACTORS)} FROM trials").df().set_index("trial_id")
    streams = own.loc[table["trial_id"]]
    return seed_variance(
        value if query.value else np.log10(np.maximum(value, 1)),
        {name.removeprefix("seed_"): streams[name].to_numpy(dtype=np.int64) for name in FACTORS},
        value_name=query.value or f"log10 {query.event}",
        note=f"{table.attrs['study']}{fixed_words(query)}: {len(table)} trials, T = {table.attrs['budget']:,} steps; "
        "a point is a trial",
        confidence=query.confidence,
    )


def _constant(connection: duckdb.DuckDBPyConnection, names: Sequence[str]) -> str:
    """A setting with one value in the whole study, along which nothing is drawn."""
    paths = columns.config_paths(names)
    varied = columns.varying(connection, "trials", paths)
    return next(path for path in paths if path not in varied)


def _unnamed(points: Points) -> Points:
    return dataclasses.replace(points, name="")
