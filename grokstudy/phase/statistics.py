"""Statistics of one cell: proportions with intervals, and medians of times that were not always seen."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
from jaxtyping import Float

_ROUNDING = 1e-12
"""Survival is a product of up to a few thousand factors, each right to 2e-16: closer than this is equal."""


def wilson(k: float, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson score interval of the proportion k / n; (NaN, NaN) when n is 0.

    Source: Wilson 1927, JASA 22:209. Never leaves [0, 1] and stays useful for k = 0 and k = n, where the usual
    normal interval has no width.
    """
    if n == 0:
        return math.nan, math.nan
    z2 = NormalDist().inv_cdf(0.5 + confidence / 2) ** 2
    centre = (k + z2 / 2) / (n + z2)
    half = math.sqrt(z2 * (k * (n - k) / n + z2 / 4)) / (n + z2)
    return (0.0 if k == 0 else centre - half), (1.0 if k == n else centre + half)


def wilson_with_undetermined(k: int, n: int, undetermined: int, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson interval that holds whatever the undetermined trials turn out to be: all failures, or all successes."""
    every = n + undetermined
    return wilson(k, every, confidence)[0], wilson(k + undetermined, every, confidence)[1]


def censored_quantile(
    times: Float[np.ndarray, " trials"], censored_at: Float[np.ndarray, " trials"], q: float = 0.5
) -> float | None:
    """Kaplan-Meier quantile: the first time at which the share of trials still waiting is at most 1 - q.

    Source: Kaplan & Meier 1958, JASA 53:457. A trial censored at the time of another's event still waited then.

    Args:
        times: steps of the event, NaN where it was not seen.
        censored_at: steps until which the trial was watched; read only where `times` is NaN.

    Returns:
        Steps, or None if the share never falls so far (for the median: more than half are censored).
    """
    seen = ~np.isnan(times)
    last = np.where(seen, times, censored_at)
    waiting = 1.0
    for time in np.unique(times[seen]):
        at_risk = int(np.count_nonzero(last >= time))
        waiting *= 1.0 - np.count_nonzero(times == time) / at_risk
        if waiting <= 1.0 - q + _ROUNDING:
            return float(time)
    return None
