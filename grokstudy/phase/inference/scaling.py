"""Curves of several sizes as one: scaled variables, their misfit to a common spline, and the exponents of the least."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float, Int
from scipy.interpolate import make_lsq_spline
from scipy.optimize import minimize

from grokstudy.phase.inference.line_cut import LineCut, PerCell, moments

KNOTS = 4
"""Inside the spline, at equal shares of the points: a sigmoid and its bends, not its noise."""
SPLINE_PARAMETERS = KNOTS + 4
_STARTS = (0.0, 0.5, 1.0, 2.0)
"""Tried for 1/nu."""
Theta = Float[np.ndarray, "3"]
"""x_c, 1/nu, beta/nu."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class SizedCells:
    """Mean, its standard error, x and size of every cell; x is what is scaled (a logarithm on a log cut)."""

    x: PerCell
    size: PerCell
    mean: PerCell
    error: PerCell

    def without(self, size: float) -> SizedCells:
        kept = self.size != size
        return SizedCells(x=self.x[kept], size=self.size[kept], mean=self.mean[kept], error=self.error[kept])


def sized_cells(cut: LineCut, rows: Int[np.ndarray, " rows"]) -> SizedCells:
    """Means of the drawn trials of every cell.

    A cell of few seeds knows its variance badly, and one deep inside a phase has none at all: half of each cell's
    variance is its own and half is the mean over cells.
    """
    cells = cut.cells
    mean, own = moments(cells.cell[rows], cut.value[rows], len(cells))
    count = np.bincount(cells.cell[rows], minlength=len(cells))
    variance = (np.nan_to_num(own) + np.nanmean(own)) / 2
    error = np.sqrt(np.maximum(variance, 1e-12) / np.maximum(count, 1))
    x = np.log10(cells.x) if cut.log else cells.x
    return SizedCells(x=x, size=cells.size, mean=mean, error=error)


def scaled(cells: SizedCells, theta: Theta) -> tuple[PerCell, PerCell, PerCell]:
    """Scaled x, mean and error. Sizes are taken relative to their geometric mean, which changes no exponent."""
    x_c, inverse_nu, beta_by_nu = theta
    relative = cells.size / np.exp(np.log(cells.size).mean())
    height = relative**beta_by_nu
    return (cells.x - x_c) * relative**inverse_nu, cells.mean * height, cells.error * height


def misfit(cells: SizedCells, theta: Theta) -> float:
    """chi^2 of the scaled points about their common spline."""
    x, y, error = scaled(cells, theta)
    return float((((y - common_curve(x, y, error)) / error) ** 2).sum())


def best(cells: SizedCells, start: Theta | None = None) -> Theta:
    """Exponents of the least misfit, from one start or from a lattice of them."""
    starts = [start] if start is not None else _starts(cells)
    width = float(np.ptp(cells.x))
    found = [
        minimize(
            lambda theta: misfit(cells, theta) + _outside(cells, theta),
            x0,
            method="Nelder-Mead",
            options={
                "initial_simplex": x0 + np.vstack([np.zeros(3), np.diag([0.1 * width, 0.3, 0.1])]),
                "maxiter": 400,
                "xatol": 1e-4 * width,
                "fatol": 1e-3,
            },
        )
        for x0 in starts
    ]
    return np.asarray(min(found, key=lambda one: float(one.fun)).x)


def _starts(cells: SizedCells) -> list[Theta]:
    """The best few places of a lattice in x_c and 1/nu."""
    places = np.quantile(cells.x, [0.2, 0.35, 0.5, 0.65, 0.8])
    lattice = [np.array([x_c, inverse_nu, 0.0]) for x_c in places for inverse_nu in _STARTS]
    return sorted(lattice, key=lambda theta: misfit(cells, theta))[:4]


def _outside(cells: SizedCells, theta: Theta) -> float:
    """A wall: x_c stays in the cut, exponents below 10 in size."""
    over = max(cells.x.min() - theta[0], theta[0] - cells.x.max(), 0.0) / np.ptp(cells.x)
    return 1e4 * float(over + max(abs(theta[1]) - 10, 0.0) + max(abs(theta[2]) - 10, 0.0))


def common_curve(x: PerCell, y: PerCell, error: PerCell) -> PerCell:
    """A weighted cubic least-squares spline through the points, read at them."""
    order = np.argsort(x, kind="stable")
    at = x[order] + np.arange(len(x)) * 1e-9 * max(float(np.ptp(x)), 1e-12)  # equal places are a hair apart
    inner = np.quantile(at, np.linspace(0, 1, KNOTS + 2)[1:-1])
    knots = np.concatenate([[at[0]] * 4, inner, [at[-1]] * 4])
    fitted = make_lsq_spline(at, y[order], knots, k=3, w=1 / error[order])(at)
    heights = np.empty(len(x))
    heights[order] = fitted
    return heights
