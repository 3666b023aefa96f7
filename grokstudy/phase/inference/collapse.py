"""Finite-size collapse: whether the curves of all sizes are one curve of (x - x_c) p^(1/nu), scaled by p^(beta/nu)."""

from __future__ import annotations

import dataclasses

import duckdb
import numpy as np
import pandas as pd

from grokstudy.phase.inference.line_cut import LineCut, leaf
from grokstudy.phase.inference.query import FitQuery
from grokstudy.phase.inference.read_cut import read_cut
from grokstudy.phase.inference.resample import bootstrap, percentiles
from grokstudy.phase.inference.result import FitFigure, Line, Panel, Points
from grokstudy.phase.inference.scaling import (
    SPLINE_PARAMETERS,
    SizedCells,
    Theta,
    best,
    common_curve,
    misfit,
    scaled,
    sized_cells,
)
from grokstudy.phase.inference.words import count, few_clusters
from grokstudy.spec.errors import BadInput

LEAST_SIZES = 4
LEAST_CELLS = 5
"""Places of the cut per size."""
LEAST_SEEDS = 2
PARAMETERS = ("x_c", "1/nu", "beta/nu")
_EDGE = 0.05
"""Of the width of the cut: x_c so near to an end has no trials on one side."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Collapse:
    """The best exponents, how well the curves fall on each other, and what every size does to them."""

    cut: LineCut
    cells: SizedCells
    theta: Theta
    """x_c, 1/nu, beta/nu."""
    low: Theta
    high: Theta
    chi2: float
    degrees: int
    chi2_one_curve: float
    """Of one curve of x for all sizes: no scaling at all."""
    without: tuple[tuple[float, Theta], ...]
    """Size left out, and the exponents of the others."""
    confidence: float

    @property
    def aic_gain(self) -> float:
        """AIC of one curve for all sizes, less that of the collapse with its three exponents."""
        return self.chi2_one_curve - self.chi2 - 2 * len(PARAMETERS)

    def table(self) -> pd.DataFrame:
        rows = [
            {"name": name, "estimate": self.theta[i], "low": self.low[i], "high": self.high[i]}
            for i, name in enumerate(PARAMETERS)
        ]
        rows += [
            {"name": f"{name} without {self.cut.size_words(size)}", "estimate": theta[i]}
            for size, theta in self.without
            for i, name in enumerate(PARAMETERS)
        ]
        rows += [
            {"name": "chi2 / degrees of freedom", "estimate": self.chi2 / self.degrees},
            {"name": "AIC gained on one curve for all sizes", "estimate": self.aic_gain},
        ]
        return pd.DataFrame(rows, columns=["name", "estimate", "low", "high"])

    def sentences(self) -> tuple[str, ...]:
        variable = f"log10 {leaf(self.cut.x_name)}" if self.cut.log else leaf(self.cut.x_name)
        size = leaf(self.cut.size_name or "size")
        ends = [f"{name} {self._range(i)}" for i, name in enumerate(PARAMETERS)]
        exponents = [
            f"{name} = {self.theta[i]:.4g} [{self.low[i]:.4g}, {self.high[i]:.4g}]" for i, name in enumerate(PARAMETERS)
        ]
        return (
            f"{', '.join(exponents)}; x is {variable} ({self.confidence:.0%} bootstrap of seeds within each cell).",
            *self._at_the_end(),
            f"m {size}^(beta/nu) against (x - x_c) {size}^(1/nu) is one spline with chi2 = {self.chi2:.1f} for "
            f"{self.degrees} degrees of freedom: {self._verdict()}.",
            f"Against one curve for all sizes the three exponents gain {self.aic_gain:.1f} in AIC"
            f"{'' if self.aic_gain > 2 else ': no dependence on size is seen, and none of them is determined'}.",
            f"Leaving out one size at a time moves {'; '.join(ends)}.",
            "Exponents of few sizes are effective ones: corrections to scaling are not fitted, and nothing is said "
            "about sizes outside those that were run.",
            *few_clusters(int(self.cut.cells.seeds(self.cut.cluster).min()), self.cut.cluster_name, self.confidence),
            *self.cut.sentences(),
        )

    def figure(self) -> FitFigure:
        x, y, error = scaled(self.cells, self.theta)
        sizes = np.unique(self.cells.size)
        order = np.argsort(x)
        curve = Line(x=x[order], y=common_curve(x, y, error)[order], series=-1, thin=True)
        points = tuple(
            Points(
                x=x[own],
                y=y[own],
                low=(y - error)[own],
                high=(y + error)[own],
                name=self.cut.size_words(size),
                series=i,
            )
            for i, size in enumerate(sizes)
            for own in [self.cells.size == size]
        )
        size, m = leaf(self.cut.size_name or "size"), self.cut.value_name
        return FitFigure(
            title="finite-size collapse: do all sizes follow one curve?",
            note=f"{self.cut.note}; right: bars are one standard error, the line is the common spline, sizes are "
            "relative to their geometric mean",
            panels=(
                self.cut.panel(f"{m} of every trial", self.cut.seed_points()),
                Panel(
                    x_label=f"(x - {self.theta[0]:.3g}) {size}^{self.theta[1]:.2g}",
                    y_label=f"{m} {size}^{self.theta[2]:.2g}",
                    points=points,
                    lines=(curve,),
                ),
            ),
        )

    def _at_the_end(self) -> tuple[str, ...]:
        """A warning if x_c has trials on one side only."""
        low, high = float(self.cells.x.min()), float(self.cells.x.max())
        if low + _EDGE * (high - low) < self.theta[0] < high - _EDGE * (high - low):
            return ()
        return (
            f"WARNING: x_c lies at or beyond an end of the cut ({low:.4g} to {high:.4g}). Nothing was run on one side "
            "of it, so it is no estimate, and the exponents go with it. Run a wider cut.",
        )

    def _range(self, i: int) -> str:
        found = [theta[i] for _, theta in self.without]
        return f"between {min(found):.3g} and {max(found):.3g}"

    def _verdict(self) -> str:
        ratio = self.chi2 / self.degrees
        return "the curves fall on each other within their errors" if ratio < 2 else "they do not fall on each other"


def collapse(cut: LineCut, *, confidence: float = 0.95, resamples: int = 100, resampling_seed: int = 0) -> Collapse:
    """The exponents for which the curves of all sizes fall on one spline, each point weighted by its seeds' spread.

    Args:
        cut: trials of at least LEAST_SIZES sizes; on a log cut x_c and the distance from it are in log10 x.

    Raises:
        BadInput: too few sizes, places or seeds; the message says what to run.
    """
    _demand_enough(cut)
    rows = np.arange(len(cut.x))
    cells = sized_cells(cut, rows)
    theta = best(cells)
    # Seeds are drawn inside each cell: sizes share no networks, and each cell keeps its number of trials.
    draws = bootstrap(
        lambda drawn: best(sized_cells(cut, drawn), theta), cut.cluster, resamples, resampling_seed, cut.cells.cell
    )
    low, high = percentiles(draws, confidence)
    return Collapse(
        cut=cut,
        cells=cells,
        theta=theta,
        low=low,
        high=high,
        chi2=misfit(cells, theta),
        degrees=len(cells.x) - SPLINE_PARAMETERS - len(PARAMETERS),
        chi2_one_curve=misfit(cells, np.array([theta[0], 0.0, 0.0])),
        without=tuple((float(size), best(cells.without(size), theta)) for size in cut.sizes),
        confidence=confidence,
    )


def fit_study(connection: duckdb.DuckDBPyConnection, query: FitQuery) -> Collapse:
    """The collapse of a study's curves over a setting that is its size (`task.p`, `model.width`).

    Raises:
        BadInput: no size was named, and as `read_cut` and `collapse`.
    """
    if query.size is None:
        raise BadInput("size: `fit collapse` needs the setting that is the size, e.g. --size task.p or --size width.")
    return collapse(
        read_cut(connection, query, "collapse"),
        confidence=query.confidence,
        resamples=min(query.resamples, 200),  # one minimisation each
        resampling_seed=query.resampling_seed,
    )


def _demand_enough(cut: LineCut) -> None:
    cells = cut.cells
    if len(cut.sizes) < LEAST_SIZES:
        raise BadInput(
            f"size: a collapse of {count(len(cut.sizes), 'size')} ({', '.join(f'{size:g}' for size in cut.sizes)}) "
            f"proves nothing: three exponents fit almost any. Run {LEAST_SIZES} or more, e.g. "
            f"'{cut.size_name}=17,23,31,41'."
        )
    if cut.sizes[0] <= 0:
        raise BadInput(f"size: {cut.size_name} must be above 0 to be raised to a power, got {cut.sizes[0]:g}.")
    for size in cut.sizes:
        places, seeds = int((cells.size == size).sum()), cells.seeds(cut.cluster)[cells.size == size]
        if places < LEAST_CELLS or seeds.min() < LEAST_SEEDS:
            raise BadInput(
                f"size: {cut.size_words(size)} has {places} places of {cut.x_name} with at least {seeds.min()} seeds; "
                f"a collapse needs {LEAST_CELLS} with {LEAST_SEEDS}. Run the cut with more: 'seed=seeds(8)'."
            )
