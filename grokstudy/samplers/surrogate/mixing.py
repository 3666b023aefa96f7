"""Anderson mixing: a fixed point x = g(x) found in few evaluations of g from the differences of earlier ones.

Source: Anderson 1965; Walker & Ni 2011.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

MEMORY = 6
STEP = 0.8
"""Share of the residual that a step goes; alone it would damp a sweep that overshoots."""
_LEAST_STEP = 0.3


class Mixing:
    """Remembers the last positions and residuals g(x) - x; forgets them when a residual has doubled."""

    __slots__ = ("_best", "_positions", "_residuals", "_step")

    def __init__(self) -> None:
        self._positions: list[Float[np.ndarray, " m"]] = []
        self._residuals: list[Float[np.ndarray, " m"]] = []
        self._step, self._best = STEP, np.inf

    def next(
        self, x: Float[np.ndarray, " m"], residual: Float[np.ndarray, " m"], weights: Float[np.ndarray, " m"]
    ) -> Float[np.ndarray, " m"]:
        """Where to evaluate g next.

        Args:
            x: where g was evaluated.
            residual: g(x) - x.
            weights: make residuals comparable.
        """
        size = float(np.sqrt(np.mean((residual * weights) ** 2)))
        if size > 2 * self._best:
            self._positions, self._residuals = [], []
            self._step = max(0.6 * self._step, _LEAST_STEP)
        self._best = min(self._best, size)
        self._positions = [*self._positions, x][-MEMORY:]
        self._residuals = [*self._residuals, residual][-MEMORY:]
        plain = x + self._step * residual
        if len(self._positions) == 1:
            return plain
        moves = np.diff(np.array(self._positions), axis=0).T
        changes = np.diff(np.array(self._residuals), axis=0).T
        share, *_ = np.linalg.lstsq(changes * weights[:, None], residual * weights, rcond=1e-6)
        return np.asarray(plain - (moves + self._step * changes) @ share)
