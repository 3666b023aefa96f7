"""The nonparametric distribution of times that are known to lie in intervals."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from grokstudy.phase.inference.intervals import Intervals

_ROUNDS = 5000
_CLOSE = 1e-10
_HALF = 0.5 - 1e-9


def turnbull(
    seen: Intervals,
) -> tuple[Float[np.ndarray, " pieces"], Float[np.ndarray, " pieces"], Float[np.ndarray, " pieces"]]:
    """Innermost intervals (low, high] and the probability of each, by self-consistency.

    Only intervals that begin at some trial's low and end at the next high can hold probability; trials of one study
    are evaluated at the same steps, so that theirs are mostly equal or apart and one round is enough.

    Source: Turnbull 1976, J. R. Stat. Soc. B 38:290.
    """
    low, high = _innermost(seen)
    holds = (low[None, :] >= seen.low[:, None]) & (high[None, :] <= seen.high[:, None])
    p = np.full(len(low), 1.0 / len(low))
    for _ in range(_ROUNDS):
        weight = holds * p
        again = (weight / weight.sum(axis=1, keepdims=True)).mean(axis=0)
        if np.abs(again - p).max() < _CLOSE:
            break
        p = again
    return low, high, p


def turnbull_median(seen: Intervals) -> tuple[float, float]:
    """Ends of the interval in which the estimate falls to one half; NaN if half of it lies after the last step."""
    low, high, p = turnbull(seen)
    place = int(np.searchsorted(np.cumsum(p), _HALF))
    if place >= len(p) or not np.isfinite(high[place]):
        return float("nan"), float("nan")
    return float(low[place]), float(high[place])


def _innermost(seen: Intervals) -> tuple[Float[np.ndarray, " pieces"], Float[np.ndarray, " pieces"]]:
    """Every low that is followed by a high before any other low."""
    lows, highs = np.unique(seen.low), np.unique(seen.high)
    end = highs[np.searchsorted(highs, lows, side="right")]  # the next high; a trial's own high is beyond its low
    following = np.r_[lows[1:], np.inf]
    inner = end <= following
    return lows[inner], end[inner]
