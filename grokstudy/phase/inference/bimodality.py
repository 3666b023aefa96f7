"""Whether seeds fall into two groups: the dip test and Binder's cumulant of every cell, and where sizes agree."""

from __future__ import annotations

import dataclasses
import itertools

import duckdb
import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from grokstudy.phase.inference.binder import TWO_PEAKS, crossing, cumulants
from grokstudy.phase.inference.dip import dip, dip_p_value
from grokstudy.phase.inference.groups import holm, resolution, spread, two_groups
from grokstudy.phase.inference.line_cut import LineCut, PerCell, leaf
from grokstudy.phase.inference.query import FitQuery
from grokstudy.phase.inference.read_cut import read_cut
from grokstudy.phase.inference.resample import bootstrap, percentiles
from grokstudy.phase.inference.result import FitFigure, Line, Mark
from grokstudy.spec.errors import BadInput

LEAST_SEEDS = 10
"""Below, the dip test finds almost nothing: its 1 % point is two groups of five, each of equal values."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SizeCrossing:
    """Where the cumulants of two sizes are equal. NaN if they do not cross in the cut."""

    sizes: tuple[float, float]
    x: float
    low: float
    high: float
    found: float
    """Share of resamples in which they cross at all."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Bimodality:
    """Dip, its p-value and U4 of every cell; NaN in cells of fewer than LEAST_SEEDS seeds."""

    cut: LineCut
    seeds: Int[np.ndarray, " cells"]
    dip: PerCell
    p_value: PerCell
    p_adjusted: PerCell
    """Holm's, over all cells of the cut."""
    u4: PerCell
    low: PerCell
    high: PerCell
    lower: PerCell
    """Mean of the lower of two groups."""
    upper: PerCell
    share_upper: PerCell
    """Share of trials in the upper group."""
    crossings: tuple[SizeCrossing, ...]
    confidence: float
    origin: float | None

    def table(self) -> pd.DataFrame:
        cells = pd.DataFrame(
            {
                "name": self.cut.cell_names(),
                "estimate": self.u4,
                "low": self.low,
                "high": self.high,
                "dip": self.dip,
                "p_value": self.p_value,
                "p_adjusted": self.p_adjusted,
                "lower_group": self.lower,
                "upper_group": self.upper,
                "share_upper": self.share_upper,
                "seeds": self.seeds,
            }
        )
        crossings = [
            {"name": f"crossing of {_pair(self.cut, one)}", "estimate": one.x, "low": one.low, "high": one.high}
            for one in self.crossings
        ]
        return pd.concat([cells, pd.DataFrame(crossings)], ignore_index=True) if crossings else cells

    def sentences(self) -> tuple[str, ...]:
        tested = int(np.isfinite(self.p_value).sum())
        split = np.flatnonzero(self.p_adjusted <= 1 - self.confidence)
        none = "No cell shows two groups. With few seeds this is no evidence for one: see the column `seeds`."
        return (
            *([self._groups_in_words(i) for i in split.tolist()] or [none]),
            f"Dip test against the uniform distribution in {tested} cells, p-values adjusted by Holm. Equal accuracies "
            "are spread evenly over one test row, so that its steps are not taken for groups.",
            f"U4 = 1 - <d^4> / (3 <d^2>^2) with d the distance from {self._origin()}: 0 for a normal distribution, 2/3 "
            f"for two equal groups. Intervals: {self.confidence:.0%} bootstrap over {self.cut.cluster_name}.",
            *(_crossing_in_words(self.cut, one, self.confidence) for one in self.crossings),
            "Two groups at one T can also be one slow group cut in two: look again at other T (`--budget`), and from "
            "both sides (`fit hysteresis`).",
            *self.cut.sentences(),
        )

    def figure(self) -> FitFigure:
        u4 = self.cut.cell_points(self.u4, self.low, self.high)
        thin = tuple(Line(x=one.x, y=one.y, series=one.series, thin=True) for one in u4)
        alpha = 1 - self.confidence
        levels = (
            Mark(at=0.0, upright=False, text="normal"),
            Mark(at=TWO_PEAKS, upright=False, text="two equal groups"),
        )
        crossings = tuple(Mark(at=one.x, upright=True) for one in self.crossings if np.isfinite(one.x))
        level = Mark(at=alpha, upright=False, text=f"{alpha:.2g}")
        return FitFigure(
            title="bimodality: do seeds fall into two groups?",
            note=f"{self.cut.note}; bars: {self.confidence:.0%} bootstrap over seeds",
            panels=(
                self.cut.panel(f"{self.cut.value_name} of every trial", self.cut.seed_points()),
                self.cut.panel("Binder cumulant U4", u4, lines=thin, marks=(*levels, *crossings)),
                self.cut.panel("p of the dip test", self.cut.cell_points(self.p_value), marks=(level,), y_log=True),
            ),
        )

    def _groups_in_words(self, i: int) -> str:
        return (
            f"{self.cut.cell_names()[i]}: two groups, {self.share_upper[i]:.0%} of trials at {self.upper[i]:.2f}, the "
            f"others at {self.lower[i]:.2f} ({self.seeds[i]} seeds, dip {self.dip[i]:.3f}, p = {self.p_value[i]:.2g}, "
            f"adjusted {self.p_adjusted[i]:.2g})."
        )

    def _origin(self) -> str:
        return "the cell's mean" if self.origin is None else f"{self.origin:g}"


def bimodality(
    cut: LineCut,
    *,
    origin: float | None = None,
    confidence: float = 0.95,
    resamples: int = 1000,
    resampling_seed: int = 0,
) -> Bimodality:
    """Dip test and Binder cumulant over the seeds of every cell, and the crossings of neighbouring sizes.

    Args:
        cut: the trials; with sizes, crossings are looked for.
        origin: what the cumulant's moments are taken about, for an order parameter with a symmetry (0 for a
            magnetisation); None = each cell's own mean, as accuracies have no symmetry.

    Raises:
        BadInput: no cell has LEAST_SEEDS seeds, or a size was asked for that has one value only.
    """
    cells = cut.cells
    n, seeds = len(cells), cells.seeds(cut.cluster)
    enough = seeds >= LEAST_SEEDS
    if not enough.any():
        raise BadInput(
            f"seed: two groups cannot be told from one with fewer than {LEAST_SEEDS} seeds in a cell, got "
            f"{seeds.max()} at most. Run the cut with 'seed=seeds(32)'; fewer places, more seeds."
        )
    if cut.size_name is not None and len(cut.sizes) < 2:
        raise BadInput(
            f"size: {cut.size_name} has one value, {cut.sizes[0]:g}; a crossing needs two sizes. Run the study with "
            f"another value of it, or leave --size out."
        )
    pairs = list(itertools.pairwise(cut.sizes))

    def statistic(rows: Int[np.ndarray, " rows"]) -> Float[np.ndarray, " k"]:
        u4 = np.where(enough, cumulants(cells.cell[rows], cut.value[rows], n, origin), np.nan)
        return np.concatenate([u4, [crossing(cells, u4, *pair) for pair in pairs]])

    found = statistic(np.arange(len(cut.x)))
    draws = bootstrap(statistic, cut.cluster, resamples, resampling_seed)
    low, high = percentiles(draws, confidence)
    dips = np.full((n, 2), np.nan)
    for i in np.flatnonzero(enough):
        own = cut.value[cells.cell == i]
        apart = spread(own, resolution(own))
        dips[i] = dip(apart), dip_p_value(dip(apart), len(apart))
    groups = np.array([two_groups(cut.value[cells.cell == i]) for i in range(n)])
    return Bimodality(
        cut=cut,
        seeds=seeds,
        dip=dips[:, 0],
        p_value=dips[:, 1],
        p_adjusted=holm(dips[:, 1]),
        u4=found[:n],
        low=low[:n],
        high=high[:n],
        lower=groups[:, 0],
        upper=groups[:, 1],
        share_upper=groups[:, 2],
        crossings=tuple(
            SizeCrossing(
                sizes=(float(pair[0]), float(pair[1])),
                x=float(found[n + i]),
                low=float(low[n + i]),
                high=float(high[n + i]),
                found=float(np.isfinite(draws[:, n + i]).mean()),
            )
            for i, pair in enumerate(pairs)
        ),
        confidence=confidence,
        origin=origin,
    )


def fit_study(connection: duckdb.DuckDBPyConnection, query: FitQuery) -> Bimodality:
    """Dip test, U4 and, with a size, its crossings along one setting of a study.

    Raises:
        BadInput: as `read_cut` and `bimodality`.
    """
    return bimodality(
        read_cut(connection, query, "bimodality"),
        confidence=query.confidence,
        resamples=query.resamples,
        resampling_seed=query.resampling_seed,
    )


def _pair(cut: LineCut, one: SizeCrossing) -> str:
    return f"{cut.size_words(one.sizes[0])} and {one.sizes[1]:g}"


def _crossing_in_words(cut: LineCut, one: SizeCrossing, confidence: float) -> str:
    if np.isnan(one.x):
        return f"U4 of {_pair(cut, one)} does not cross in this cut ({one.found:.0%} of resamples do)."
    return (
        f"U4 of {_pair(cut, one)} crosses at {leaf(cut.x_name)} = {one.x:.4g} ({confidence:.0%}: {one.low:.4g} to "
        f"{one.high:.4g}; {one.found:.0%} of resamples cross)."
    )
