"""One sample in two groups: the best split, values known in steps only, and p-values of many samples."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from grokstudy.phase.inference.line_cut import PerCell

FEWEST_ROWS, MOST_ROWS = 20, 20_000
"""Of a test set whose accuracies are recognised as shares."""
_FLOAT = 1e-7
"""Relative error of a stored accuracy."""


def resolution(value: Float[np.ndarray, " n"]) -> float:
    """The step in which an accuracy is known, 1 / n: n is the least number of test rows that explains all values.

    At least FEWEST_ROWS rows are supposed, so that two far values are never taken for neighbouring steps. 0 for numbers
    that are no shares of MOST_ROWS rows or fewer.
    """
    rows = np.arange(FEWEST_ROWS, MOST_ROWS + 1)
    distinct = np.unique(value)
    for one in distinct:  # each value leaves fewer candidates
        rows = rows[np.abs(rows * one - np.round(rows * one)) < _FLOAT * rows]
    return float(1 / rows[0]) if len(rows) and len(distinct) > 1 else 0.0


def spread(value: Float[np.ndarray, " n"], step: float) -> Float[np.ndarray, " n"]:
    """The values with equal ones spread evenly over one step, so that steps of an accuracy are not taken for groups."""
    ordered = np.sort(value)
    _, first, count = np.unique(ordered, return_index=True, return_counts=True)
    rank = np.arange(len(ordered)) - np.repeat(first, count)
    return np.asarray(ordered + step * ((rank + 0.5) / np.repeat(count, count) - 0.5))


def two_groups(value: Float[np.ndarray, " n"]) -> tuple[float, float, float]:
    """Means of the lower and upper group, and the upper one's share, of the split with the least variance inside.

    NaN if all values are equal. It always finds two groups: whether they are real is what the dip says.
    """
    ordered = np.sort(value)
    cuts = np.flatnonzero(np.diff(ordered) > 0) + 1
    if not len(cuts):
        return float("nan"), float("nan"), float("nan")
    sums, n = np.cumsum(ordered), len(ordered)
    lower, upper = sums[cuts - 1] / cuts, (sums[-1] - sums[cuts - 1]) / (n - cuts)
    best = int((cuts * (n - cuts) * (upper - lower) ** 2).argmax())
    return float(lower[best]), float(upper[best]), float(1 - cuts[best] / n)


def holm(p: PerCell) -> PerCell:
    """p-values adjusted for their number (Holm 1979, Scand. J. Stat. 6:65); NaN ones were not tested."""
    tested = np.flatnonzero(np.isfinite(p))
    order = tested[np.argsort(p[tested])]
    adjusted = np.full(len(p), np.nan)
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0) if len(order) else p[order]
    return adjusted
