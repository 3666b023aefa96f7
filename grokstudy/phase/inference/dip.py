"""Hartigan's dip: how far a sample is from the nearest distribution with one mode."""

from __future__ import annotations

import functools
import itertools

import numpy as np
from jaxtyping import Float

Numbers = Float[np.ndarray, " n"]
_EQUAL = 1e-12
"""Gaps are sums of a few shares: closer than this is equal."""
MOST_SIMULATED = 300


def dip(sample: Numbers) -> float:
    """Greatest distance of the sample's distribution function F to the nearest one that has a single mode.

    The nearest one is convex, then straight, then concave: below the modal interval [x_lo, x_hi] it is the greatest
    convex minorant of F, above it the least concave majorant, each moved by the dip. The interval begins as the whole
    range and shrinks to where minorant and majorant are furthest apart, until that is no more than twice the distance
    that is needed outside of it. Equal values are one jump of F; a jump is free at the mode alone.

    Returns:
        Between 1 / (2 n) (0 if all are equal) and 1/4.

    Source: Hartigan & Hartigan 1985, Ann. Stat. 13:70; written from its definition.
    """
    place, counts = np.unique(sample, return_counts=True)
    above = np.cumsum(counts) / len(sample)
    x, b = place.tolist(), above.tolist()
    a = [0.0, *b[:-1]]  # F just below each place
    lo, hi, twice = 0, len(x) - 1, (1 / len(sample) if len(x) > 1 else 0.0)
    while lo < hi:
        minorant, majorant = _hull(x, a, lo, hi, 1), _hull(x, b, lo, hi, -1)
        under, over = _read(minorant, x, a, lo, hi), _read(majorant, x, b, lo, hi)
        gap_at_minorant, first = max((over[i - lo] - a[i], i) for i in minorant)
        gap_at_majorant, last = max((b[i] - under[i - lo], i) for i in majorant)
        if max(gap_at_minorant, gap_at_majorant) <= twice + _EQUAL:
            break
        if gap_at_minorant >= gap_at_majorant:
            new_lo, new_hi = first, next(i for i in majorant if i >= first)
        else:
            new_lo, new_hi = next(i for i in reversed(minorant) if i <= last), last
        below = max((b[i] - under[i - lo] for i in range(lo, new_lo)), default=0.0)
        beyond = max((over[i - lo] - a[i] for i in range(new_hi + 1, hi + 1)), default=0.0)
        twice = max(twice, below, beyond)
        if (new_lo, new_hi) == (lo, hi):
            break
        lo, hi = new_lo, new_hi
    return twice / 2


def dip_p_value(statistic: float, n: int, samples: int = 2000) -> float:
    """Share of uniform samples of n with at least this dip, the observed one counted: never below 1 / (samples + 1).

    The uniform distribution is the null of the test: asymptotically the unimodal one with the largest dip. Above
    MOST_SIMULATED, sqrt(n) times the dip is taken to have the distribution that it has there, as the source does.
    """
    simulated = min(n, MOST_SIMULATED)
    null = uniform_dips(simulated, samples) * (simulated / n) ** 0.5
    return float((1 + (null >= statistic - _EQUAL).sum()) / (samples + 1))


@functools.lru_cache(maxsize=64)
def uniform_dips(n: int, samples: int) -> Numbers:
    """Dips of `samples` uniform samples of n, from a fixed seed: a p-value is the same each time it is asked for."""
    generator = np.random.default_rng([n, samples])
    return np.array([dip(generator.random(n)) for _ in range(samples)])


def _hull(x: list[float], y: list[float], lo: int, hi: int, side: int) -> list[int]:
    """Touching points of the greatest convex minorant (side 1) or the least concave majorant (side -1) on [lo, hi]."""
    kept: list[int] = []
    for i in range(lo, hi + 1):
        while len(kept) > 1:
            j, k = kept[-2], kept[-1]
            if side * ((y[k] - y[j]) * (x[i] - x[k]) - (y[i] - y[k]) * (x[k] - x[j])) < 0:
                break
            kept.pop()
        kept.append(i)
    return kept


def _read(hull: list[int], x: list[float], y: list[float], lo: int, hi: int) -> list[float]:
    """Heights of a hull at every place of [lo, hi]."""
    heights: list[float] = []
    for j, k in itertools.pairwise(hull):
        slope = (y[k] - y[j]) / (x[k] - x[j])
        heights += [y[j] + slope * (x[i] - x[j]) for i in range(j, k)]
    return [*heights, y[hi]]
