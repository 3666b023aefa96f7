"""How far seeds spread a time in one cell: the standard deviation of its logarithm, with what was not seen censored."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq, minimize_scalar
from scipy.special import log_ndtr
from scipy.stats import chi2

LEAST_SEEN = 3
_WIDEST = 100.0
"""Times the spread of what was seen: an end beyond it is not bounded."""
Numbers = Float[np.ndarray, " n"]


def log_spread(seen: Numbers, waited: Numbers, confidence: float = 0.95) -> tuple[float, float, float]:
    """Standard deviation of normal numbers, some of which are known only to lie above `waited`, and its interval.

    With all seen: the unbiased variance and its exact chi-square interval. Otherwise maximum likelihood and the
    interval of the profile likelihood, whose upper end may be infinite.

    Args:
        seen: numbers that were seen, e.g. log10 of times.
        waited: for each of the others, up to where it was looked for.

    Returns:
        Estimate, low, high; NaN with fewer than LEAST_SEEN seen, or if all that were seen are equal.
    """
    n = len(seen)
    own = float(seen.std(ddof=1)) if n >= LEAST_SEEN else 0.0
    if own == 0:
        return math.nan, math.nan, math.nan
    if not len(waited):
        tail = (1 - confidence) / 2
        low, high = (own * math.sqrt((n - 1) / float(chi2.ppf(q, n - 1))) for q in (1 - tail, tail))
        return own, low, high
    ends = (math.log(own / _WIDEST), math.log(own * _WIDEST))
    best = minimize_scalar(lambda at: -_profile(seen, waited, math.exp(at)), bounds=ends, method="bounded")
    bound = -float(best.fun) - float(chi2.ppf(confidence, 1)) / 2

    def above(at: float) -> float:
        return _profile(seen, waited, math.exp(at)) - bound

    low = math.exp(brentq(above, ends[0], best.x)) if above(ends[0]) < 0 else 0.0
    high = math.exp(brentq(above, best.x, ends[1])) if above(ends[1]) < 0 else math.inf
    return math.exp(best.x), low, high


def _profile(seen: Numbers, waited: Numbers, sd: float) -> float:
    """Log-likelihood of a spread at the mean that is best for it, which lies at or above that of the numbers seen."""

    def loss(mean: float) -> float:
        exact = ((seen - mean) ** 2).sum() / (2 * sd**2) + len(seen) * math.log(sd)
        return float(exact - log_ndtr((mean - waited) / sd).sum())

    lowest = float(seen.mean())
    highest = max(float(waited.max()), lowest) + 10 * sd
    return -float(minimize_scalar(loss, bounds=(lowest - sd, highest), method="bounded").fun)
