"""Profile likelihood of a power law: intervals of x_c and nu, and their common region."""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.optimize
from jaxtyping import Float

from grokstudy.phase.inference.estimate import Estimate, maximise
from grokstudy.phase.inference.power_law import FARTHEST, STEEPEST, PowerLaw

_LATTICE = 28
_NU, _GAP = 1, 2
"""Numbers of the two parameters of the region."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Profiled:
    """A parameter with its profile-likelihood interval; an infinite end is one that the data do not give."""

    at: float
    low: float
    high: float

    @property
    def open(self) -> bool:
        return not np.isfinite([self.low, self.high]).all()


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class CriticalRegion:
    """2 (log L_max - log L) on a lattice."""

    x_c: Float[np.ndarray, " columns"]
    nu: Float[np.ndarray, " rows"]
    deviance: Float[np.ndarray, "rows columns"]
    level: float
    """Up to which a pair lies in the region."""


def flattening(law: PowerLaw, estimate: Estimate) -> float:
    """Factor on the deviance's scale, at least 1, as trials of one cluster resemble each other.

    The mean eigenvalue of clustered against model variance of (nu, gap) (Rotnitzky & Jewell 1990, Biometrika 77:485).
    """
    if not estimate.clusters or not np.isfinite(estimate.covariance).all():
        return 1.0
    alone = maximise(law.likelihood, estimate.parameters, None, law.bounds).covariance[1:3, 1:3]
    if not np.isfinite(alone).all():
        return 1.0
    return max(1.0, float(np.trace(np.linalg.solve(alone, estimate.covariance[1:3, 1:3])) / 2))


def profiled(law: PowerLaw, estimate: Estimate, level: float) -> tuple[Profiled, Profiled]:
    """x_c and nu, each with the others at their best, up to a level of the deviance."""
    gaps, (low, high) = (_ends(law, estimate, which, level) for which in (_GAP, _NU))
    nu = Profiled(at=float(estimate.parameters[_NU]), low=low, high=high if high < STEEPEST else np.inf)
    return _critical(law, float(estimate.parameters[_GAP]), gaps), nu


def _ends(law: PowerLaw, estimate: Estimate, which: int, level: float) -> tuple[float, float]:
    """Where the profile deviance of a parameter passes the level, or the parameter's bounds."""
    top, at = estimate.log_likelihood, float(estimate.parameters[which])
    lowest, highest = (float(bound) for bound in law.bounds[which] if bound is not None)

    def excess(value: float) -> float:
        return 2 * (top - law.profile({which: value}, estimate.parameters)[1]) - level

    def passed(bound: float) -> float:
        inside, step = at, 0.1 if which == _GAP else 0.1 * max(at, 0.2)
        while True:
            outside = min(inside + step, bound) if bound > at else max(inside - step, bound)
            if excess(outside) > 0:
                return float(scipy.optimize.brentq(excess, inside, outside, xtol=1e-3 * step + 1e-6))
            if outside == bound:
                return bound
            inside, step = outside, 1.6 * step

    return passed(lowest), passed(highest)


def _critical(law: PowerLaw, log_gap: float, gaps: tuple[float, float]) -> Profiled:
    far = np.log(FARTHEST) - 1e-6
    ends = [law.critical(gaps[0]), law.critical(gaps[1]) if gaps[1] < far else -law.sign * np.inf]
    return Profiled(at=law.critical(log_gap), low=min(ends), high=max(ends))


def critical_region(law: PowerLaw, estimate: Estimate, level: float) -> CriticalRegion:
    """The deviance on a lattice that holds the whole region, which its two profiles at the same level bound."""
    gaps, nus = (_ends(law, estimate, which, level) for which in (_GAP, _NU))
    widest = min(gaps[1], np.log(2.0))  # an open region is drawn two ranges of x wide
    ends = np.array([law.critical(gaps[0]), law.critical(widest)])
    ends += 0.08 * np.array([-1, 1]) * (ends[1] - ends[0])
    x_c = np.linspace(float(ends.min()), float(ends.max()), _LATTICE)
    nu = np.linspace(max(nus[0] * 0.9, 0.0), nus[1] * 1.05, _LATTICE)
    deviance = np.full((_LATTICE, _LATTICE), 4 * level)
    for column, critical in enumerate(x_c):
        if law.sign * (law.nearest - critical) <= 0:
            continue  # a trial got there beyond it: impossible
        start = estimate.parameters
        for row, exponent in enumerate(nu):
            start, value = law.profile({_NU: float(exponent), _GAP: law.log_gap(float(critical))}, start)
            deviance[row, column] = min(2 * (estimate.log_likelihood - value), 4 * level)
    return CriticalRegion(x_c=x_c, nu=nu, deviance=deviance, level=level)
