"""Where seeds differ most: chi = N Var over seeds of the order parameter, along a line cut."""

from __future__ import annotations

import dataclasses
import math

import duckdb
import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from grokstudy.phase.inference.line_cut import Cells, LineCut, PerCell, leaf, moments
from grokstudy.phase.inference.query import FitQuery
from grokstudy.phase.inference.read_cut import read_cut
from grokstudy.phase.inference.resample import bootstrap, percentiles
from grokstudy.phase.inference.result import FitFigure
from grokstudy.phase.inference.words import few_clusters
from grokstudy.spec.errors import BadInput

LEAST_SEEDS = 4
"""Below, a variance says next to nothing: its relative error is 82 % at 4."""
WANTED_ERROR = 0.125
SEEDS_WANTED = math.ceil(2 / WANTED_ERROR**2) + 1
"""129 seeds: from sqrt(2 / (R - 1)) = 12.5 %."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Susceptibility:
    """chi of every cell of a cut, and where it is largest."""

    cut: LineCut
    mean: PerCell
    chi: PerCell
    """NaN in cells of fewer than LEAST_SEEDS seeds."""
    low: PerCell
    high: PerCell
    seeds: Int[np.ndarray, " cells"]
    peak: Float[np.ndarray, " sizes"]
    """x with the largest chi of each size."""
    peak_low: Float[np.ndarray, " sizes"]
    peak_high: Float[np.ndarray, " sizes"]
    confidence: float

    @property
    def relative_error(self) -> PerCell:
        """sqrt(2 / (R - 1)): of a variance from R independent, normal seeds."""
        with np.errstate(divide="ignore"):
            return np.asarray((2.0 / (self.seeds - 1.0)) ** 0.5)

    @property
    def missing(self) -> Int[np.ndarray, " cells"]:
        """Seeds to be added for a relative error of 12.5 %."""
        return np.asarray(np.maximum(SEEDS_WANTED - self.seeds, 0))

    def table(self) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "name": self.cut.cell_names(),
                "estimate": self.chi,
                "low": self.low,
                "high": self.high,
                "relative_error": self.relative_error,
                "mean": self.mean,
                "seeds": self.seeds,
                "missing_seeds": self.missing,
            }
        )

    def sentences(self) -> tuple[str, ...]:
        errors = self.relative_error[np.isfinite(self.chi)]
        return (
            *(self._peak_in_words(i) for i in range(len(self.peak))),
            f"Cells have {_range(f'{self.seeds.min()}', f'{self.seeds.max()}')} values of {self.cut.cluster_name}. A "
            "variance from R seeds has a relative error of sqrt(2 / (R - 1)): "
            f"{_range(f'{errors.min():.0%}', f'{errors.max():.0%}')} here. For {WANTED_ERROR:.1%} a cell needs "
            f"{SEEDS_WANTED} seeds; up to {int(self.missing.max())} are missing.",
            f"N is the number of inputs of the task. Intervals are {self.confidence:.0%} percentiles of a bootstrap in "
            f"which trials of one {self.cut.cluster_name} are drawn together.",
            *few_clusters(int(self.seeds.max()), self.cut.cluster_name, self.confidence),
            *self.cut.sentences(),
            "A peak alone is no phase transition: it must grow and narrow with size (--size), and seeds that fall into "
            "two groups make one too (`fit bimodality`).",
        )

    def figure(self) -> FitFigure:
        chi = self.cut.cell_points(self.chi, self.low, self.high)
        return FitFigure(
            title="susceptibility: where seeds differ most",
            note=f"{self.cut.note}; bars: {self.confidence:.0%} bootstrap over seeds",
            panels=(
                self.cut.panel("chi = N Var over seeds", chi),
                self.cut.panel(f"{self.cut.value_name} of every trial", self.cut.seed_points()),
            ),
        )

    def _peak_in_words(self, i: int) -> str:
        size, cells = self.cut.sizes[i], self.cut.cells
        which = f" at {self.cut.size_words(size)}" if self.cut.size_name else ""
        if np.isnan(self.peak[i]):
            return f"chi{which} has no peak: fewer than {LEAST_SEEDS} seeds in every cell."
        ends = cells.x[cells.size == size][[0, -1]]
        edge = " This is an end of the cut; the peak may lie outside." if self.peak[i] in ends else ""
        return (
            f"chi{which} is largest at {leaf(self.cut.x_name)} = {self.peak[i]:g} "
            f"({self.confidence:.0%} of resamples: {self.peak_low[i]:g} to {self.peak_high[i]:g}).{edge}"
        )


def susceptibility(
    cut: LineCut, *, confidence: float = 0.95, resamples: int = 1000, resampling_seed: int = 0
) -> Susceptibility:
    """chi = N Var(m) over the seeds of every cell, with bootstrap intervals.

    Raises:
        BadInput: fewer than two cells have LEAST_SEEDS seeds.
    """
    cells = cut.cells
    n, seeds = len(cells), cells.seeds(cut.cluster)
    enough = seeds >= LEAST_SEEDS
    if enough.sum() < 2:
        raise BadInput(
            f"seed: a variance over seeds needs two places of the cut with {LEAST_SEEDS} seeds each, got {n} places "
            f"with {seeds.max()} at most. Run it with more seeds: 'seed=seeds(33)' gives 25 %, "
            f"'seed=seeds({SEEDS_WANTED})' 12.5 %."
        )
    sites = moments(cells.cell, cut.sites, n)[0]

    def statistic(rows: Int[np.ndarray, " rows"]) -> Float[np.ndarray, " k"]:
        chi = np.where(enough, sites * moments(cells.cell[rows], cut.value[rows], n)[1], np.nan)
        return np.concatenate([chi, [_peak(cells, chi, size) for size in cut.sizes]])

    found = statistic(np.arange(len(cut.x)))
    low, high = percentiles(bootstrap(statistic, cut.cluster, resamples, resampling_seed), confidence)
    return Susceptibility(
        cut=cut,
        mean=moments(cells.cell, cut.value, n)[0],
        chi=found[:n],
        low=low[:n],
        high=high[:n],
        seeds=seeds,
        peak=found[n:],
        peak_low=low[n:],
        peak_high=high[n:],
        confidence=confidence,
    )


def fit_study(connection: duckdb.DuckDBPyConnection, query: FitQuery) -> Susceptibility:
    """The susceptibility along one setting of a study; N = p^2, or 1 for tasks without a p.

    Raises:
        BadInput: as `read_cut` and `susceptibility`.
    """
    return susceptibility(
        read_cut(connection, query, "susceptibility"),
        confidence=query.confidence,
        resamples=query.resamples,
        resampling_seed=query.resampling_seed,
    )


def _peak(cells: Cells, chi: PerCell, size: float) -> float:
    """x of the largest chi of a size; NaN if no cell of it has one."""
    own = (cells.size == size) & np.isfinite(chi)
    return float(cells.x[own][chi[own].argmax()]) if own.any() else math.nan


def _range(low: str, high: str) -> str:
    return low if low == high else f"{low} to {high}"
