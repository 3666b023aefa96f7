"""One number with an interval from one number per seed: what a claim's check is judged by.

A seed is the unit of replication everywhere: a slope is fitted within each seed, and the interval is over seeds. What
was not seen (NULL) is an amount beyond every other where order is all that counts (median, spearman), is left out of a
slope, and makes a mean unknowable.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from scipy.special import bdtr, stdtrit  # scipy.stats takes a second to load

from grokstudy.phase.logistic import Design, fit_logistic
from grokstudy.phase.statistics import wilson
from grokstudy.spec.claim import Estimate
from grokstudy.spec.errors import BadInput

CONFIDENCE = 0.95
_PER_END = 3
"""Units at either end of a bracket from which it is believed: of three alike, a share of half is left out at 7/8."""
Values: TypeAlias = Float[np.ndarray, " units"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """A number, what it lies between with 95 % confidence, and of how many units it is made."""

    effect: float | None
    """None where the units do not tell it."""
    low: float | None
    """None = no bound."""
    high: float | None
    units: int
    unseen: int = 0
    """Units without a value."""

    def within(self, least: float | None, most: float | None) -> Effect:
        """The same with an interval that ends where the effect itself must; None = it need not."""
        low = self.low if self.low is None or least is None else max(self.low, least)
        high = self.high if self.high is None or most is None else min(self.high, most)
        return dataclasses.replace(self, low=low, high=high)


def estimated(rows: pd.DataFrame, estimate: Estimate, rising: bool = True) -> Effect:
    """The effect of a check.

    Args:
        rows: `value`; for slope, spearman and crossing also `x`, and `seed` for the first two.
        estimate: which number.
        rising: of a crossing: whether units hold above it, not below.

    Raises:
        BadInput: a column is missing.
    """
    for column in _COLUMNS[estimate]:
        if column not in rows:
            raise BadInput(f"sql: the SELECT has no column `{column}`, which estimate={estimate} reads.")
    if rows.empty:
        return Effect(effect=None, low=None, high=None, units=0)
    return _crossing(rows, rising) if estimate == "crossing" else _ESTIMATES[estimate](rows)


def _share(rows: pd.DataFrame) -> Effect:
    """Share of units that hold, with Wilson's interval; a unit that is not known counts on neither side."""
    values = _values(rows)
    known = values[~np.isnan(values)]
    if not len(known):
        return Effect(effect=None, low=None, high=None, units=0, unseen=len(values))
    low, high = wilson(float(known.sum()), len(known), CONFIDENCE)
    return Effect(effect=float(known.mean()), low=low, high=high, units=len(known), unseen=len(values) - len(known))


def _mean(rows: pd.DataFrame) -> Effect:
    return _of_means(_values(rows))


def _geometric_mean(rows: pd.DataFrame) -> Effect:
    """The same on a logarithmic scale, as times are compared. Zeros and less are not seen."""
    values = _values(rows)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(values > 0, np.log(values), np.nan)
    found = _of_means(logs)
    return dataclasses.replace(found, effect=_exp(found.effect), low=_exp(found.low), high=_exp(found.high))


def _median(rows: pd.DataFrame) -> Effect:
    """The median with the interval between order statistics that covers it in 95 % of all samples.

    With fewer than six units no two order statistics do: then one end, or both, is open.
    Source: David & Nagaraja 2003, Order Statistics, section 7.1.
    """
    values = _values(rows)
    ordered = np.sort(np.where(np.isnan(values), np.inf, values))
    n = len(ordered)
    below = bdtr(np.arange(n), n, 0.5)  # P(at most so many units lie below the median)
    rank = int((below <= (1 - CONFIDENCE) / 2).sum())  # so that fewer than `rank` of them do in at most 2.5 %
    inside = rank >= 1
    middle = float(np.quantile(ordered, 0.5, method="inverted_cdf" if np.isinf(ordered).any() else "linear"))
    return Effect(
        effect=_finite(middle),
        low=_finite(ordered[rank - 1]) if inside else None,
        high=_finite(ordered[n - rank]) if inside else None,
        units=n,
        unseen=int(np.isnan(values).sum()),
    )


def _slope(rows: pd.DataFrame) -> Effect:
    """Slope of log value against log x within each seed; then the mean over seeds."""

    def fit(x: Values, y: Values) -> float:
        seen = (x > 0) & (y > 0)
        return float(np.polyfit(np.log(x[seen]), np.log(y[seen]), 1)[0]) if _tells(x[seen]) else np.nan

    return _of_seeds(rows, fit)


def _spearman(rows: pd.DataFrame) -> Effect:
    """Rank correlation of value and x within each seed; then the mean over seeds, whose interval ends at -1 and 1.

    Values that were not seen share the last rank: to drop trials that never generalised would hide the trend.
    """

    def fit(x: Values, y: Values) -> float:
        ranks = pd.Series(x).rank(), pd.Series(np.where(np.isnan(y), np.inf, y)).rank()
        return float(ranks[0].corr(ranks[1])) if _tells(x) and ranks[1].nunique() > 1 else np.nan

    return _of_seeds(rows, fit).within(-1.0, 1.0)


def _of_seeds(rows: pd.DataFrame, fit: Callable[[Values, Values], float]) -> Effect:
    """Mean over seeds of what `fit` finds in the x and values of each."""
    x, value = (rows[name].astype(float).to_numpy(dtype=float, na_value=np.nan) for name in ("x", "value"))
    per_seed = [fit(x[own], value[own]) for own in rows.groupby("seed").indices.values()]
    return dataclasses.replace(_of_means(np.array(per_seed)), units=len(per_seed), unseen=int(np.isnan(value).sum()))


def _tells(x: Values) -> bool:
    return len(np.unique(x[~np.isnan(x)])) >= 3


def _crossing(rows: pd.DataFrame, rising: bool) -> Effect:
    """x from which half of the units hold (`rising`), or up to which: a logistic curve, interval by the delta method.

    Where the units part, or are mixed at one x only, no curve has a width: the crossing lies between the nearest x
    where they are not mixed, and that is known if each of these has three units. Unknown if it goes the other way.
    """
    x, value = rows["x"].to_numpy(dtype=float), _values(rows)
    seen = ~(np.isnan(x) | np.isnan(value))
    x, beyond = x[seen], (value[seen] > 0.5) == rising
    unknown = Effect(effect=None, low=None, high=None, units=len(x), unseen=int((~seen).sum()))
    if beyond.all() or not beyond.any():
        return unknown
    last, first = x[~beyond].max(), x[beyond].min()
    if last > first:
        at, half = _logistic_crossing(x, beyond)
        return (
            dataclasses.replace(unknown, effect=at, low=at - half, high=at + half) if math.isfinite(half) else unknown
        )
    if last == first:
        last, first = max(x[x < first], default=first), min(x[x > last], default=last)
    known = min((x == last).sum(), (x == first).sum()) >= _PER_END
    ends = (float(last), float(first)) if known else (None, None)
    return dataclasses.replace(unknown, effect=float(last + first) / 2, low=ends[0], high=ends[1])


def _logistic_crossing(x: Values, holds: Bool[np.ndarray, " units"]) -> tuple[float, float]:
    """The crossing and half of its interval, which has no end if the curve falls."""
    centre, scale = x.mean(), x.std()
    rows = np.stack([np.ones_like(x), (x - centre) / scale], 1)
    fit = fit_logistic(Design(rows=rows, generalised=holds.astype(int), trials=np.ones(len(x), dtype=int)))
    if fit.coefficients[1] <= 0:
        return math.nan, math.inf
    at = -fit.coefficients[0] / fit.coefficients[1]
    gradient = np.array([-1, -at]) / fit.coefficients[1]
    half = math.sqrt(gradient @ fit.covariance @ gradient) * NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    return float(centre + scale * at), float(scale * half)


def _of_means(values: Values) -> Effect:
    """Mean of the units with Student's interval; unknown as soon as one unit is."""
    n, unseen = len(values), int(np.isnan(values).sum())
    if unseen or not n:
        return Effect(effect=None, low=None, high=None, units=n - unseen, unseen=unseen)
    mean = float(values.mean())
    if n == 1:
        return Effect(effect=mean, low=None, high=None, units=1)
    half = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2) * values.std(ddof=1) / math.sqrt(n))
    return Effect(effect=mean, low=mean - half, high=mean + half, units=n)


def _values(rows: pd.DataFrame) -> Values:
    values: Values = rows["value"].astype(float).to_numpy(dtype=float, na_value=np.nan)
    return values


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def _exp(value: float | None) -> float | None:
    return None if value is None else math.exp(value)


_ESTIMATES: Mapping[Estimate, Callable[[pd.DataFrame], Effect]] = {
    "share": _share,
    "mean": _mean,
    "geometric_mean": _geometric_mean,
    "median": _median,
    "slope": _slope,
    "spearman": _spearman,
}
_COLUMNS: Mapping[Estimate, tuple[str, ...]] = {
    **dict.fromkeys(("share", "mean", "geometric_mean", "median"), ("value",)),
    **dict.fromkeys(("slope", "spearman"), ("value", "x", "seed")),
    "crossing": ("value", "x"),
}
