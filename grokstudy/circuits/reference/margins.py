"""Rigorous bounds for sums of cosines: whole numbers rounded outwards, and not one floating-point number in the proof.

A number x is enclosed by two whole numbers `low <= x * SCALE <= high`. Cosines come from their Taylor series with the
remainder added to the bounds, so nothing depends on a mathematics library or on how a processor rounds.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from jaxtyping import Float

BITS = 160
SCALE = 1 << BITS
PI_DIGITS = 314159265358979323846264338327950288419716939937510582097494459
"""The first 63 digits of pi: pi lies between this and the next whole number, over 10^62."""
PI_SCALE = 10**62


@functools.lru_cache(maxsize=4096)
def cosine(j: int, n: int) -> tuple[int, int]:
    """Bounds (low, high) of cos(2 pi j / n) * SCALE; both SCALE, exactly, where the angle is a whole turn."""
    j = min(j % n, -j % n)  # cos(2 pi - x) = cos(x): from here on the angle is in [0, pi]
    if j == 0:
        return SCALE, SCALE
    low, high = (2 * digits * j * SCALE for digits in (PI_DIGITS, PI_DIGITS + 1))
    squares = (low // (n * PI_SCALE)) ** 2 // SCALE, _up(_up(high, n * PI_SCALE) ** 2, SCALE)
    return _cosine_series(*squares)


def _cosine_series(low: int, high: int) -> tuple[int, int]:
    """Bounds of cos(x) from bounds of x^2, for x in [0, pi].

    The error of a partial sum is at most the size of the first term left out (Lagrange's remainder: every derivative
    of the cosine is at most 1).
    """
    bottom = top = SCALE
    least = most = SCALE  # bounds of x^(2i) / (2i)!
    for i in range(1, 200):
        divisor = (2 * i - 1) * (2 * i) * SCALE
        least, most = least * low // divisor, _up(most * high, divisor)
        if most <= 1:
            break
        bottom, top = (bottom - most, top - least) if i % 2 else (bottom + least, top + most)
    return bottom - most, top + most


def _up(number: int, divisor: int) -> int:
    """number / divisor, rounded up."""
    return -(-number // divisor)


def gaps(n: int, keys: Sequence[int], coefficients: Sequence[float]) -> list[Fraction]:
    """Lower bounds of sum_k alpha_k (1 - cos(2 pi k d / n)) for d = 1 .. n - 1: right answer minus an answer d away.

    Exactly 0 where every k d is a multiple of n. A coefficient may have any sign; its float is taken as the exact
    number that it is.
    """
    alphas, unit = _whole(coefficients)
    half = [Fraction(_gap(n, keys, alphas, d), unit * SCALE) for d in range(1, n // 2 + 1)]
    return [half[min(d, n - d) - 1] for d in range(1, n)]


def distance(values: Float[np.ndarray, " n"], keys: Sequence[int], coefficients: Sequence[float]) -> Fraction:
    """An upper bound of |values[d] - sum_k alpha_k cos(2 pi k d / n)| over all d: the error of a computed response."""
    alphas, unit = _whole(coefficients)
    worst = Fraction(0)
    for d, value in enumerate(values.tolist()):
        low = high = 0
        for k, alpha in zip(keys, alphas, strict=True):
            below, above = sorted(alpha * end for end in cosine(k * d, len(values)))
            low, high = low + below, high + above
        exact = Fraction(value)
        worst = max(worst, exact - Fraction(low, unit * SCALE), Fraction(high, unit * SCALE) - exact)
    return worst


def _gap(n: int, keys: Sequence[int], alphas: Sequence[int], d: int) -> int:
    ends = [cosine(k * d, n) for k in keys]
    return sum(alpha * (SCALE - (high if alpha > 0 else low)) for alpha, (low, high) in zip(alphas, ends, strict=True))


def _whole(coefficients: Sequence[float]) -> tuple[list[int], int]:
    """Whole numbers and their common denominator; exact, since a float is a whole number over a power of two."""
    exact = [Fraction(alpha) for alpha in coefficients]
    unit = max((alpha.denominator for alpha in exact), default=1)
    return [int(alpha * unit) for alpha in exact], unit


def float_below(x: Fraction) -> float:
    """The largest float that is not above x."""
    nearest = float(x)
    return nearest if Fraction(nearest) <= x else math.nextafter(nearest, -math.inf)


def float_above(x: Fraction) -> float:
    """The smallest float that is not below x."""
    return -float_below(-x)
