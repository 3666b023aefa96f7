"""One margin given its trials: mean, spread and covariances of its Gaussian at any places."""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.linalg
from jaxtyping import Float
from scipy.special import ndtr

from grokstudy.samplers.surrogate.ep import Approximation, propagate
from grokstudy.samplers.surrogate.hyper import Settings, remembered, start_from
from grokstudy.samplers.surrogate.observations import Evidence
from grokstudy.samplers.surrogate.space import Places

MOST = 1000
"""Trials of a margin up to which all are used."""
SATURATED = 3.0
"""Of more, those that a model of the others predicts at so many standard deviations are thinned ...

Measured on 2,500 trials of a map with four outcomes: near the boundary means move by .015 sd (95th percentile) and
standard deviations grow by .1 %; at 2.5 sd by .05 and .3 %."""
KEPT = 5
"""... to every fifth."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Seen:
    """A margin at m places, in dex; `half` carries its covariances: cov(a, b) = k(a, b) - half_aᵀ half_b."""

    places: Places
    mean: Float[np.ndarray, " m"]
    var: Float[np.ndarray, " m"]
    half: Float[np.ndarray, "n m"]

    def take(self, index: np.ndarray) -> Seen:
        return Seen(self.places.take(index), self.mean[index], self.var[index], self.half[:, index])


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Latent:
    """The posterior of one margin; the seed noise is not part of the latent function."""

    settings: Settings
    evidence: Evidence
    """As used: exact values in the window only, thinned where there were too many."""
    approximation: Approximation

    def at(self, places: Places) -> Seen:
        """Mean and variance at places, with what covariances between them need; n² m operations."""
        state = self.approximation.state
        cross = self.settings.kernel(self.evidence.places, places)
        mean = cross.T @ state.alpha
        cross *= np.sqrt(state.sites.tau)[:, None]
        half = (
            scipy.linalg.solve_triangular(state.lower, cross, lower=True, overwrite_b=True, check_finite=False)
            if len(cross)
            else cross
        )
        # Rounding may leave a variance a hair below 0 at a place that was run often.
        var = np.maximum(self.settings.kernel.variance - np.einsum("ij,ij->j", half, half), 1e-12)
        return Seen(places, mean, var, half)

    def covariance(self, a: Seen, b: Seen) -> Float[np.ndarray, "a b"]:
        """Posterior covariances between two lists of places."""
        return np.asarray(self.settings.kernel(a.places, b.places) - a.half.T @ b.half)

    def mean(self, places: Places) -> Float[np.ndarray, " m"]:
        """Means alone: quick, n m operations."""
        return np.asarray(self.settings.kernel(places, self.evidence.places) @ self.approximation.state.alpha)

    def gradient(self, places: Places) -> Float[np.ndarray, "m d"]:
        """Gradient of the mean, dex per unit of the cube."""
        return self.settings.kernel.gradient_of_sum(places, self.evidence.places, self.approximation.state.alpha)


def learn(found: Evidence, settings: Settings) -> Latent:
    """The posterior of a margin under given settings."""
    windowed = found.within(settings.window)
    used = windowed.take(_telling(windowed, settings))
    start = start_from(settings, used)
    approximation = propagate(settings.kernel(used.places, used.places), used, settings.noise, start)
    return Latent(settings=remembered(settings, used, approximation), evidence=used, approximation=approximation)


def _telling(found: Evidence, settings: Settings) -> np.ndarray:
    """Indices of trials to use: all up to MOST; of more, those that say something that others do not say already.

    Every k-th trial (in the order of places) makes a model that predicts the rest. A trial far inside a region it
    already knows changes nothing but the time that is spent: of these one in five stays.
    """
    n = len(found)
    if n <= MOST:
        return np.arange(n)
    few = np.arange(0, n, -(-n // (MOST // 2)))
    rest = np.setdiff1d(np.arange(n), few)
    part = found.take(few)
    model = Latent(
        settings=settings,
        evidence=part,
        approximation=propagate(settings.kernel(part.places, part.places), part, settings.noise, tolerance=1e-2),
    )
    seen = model.at(found.places.take(rest))
    z = found.side[rest] * (seen.mean - found.bound[rest]) / np.sqrt(seen.var + settings.noise**2)
    known = rest[z > SATURATED]
    return np.sort(np.concatenate([few, np.setdiff1d(rest, known), known[::KEPT]]))


def share_below(mean: np.ndarray, var: np.ndarray) -> np.ndarray:
    """P(f < 0) of Gaussians."""
    return np.asarray(ndtr(-mean / np.sqrt(var)))
