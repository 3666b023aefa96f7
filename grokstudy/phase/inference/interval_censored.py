"""Times of each cell when they are only known to lie between two evaluations, or after the last one."""

from __future__ import annotations

import dataclasses
import warnings

import duckdb
import numpy as np
import pandas as pd
import scipy.stats
from jaxtyping import Float

from grokstudy.phase.inference import words
from grokstudy.phase.inference.aft import fit_family
from grokstudy.phase.inference.estimate import exponentials
from grokstudy.phase.inference.families import LOGNORMAL
from grokstudy.phase.inference.interval_figure import interval_figure
from grokstudy.phase.inference.intervals import Intervals
from grokstudy.phase.inference.query import FitQuery
from grokstudy.phase.inference.result import FitFigure
from grokstudy.phase.inference.trials import TrialTimes, read_trials
from grokstudy.phase.inference.turnbull import turnbull_median
from grokstudy.phase.statistics import censored_quantile
from grokstudy.spec.errors import BadInput

MOST_CELLS = 200
_FEWEST_SEEN = 3


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CellTimes:
    """The distribution of one cell's times, in steps. NaN: more trials still wait than the quantile allows."""

    cell: tuple[object, ...]
    n: int
    seen: int
    median: float
    """Kaplan-Meier, every time taken at the evaluation at which it was seen."""
    median_low: float
    """Interval of the median that holds wherever between two evaluations the times lie."""
    median_high: float
    turnbull: tuple[float, float]
    """Between these two lies the nonparametric median."""
    watched: float
    """The median lies beyond this step, if it is not known: half of the trials were still waiting."""
    lognormal: tuple[float, float, float]
    """Median of the lognormal distribution with its interval; NaN with fewer than three times seen."""
    quartiles: tuple[float, float]
    """Of the lognormal distribution."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class IntervalFit:
    """Times cell by cell."""

    trials: TrialTimes
    cells: tuple[CellTimes, ...]

    def table(self) -> pd.DataFrame:
        """One row per cell."""
        rows = [
            (
                *(one.cell),
                *(one.n, one.seen, one.median, one.median_low, one.median_high),
                *one.turnbull,
                *one.lognormal,
                *one.quartiles,
            )
            for one in self.cells
        ]
        numbers = ("n", "seen", "estimate", "low", "high", "turnbull_low", "turnbull_high")
        model = ("lognormal", "lognormal_low", "lognormal_high", "lognormal_q25", "lognormal_q75")
        return pd.DataFrame(rows, columns=[*self.trials.settings.columns, *numbers, *model])

    def sentences(self) -> tuple[str, ...]:
        event, seen = self.trials.query.event, self.trials.seen
        known = np.isfinite([one.median for one in self.cells])
        wide = (seen.high / np.maximum(seen.low, 1.0))[seen.happened]
        apart = f", which are a factor {float(np.median(wide)):.3f} apart here (median)" if len(wide) else ""
        return (
            f"{words.count(len(self.cells), 'cell')}, times in steps; in {int((~known).sum())} of them fewer than "
            f"half of the trials were seen to reach {event}, and its median is not known.",
            f"A time lies between two evaluations{apart}. `estimate` is the Kaplan-Meier median of phase diagrams; "
            f"[low, high] is its {self.trials.query.confidence:.0%} interval (Brookmeyer & Crowley), wherever between "
            "two evaluations the times lie: 0 and inf are ends that so few trials do not bound. turnbull_low to "
            "turnbull_high is the nonparametric median for intervals (Turnbull 1976).",
            "The lognormal columns assume that shape in each cell by itself and all trials as independent; they need "
            f"{_FEWEST_SEEN} times seen.",
            *self.trials.sentences(),
            "Not claimed: anything about trials chosen by an adaptive sampler, whose cells hold a trial or two; use "
            "`fit aft` or `fit cure` there.",
        )

    def figure(self) -> FitFigure:
        return interval_figure(self)


def fit_intervals(trials: TrialTimes) -> IntervalFit:
    """The times of every cell, a cell being one combination of the settings.

    Raises:
        BadInput: more cells than a table is read for.
    """
    names = list(trials.settings.columns)
    cells = trials.settings.groupby(names, dropna=False, sort=True).indices
    if len(cells) > MOST_CELLS:
        raise BadInput(
            f"x: {', '.join(names)} make {len(cells):,} cells of {len(trials):,} trials, more than "
            f"{MOST_CELLS}. With so many values use `fit aft` or `fit cure`, or --fix a setting."
        )
    found = []
    for cell, rows in cells.items():
        inside = np.isin(np.arange(len(trials)), rows)
        values = cell if isinstance(cell, tuple) else (cell,)
        found.append(cell_times(trials.seen.take(inside), values, trials.query.confidence))
    return IntervalFit(trials=trials, cells=tuple(found))


def cell_times(seen: Intervals, cell: tuple[object, ...] = (), confidence: float = 0.95) -> CellTimes:
    """The distribution of the times of one cell's trials."""
    happened = seen.happened
    late = np.where(happened, seen.high, np.nan)
    early = np.where(happened, np.maximum(seen.low, np.where(seen.low > 0, 0.0, 0.5)), np.nan)
    until = np.where(happened, np.where(happened, seen.high, 0.0), seen.low)
    median = censored_quantile(late, until)
    low = median_interval(early, np.where(happened, np.nan_to_num(early), seen.low), confidence)[0]
    high = median_interval(late, until, confidence)[1]
    nan = float("nan")
    lognormal, quartiles = (nan, nan, nan), (nan, nan)
    if happened.sum() >= _FEWEST_SEEN and np.ptp(np.log(seen.high[happened])) > 0:
        lognormal, quartiles = _lognormal(seen, confidence)
    return CellTimes(
        cell=cell,
        n=len(seen),
        seen=int(happened.sum()),
        median=nan if median is None else median,
        watched=float(np.median(np.where(happened, seen.high, seen.low))),
        median_low=low,
        median_high=high,
        turnbull=turnbull_median(seen),
        lognormal=lognormal,
        quartiles=quartiles,
    )


def median_interval(
    times: Float[np.ndarray, " trials"], censored_at: Float[np.ndarray, " trials"], confidence: float
) -> tuple[float, float]:
    """Times at which one half lies within the log-log band of the Kaplan-Meier curve; ends may be 0 and infinite.

    Source: Brookmeyer & Crowley 1982, Biometrics 38:29.
    """
    seen = ~np.isnan(times)
    if not seen.any():
        return 0.0, np.inf
    curve = scipy.stats.ecdf(scipy.stats.CensoredData(uncensored=times[seen], right=censored_at[~seen])).sf
    with warnings.catch_warnings():  # undefined where all or nobody waits: those places bound nothing
        warnings.filterwarnings("ignore", message="The confidence interval is undefined", category=RuntimeWarning)
        band = curve.confidence_interval(confidence, method="log-log")
    below = band.low.probabilities <= 0.5
    above = (band.high.probabilities <= 0.5) | (curve.probabilities == 0)
    known = np.isfinite(band.low.probabilities) | (curve.probabilities == 0)
    low = curve.quantiles[below & known]
    high = curve.quantiles[above & (np.isfinite(band.high.probabilities))]
    return (float(low[0]) if len(low) else 0.0), (float(high[0]) if len(high) else np.inf)


def _lognormal(seen: Intervals, confidence: float) -> tuple[tuple[float, float, float], tuple[float, float]]:
    estimate = fit_family(LOGNORMAL, seen, np.ones((len(seen), 1)))
    level, scale = estimate.parameters[0], float(np.exp(estimate.parameters[1]))
    median = exponentials(estimate.interval(np.array([1.0, 0.0]), confidence))
    first, last = (float(np.exp(level + scale * LOGNORMAL.quantile(p))) for p in (0.25, 0.75))
    return median, (first, last)


def fit_study(connection: duckdb.DuckDBPyConnection, query: FitQuery) -> IntervalFit:
    """`fit_intervals` of a study's trials."""
    return fit_intervals(read_trials(connection, query))
