"""Exact bounds of a share."""

from __future__ import annotations

from scipy.stats import beta


def clopper_pearson(k: int, n: int, tail: float) -> tuple[float, float]:
    """Bounds of the share of which k of n were seen, each missed with probability at most `tail`; (0, 1) of none.

    Source: Clopper & Pearson 1934, Biometrika 26:404.
    """
    low = 0.0 if k == 0 else float(beta.ppf(tail, k, n - k + 1))
    return low, 1.0 if k == n else float(beta.ppf(1 - tail, k + 1, n - k))
