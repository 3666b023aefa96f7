"""Sentinel cells with many seeds: the share that gets there, and how far seeds spread the time."""

from __future__ import annotations

import dataclasses

import duckdb
import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from grokstudy.phase.columns import label
from grokstudy.phase.inference.line_cut import leaf
from grokstudy.phase.inference.log_spread import LEAST_SEEN
from grokstudy.phase.inference.query import FitQuery
from grokstudy.phase.inference.read_cut import phase_query, with_equal_settings
from grokstudy.phase.inference.result import FitFigure, Mark, Panel, Points
from grokstudy.phase.inference.sentinel_cell import LEAST_SEEDS, PerTrial, Sentinel, sentinel
from grokstudy.phase.inference.trials import setting, trial_columns
from grokstudy.phase.inference.words import count, fixed_words
from grokstudy.phase.query import readings
from grokstudy.spec.errors import BadInput
from grokstudy.spec.outcome import HOLD


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Sentinels:
    """All cells, with the trials in them."""

    cells: tuple[Sentinel, ...]
    cell: Int[np.ndarray, " trials"]
    time: PerTrial
    """Steps; NaN if not seen."""
    waited: PerTrial
    event: str
    settings: str
    """Names of what tells the cells apart, for the axis."""
    ticks: tuple[str, ...]
    """Its values, cell by cell."""
    study: str
    budget: int
    confidence: float
    diverged: int = 0
    context: str = ""
    """What was fixed and how the time is read, in words."""

    def table(self) -> pd.DataFrame:
        return pd.DataFrame(
            [
                {
                    "name": one.name,
                    "estimate": one.k / one.n if one.n else np.nan,
                    "low": one.low,
                    "high": one.high,
                    "wilson_low": one.wilson_low,
                    "wilson_high": one.wilson_high,
                    "k": one.k,
                    "n": one.n,
                    "undetermined": one.undetermined,
                    "where": one.where,
                    "log10_sd": one.sd,
                    "log10_sd_low": one.sd_low,
                    "log10_sd_high": one.sd_high,
                }
                for one in self.cells
            ]
        )

    def sentences(self) -> tuple[str, ...]:
        share = "p_gen" if self.event == "t_gen" else "p_mem"
        few = [one.name for one in self.cells if one.n < LEAST_SEEDS]
        told = [f"{one.name}: {self._in_words(one, share)}" for one in self.cells if one.n >= LEAST_SEEDS]
        told.append(
            f"Intervals of {share} are Clopper-Pearson at {self.confidence:.0%}: they hold at least that often. "
            "Wilson's are in the table."
        )
        told.append(
            f"sd is of log10 {self.event} over seeds (dex); a trial of S steps that was not seen there is censored at "
            f"S / {HOLD:g}, at most at T, under a lognormal law. Where some never get there this law is wrong: look at "
            "`fit cure`."
        )
        if few:
            told.append(f"Fewer than {LEAST_SEEDS} seeds, nothing said: {', '.join(few)}.")
        undetermined = sum(one.undetermined for one in self.cells)
        told.append(
            f"{count(len(self.cell), 'trial')} of {self.study}{self.context}; {self.event} was seen in "
            f"{int((~np.isnan(self.time)).sum()):,} by T = {self.budget:,} steps. Diverged trials ({self.diverged:,}) "
            f"count as not there; {undetermined:,} that were stopped before T are in no share."
        )
        return tuple(told)

    def figure(self) -> FitFigure:
        ticks = tuple((float(i), text) for i, text in enumerate(self.ticks))
        at = np.arange(len(self.cells), dtype=float)
        share = Points(
            x=at,
            y=np.array([one.k / one.n if one.n else np.nan for one in self.cells]),
            low=np.array([one.low for one in self.cells]),
            high=np.array([one.high for one in self.cells]),
        )
        seen = ~np.isnan(self.time)
        every = Points(
            x=self.cell + _beside(self.cell), y=np.maximum(np.where(seen, self.time, self.waited), 1), beyond=~seen
        )
        return FitFigure(
            title="sentinel cells: what seeds alone do",
            note=f"{self.study}: {len(self.cell)} trials, T = {self.budget:,} steps; triangles: not there by then; "
            f"bars: {self.confidence:.0%} Clopper-Pearson",
            panels=(
                Panel(
                    x_label=self.settings,
                    y_label="p_gen" if self.event == "t_gen" else "p_mem",
                    x_ticks=ticks,
                    points=(share,),
                    marks=(Mark(at=0.5, upright=False),),
                ),
                Panel(
                    x_label=self.settings, y_label=f"{self.event} (steps)", x_ticks=ticks, y_log=True, points=(every,)
                ),
            ),
        )

    def _in_words(self, one: Sentinel, share: str) -> str:
        told = f"{share} = {one.k}/{one.n} [{one.low:.2f}, {one.high:.2f}], {one.where}"
        if np.isnan(one.sd):
            return f"{told}; fewer than {LEAST_SEEN} times seen, no spread."
        return f"{told}; sd {one.sd:.2f} dex [{one.sd_low:.2f}, {one.sd_high:.2f}]."


def sentinels(
    cell: Int[np.ndarray, " trials"],
    names: tuple[str, ...],
    time: PerTrial,
    waited: PerTrial,
    determined: Bool[np.ndarray, " trials"],
    *,
    event: str = "t_gen",
    settings: str = "cell",
    ticks: tuple[str, ...] | None = None,
    study: str = "given",
    budget: int = 0,
    confidence: float = 0.95,
) -> Sentinels:
    """Share with its intervals, and the spread of the logarithm of the time, of every cell.

    Args:
        cell: of each trial, a number below len(names).
        time: steps of the event, NaN if not seen by T.
        waited: steps until which a crossing of each trial could have been seen; read where the time is NaN.
        determined: whether it is known if the trial got there by T. The others are counted and left out of the share.

    Raises:
        BadInput: no cell has LEAST_SEEDS decided trials.
    """
    found = tuple(
        sentinel(name, time[cell == i], waited[cell == i], determined[cell == i], confidence)
        for i, name in enumerate(names)
    )
    most = max(one.n for one in found)
    if most < LEAST_SEEDS:
        raise BadInput(
            f"seed: a sentinel needs {LEAST_SEEDS} seeds, better 32; the cells have {most} at most. Run a few cells, "
            "inside, on and outside the boundary, with 'seed=seeds(32)'."
        )
    return Sentinels(
        cells=found,
        cell=cell,
        time=time,
        waited=waited,
        event=event,
        settings=settings,
        ticks=names if ticks is None else ticks,
        study=study,
        budget=budget,
        confidence=confidence,
    )


def fit_study(connection: duckdb.DuckDBPyConnection, query: FitQuery) -> Sentinels:
    """The sentinel cells of a study: the distinct values of up to three settings.

    Raises:
        BadInput: no x or more than three, and as `readings` and `sentinels`.
    """
    if not 1 <= len(query.x) <= 3:
        raise BadInput(
            f"x: sentinel cells are told apart by one to three settings, got {len(query.x)}; give --x SETTING."
        )
    table = _table(connection, query)
    keys = ["x", "y", "facet"][: len(query.x)]
    cell = table.groupby(keys, dropna=False, sort=True).ngroup().to_numpy()
    first = [int(np.flatnonzero(cell == i)[0]) for i in range(cell.max() + 1)]
    paths = [leaf(table.attrs[key]) for key in keys]
    values = [[label(table[key].iloc[row]) for key in keys] for row in first]
    names = tuple(", ".join(f"{path} = {value}" for path, value in zip(paths, own, strict=True)) for own in values)
    found = sentinels(
        cell,
        names,
        table[query.event].to_numpy(dtype=float),
        table["waited"].to_numpy(dtype=float),
        table["determined"].to_numpy(dtype=bool),
        event=query.event,
        settings=", ".join(paths),
        ticks=tuple(", ".join(own) for own in values),
        study=table.attrs["study"],
        budget=int(table.attrs["budget"]),
        confidence=query.confidence,
    )
    rule = query.rule if query.rule and query.event == "t_gen" else f"accuracy >= {query.tau:g}"
    diverged = int((table["outcome"].astype(str) == "diverged").sum())
    return dataclasses.replace(found, diverged=diverged, context=f"{fixed_words(query)}, {query.event}: {rule}")


def _table(connection: duckdb.DuckDBPyConnection, query: FitQuery) -> pd.DataFrame:
    """`readings` of the cells, with `waited`: until when a trial that was not seen there is known not to be."""
    names = trial_columns(connection)
    paths = [setting("x", given, names) for given in query.x]
    if len(set(paths)) < len(paths):
        raise BadInput(f"x: the settings must differ, got {', '.join(paths)}.")
    asked = dataclasses.replace(phase_query(query, *query.x[:2]), facet=query.x[2] if len(query.x) == 3 else None)
    table = with_equal_settings(readings(connection, asked))
    steps = (
        connection.sql("SELECT trial_id, steps_run::DOUBLE AS steps FROM trials").df().set_index("trial_id")["steps"]
    )
    until = np.minimum(table["trial_id"].map(steps) / HOLD, table.attrs["budget"])
    diverged = table["outcome"].astype(str) == "diverged"
    waited = table.assign(waited=until.where(~diverged, table.attrs["budget"]))
    waited.attrs = table.attrs
    return waited


def _beside(cell: Int[np.ndarray, " trials"]) -> PerTrial:
    """Small steps aside, so that the points of a cell do not hide each other."""
    rank = pd.Series(cell).groupby(cell).cumcount().to_numpy()
    count = np.bincount(cell)[cell]
    return np.asarray(0.5 * ((rank + 0.5) / count - 0.5))
