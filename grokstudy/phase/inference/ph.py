"""Proportional hazards under interval censoring, to hold against accelerated failure times."""

from __future__ import annotations

import itertools

import numpy as np
from jaxtyping import Float

from grokstudy.phase.inference.estimate import Estimate, Parameters, Scores, maximise
from grokstudy.phase.inference.intervals import Intervals

_PIECES = 3
_EVENTS_PER_PIECE = 10


def fit_hazards(
    seen: Intervals, rows: Float[np.ndarray, "trials terms"], cluster: Float[np.ndarray, " trials"]
) -> Estimate:
    """log H(t | x) = s(log t) + x beta, with s piecewise linear and rising: a Weibull whose shape may change.

    One piece is the Weibull itself. Its likelihood is of the same intervals as that of the accelerated failure time
    models, so that AIC compares them, which Cox's partial likelihood would not.

    Args:
        rows: first a column of ones, then the terms.
    """
    knots = _knots(seen)
    pieces = len(knots) + 1
    terms = rows.shape[1]

    def model(parameters: Parameters) -> tuple[Float[np.ndarray, " trials"], Scores]:
        beta, slopes = parameters[:terms], np.exp(np.clip(parameters[terms:], -20, 20))
        with np.errstate(divide="ignore"):
            logs = [np.log(seen.low), np.log(np.where(seen.happened, seen.high, 1.0))]
        hazard, change = zip(*(_hazard(log, knots, slopes, rows, beta) for log in logs), strict=True)
        begin, end = hazard[0], np.where(seen.happened, hazard[1], np.inf)
        ratio = 1.0 / -np.expm1(np.minimum(begin - end, -1e-300))  # S(begin) over S(begin) - S(end)
        value = -begin - np.log(ratio)
        later = np.where(seen.happened, ratio - 1.0, 0.0)[:, None]
        return value, -ratio[:, None] * change[0] + later * change[1]

    typical = np.median(np.where(seen.happened, seen.high, seen.low))
    start = np.r_[-np.log(typical), np.zeros(terms - 1 + pieces)]
    return maximise(model, start, cluster)


def _hazard(
    log: Float[np.ndarray, " trials"],
    knots: Float[np.ndarray, " knots"],
    slopes: Float[np.ndarray, " pieces"],
    rows: Float[np.ndarray, "trials terms"],
    beta: Float[np.ndarray, " terms"],
) -> tuple[Float[np.ndarray, " trials"], Scores]:
    """Cumulative hazard and its derivatives."""
    finite = np.isfinite(log)
    at = np.where(finite, log, 0.0)
    ends = np.r_[-np.inf, knots, np.inf]
    inside = [np.clip(at, max(low, -1e3), min(high, 1e3)) for low, high in itertools.pairwise(ends)]
    start = [0.0, *knots]  # the first piece is measured from log t = 0
    lengths = np.column_stack([part - begin for part, begin in zip(inside, start, strict=True)])
    hazard = np.where(finite, np.exp(np.minimum(rows @ beta + lengths @ slopes, 500.0)), 0.0)
    return hazard, hazard[:, None] * np.column_stack([rows, lengths * slopes])


def _knots(seen: Intervals) -> Float[np.ndarray, " knots"]:
    """Quantiles of the times that were seen; fewer where few were, or where they coincide."""
    logs = np.log(seen.high[seen.happened])
    pieces = int(np.clip(len(logs) // _EVENTS_PER_PIECE, 1, _PIECES))
    return np.unique(np.quantile(logs, np.arange(1, pieces) / pieces)) if pieces > 1 else np.zeros(0)
