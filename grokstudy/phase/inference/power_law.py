"""The law t = A d^-nu with d the distance to a critical value x_c, lognormal around it, right-censored."""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.optimize
from jaxtyping import Float

from grokstudy.phase.inference.estimate import Estimate, Parameters, Scores, maximise
from grokstudy.phase.inference.families import LOGNORMAL
from grokstudy.phase.inference.intervals import Intervals
from grokstudy.phase.inference.likelihood import slopes

FARTHEST = 20.0
"""How far x_c may lie from the nearest trial that got there, in ranges of x: as good as infinitely far."""
STEEPEST = 40.0
_NEAREST = 1e-6
_STARTS = (0.01, 0.05, 0.2, 1.0)


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class PowerLaw:
    """Trials of one setting; beyond x_c (seen from the side where they get there) nobody ever does.

    Parameters: log A, nu, log of the gap between x_c and the nearest trial that got there (in ranges of x), log scale.
    """

    x: Float[np.ndarray, " trials"]
    seen: Intervals
    cluster: Float[np.ndarray, " trials"] | None
    rises: bool
    """Whether trials get there above x_c (else below)."""

    @property
    def sign(self) -> float:
        return 1.0 if self.rises else -1.0

    @property
    def nearest(self) -> float:
        """The x nearest to x_c at which a trial got there."""
        there = self.x[self.seen.happened]
        return float(there.min() if self.rises else there.max())

    @property
    def span(self) -> float:
        return float(np.ptp(self.x))

    def critical(self, log_gap: float) -> float:
        """x_c."""
        return self.nearest - self.sign * self.span * float(np.exp(log_gap))

    def log_gap(self, critical: float) -> float:
        """The parameter that means this x_c."""
        return float(np.log(max(self.sign * (self.nearest - critical) / self.span, _NEAREST)))

    def likelihood(self, parameters: Parameters) -> tuple[Float[np.ndarray, " trials"], Scores]:
        """Log-likelihood of every trial and its derivatives; a trial beyond x_c is certain not to get there."""
        level, nu, log_gap, log_scale = parameters
        gap = np.exp(np.clip(log_gap, -30, 10))
        distance = self.sign * (self.x - self.nearest) / self.span + gap
        inside = distance > 0
        log_distance = np.log(np.where(inside, distance, 1.0))
        found = slopes(LOGNORMAL, self.seen, level - nu * log_distance, float(np.exp(np.clip(log_scale, -10, 10))))
        by_gap = -nu * gap / np.where(inside, distance, 1.0)
        scores = np.column_stack(
            [found.location, -found.location * log_distance, found.location * by_gap, found.log_scale]
        )
        return np.where(inside, found.value, 0.0), np.where(inside[:, None], scores, 0.0)

    def best(self) -> Estimate:
        """The maximum over all four, from several gaps."""
        starts = [self._climb({2: float(np.log(gap))})[0] for gap in _STARTS]
        found = [maximise(self.likelihood, start, self.cluster, self.bounds) for start in starts]
        return max(found, key=lambda one: one.log_likelihood)

    def profile(self, held: dict[int, float], start: Parameters | None = None) -> tuple[Parameters, float]:
        """The best parameters and log-likelihood with some of the four held (by number)."""
        return self._climb(held, start)

    @property
    def bounds(self) -> list[tuple[float | None, float | None]]:
        return [(None, None), (0.0, STEEPEST), (np.log(_NEAREST), np.log(FARTHEST)), (-7.0, 4.0)]

    def _climb(self, held: dict[int, float], start: Parameters | None = None) -> tuple[Parameters, float]:
        free = [k for k in range(4) if k not in held]
        whole = self._start(held) if start is None else start.copy()
        for k, value in held.items():
            whole[k] = value

        def loss(values: Parameters) -> tuple[float, Parameters]:
            whole[free] = values
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                value, scores = self.likelihood(whole)
                total, slope = float(value.sum()), scores.sum(axis=0)[free]
            return (-total, -slope) if np.isfinite(total) and np.isfinite(slope).all() else (1e12, np.zeros(len(free)))

        bounds = [self.bounds[k] for k in free]
        found = scipy.optimize.minimize(loss, whole[free], jac=True, method="L-BFGS-B", bounds=bounds)
        whole[free] = found.x
        return whole, -float(found.fun)

    def _start(self, held: dict[int, float]) -> Parameters:
        """Least squares of the times seen at a gap."""
        log_gap = held.get(2, float(np.log(0.1)))
        there = self.seen.happened
        distance = np.log(self.sign * (self.x[there] - self.nearest) / self.span + np.exp(log_gap))
        logs = np.log(self.seen.high[there])
        slope, level = np.polyfit(distance, logs, 1) if np.ptp(distance) > 0 else (-1.0, float(logs.mean()))
        scale = max(float(np.std(logs - level - slope * distance)), 0.1)
        return np.array([level, np.clip(-slope, 0.1, STEEPEST), log_gap, np.log(scale)])
