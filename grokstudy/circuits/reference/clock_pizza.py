"""Two ways in which networks compute the waves of Fourier multiplication: the clock and the pizza.

Both read a and b as points on one circle per frequency k, at the angles w a and w b with w = 2 pi k / p, and never add
the residues themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Int

from grokstudy.circuits.reference import margins

Points: TypeAlias = Float[np.ndarray, "keys rows"]
Product: TypeAlias = Callable[[Points, Points, Points, Points], tuple[Points, Points]]
UNIT = 2.0**-53
"""Largest relative error of one float64 operation."""


def clock_scores(
    a: Int[np.ndarray, " rows"], b: Int[np.ndarray, " rows"], p: int, keys: Sequence[int], alphas: Sequence[float]
) -> Float[np.ndarray, "rows p"]:
    """sum_k alpha_k cos(w_k (a + b - c)): the two points are multiplied as complex numbers, which adds their angles.

    Equal to `FourierMultiplication.scores`, up to `clock_error`.

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 4.1; Zhong et al. 2023 (arXiv 2306.17844), section 2.
    """
    return _scores(a, b, p, keys, alphas, _multiplied)


def pizza_scores(
    a: Int[np.ndarray, " rows"], b: Int[np.ndarray, " rows"], p: int, keys: Sequence[int], alphas: Sequence[float]
) -> Float[np.ndarray, "rows p"]:
    """sum_k alpha_k |cos(w_k (a - b) / 2)| cos(w_k (a + b - c)): from the sum of the two points alone.

    The sum points in the direction w (a + b) / 2, or in the opposite one; doubling its angle removes that doubt, and
    its length 2 |cos(w (a - b) / 2)| stays as a factor. Where the length is 0 (only for even p) a wave says nothing.

    Source: Zhong et al. 2023 (arXiv 2306.17844), section 2 and equation 2.
    """
    return _scores(a, b, p, keys, alphas, _doubled_sum)


def clock_error(keys: Sequence[int], alphas: Sequence[float]) -> float:
    """An upper bound of the error of `clock_scores`.

    A cosine of our tables is wrong by less than 32 units: 19 from the angle, which is below 2 pi and rounded three
    times, 8 from a cosine that is right to 4 units in the last place. Product, sum, product and sum then err by less
    than 10 times as much for one key, and each addition over keys by one unit of the sum of |alpha|.
    """
    return UNIT * (320 + len(keys)) * math.fsum(map(abs, alphas)) * 1.01


def pizza_margin(p: int, keys: Sequence[int], alphas: Sequence[float]) -> float:
    """A proved lower bound of the pizza's (right score - any other score), over all inputs; exact scores.

    For one difference a - b the pizza is Fourier multiplication with coefficients alpha_k |cos(w_k (a - b) / 2)|: all
    differences are gone through. Positive for a prime p > 2. 0 where the factor vanishes for too many frequencies
    (even p: k (a - b) = p / 2 modulo p): there classes tie, and the pizza cannot tell them apart.
    """
    found = [
        gap
        for difference in range(p // 2 + 1)
        for gap in _weighted_gaps(p, keys, [_factor(k * difference, p) for k in keys], alphas)
    ]
    return margins.float_below(min(found)) if found else math.inf


def _weighted_gaps(
    p: int, keys: Sequence[int], factors: Sequence[tuple[Fraction, Fraction]], alphas: Sequence[float]
) -> list[Fraction]:
    """Lower bounds of sum_k alpha_k factor_k (1 - cos(w_k d)) for d = 1 .. p // 2 (the others mirror them)."""
    weights = [
        Fraction(alpha) * (low if alpha > 0 else high) for alpha, (low, high) in zip(alphas, factors, strict=True)
    ]
    gaps = []
    for d in range(1, p // 2 + 1):
        ends = [margins.cosine(k * d, p) for k in keys]
        terms = (
            weight * (margins.SCALE - (high if weight > 0 else low))
            for weight, (low, high) in zip(weights, ends, strict=True)
        )
        gaps.append(sum(terms, Fraction(0)) / margins.SCALE)
    return gaps


def _factor(j: int, p: int) -> tuple[Fraction, Fraction]:
    """Bounds of |cos(pi j / p)|; exactly 0 at a quarter turn."""
    if 2 * j % (2 * p) == p:
        return Fraction(0), Fraction(0)
    low, high = (Fraction(end, margins.SCALE) for end in margins.cosine(j, 2 * p))
    return (low, high) if low > 0 else (-high, -low)


def _scores(
    a: Int[np.ndarray, " rows"],
    b: Int[np.ndarray, " rows"],
    p: int,
    keys: Sequence[int],
    alphas: Sequence[float],
    product: Product,
) -> Float[np.ndarray, "rows p"]:
    turns = np.asarray(keys, dtype=np.int64)[:, None] * np.arange(p) % p
    cos, sin = np.cos(2 * math.pi / p * turns), np.sin(2 * math.pi / p * turns)
    x, y = product(cos[:, a], sin[:, a], cos[:, b], sin[:, b])
    weights = np.asarray(alphas, dtype=np.float64)[:, None]
    scores: Float[np.ndarray, "rows p"] = (weights * x).T @ cos + (weights * y).T @ sin
    return scores


def _multiplied(x: Points, y: Points, u: Points, v: Points) -> tuple[Points, Points]:
    """(x + iy)(u + iv)."""
    return x * u - y * v, x * v + y * u


def _doubled_sum(x: Points, y: Points, u: Points, v: Points) -> tuple[Points, Points]:
    """The sum of the points with its angle doubled and half its length; 0 where they cancel."""
    x, y = x + u, y + v
    length = np.hypot(x, y)
    cancelled = length < 1e-9  # a point's error is 1e-15; the shortest true sum is 2 cos(pi (p - 1) / (2 p)) > 3 / p
    safe = np.where(cancelled, 1.0, 2 * length)
    return np.where(cancelled, 0.0, (x * x - y * y) / safe), np.where(cancelled, 0.0, 2 * x * y / safe)
