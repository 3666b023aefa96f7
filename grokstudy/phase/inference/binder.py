"""Binder's cumulant of an order parameter over seeds, and where the cumulants of two sizes cross."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

from grokstudy.phase.inference.line_cut import Cells, PerCell

TWO_PEAKS = 2 / 3
"""U4 of two equal, sharp groups."""


def cumulants(
    cell: Int[np.ndarray, " rows"], value: Float[np.ndarray, " rows"], cells: int, origin: float | None = None
) -> PerCell:
    """Binder's U4 = 1 - <d^4> / (3 <d^2>^2) of every cell; NaN without any spread.

    Source: Binder 1981, Z. Phys. B 43:119; about the mean where the order parameter has no symmetry.
    """
    count = np.bincount(cell, minlength=cells)
    with np.errstate(invalid="ignore", divide="ignore"):
        centre = np.bincount(cell, weights=value, minlength=cells) / count if origin is None else np.full(cells, origin)
        away = (value - centre[cell]) ** 2
        second = np.bincount(cell, weights=away, minlength=cells) / count
        fourth = np.bincount(cell, weights=away**2, minlength=cells) / count
        u4: PerCell = 1 - fourth / (3 * second**2)
    return np.where(second > 1e-24, u4, np.nan)


def crossing(cells: Cells, u4: PerCell, small: float, large: float) -> float:
    """x at which the cumulants of two sizes, joined by straight lines over common x, change order; NaN if they do not.

    Where both are nearly equal, seeds alone make them cross: of several, the one that parts the cut best into one order
    before and the other after is taken.
    """
    own = [(cells.size == size) & np.isfinite(u4) for size in (small, large)]
    x, first, second = np.intersect1d(cells.x[own[0]], cells.x[own[1]], return_indices=True)
    apart = u4[own[0]][first] - u4[own[1]][second]
    turns = np.flatnonzero(apart[:-1] * apart[1:] < 0)
    if not len(turns):
        return float("nan")
    before = np.cumsum(apart)[turns]
    i = turns[np.abs(apart.sum() - 2 * before).argmax()]
    return float(x[i] + (x[i + 1] - x[i]) * apart[i] / (apart[i] - apart[i + 1]))
