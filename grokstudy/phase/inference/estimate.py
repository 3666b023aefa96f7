"""Maximum likelihood with errors that hold when trials of one cluster resemble each other."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from statistics import NormalDist
from typing import TypeAlias

import numpy as np
import scipy.optimize
from jaxtyping import Bool, Float, Int
from scipy.stats import t as student

Parameters: TypeAlias = Float[np.ndarray, " parameters"]
Scores: TypeAlias = Float[np.ndarray, "trials parameters"]
Model: TypeAlias = Callable[[Parameters], tuple[Float[np.ndarray, " trials"], Scores]]
"""Parameters to the log-likelihood of every trial and its derivatives."""
FEWEST_CLUSTERS = 6
"""Below this the cluster errors are too small more often than they say; those of the model are given instead."""
_IMPOSSIBLE = 1e12
_STEP = 1e-4
_FLAT = 1e-7
_TAKES_PART = 1e-6
_LARGEST = 700.0


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Estimate:
    """Where the likelihood is largest."""

    parameters: Parameters
    covariance: Float[np.ndarray, "parameters parameters"]
    log_likelihood: float
    clusters: int
    """Behind the covariance; 0 if it is the model's own."""

    @property
    def aic(self) -> float:
        return 2 * len(self.parameters) - 2 * self.log_likelihood

    def factor(self, confidence: float) -> float:
        """Standard errors on each side of an estimate: Student's t with one less than the clusters, or normal's."""
        p = 0.5 + confidence / 2
        return float(student.ppf(p, self.clusters - 1)) if self.clusters else NormalDist().inv_cdf(p)

    def interval(self, direction: Parameters, confidence: float) -> tuple[float, float, float]:
        """Estimate, low and high of a linear combination; infinite ends where the data do not bound it."""
        at = float(direction @ self.parameters)
        used = np.flatnonzero(direction)
        block = self.covariance[np.ix_(used, used)]
        known = bool(np.isfinite(block).all())
        variance = float(direction[used] @ block @ direction[used]) if known else np.inf
        half = self.factor(confidence) * variance**0.5 if variance >= 0 else np.inf
        return at, at - half, at + half


def maximise(
    model: Model,
    start: Parameters,
    cluster: Float[np.ndarray, " trials"] | None = None,
    bounds: list[tuple[float | None, float | None]] | None = None,
) -> Estimate:
    """The maximum, by L-BFGS-B from `start`; the covariance is the sandwich over clusters if there are enough of them.

    Source: sandwich, Lin & Wei 1989, JASA 84:1074, with G / (G - 1) for G clusters. Where the likelihood has no
    curvature (a parameter at its bound, or one that the data do not speak of) variances are infinite.
    """

    def loss(parameters: Parameters) -> tuple[float, Parameters]:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # far from any data: rejected below
            value, scores = model(parameters)
            total, slope = float(value.sum()), scores.sum(axis=0)
        if not (np.isfinite(total) and np.isfinite(slope).all()):
            return _IMPOSSIBLE, np.zeros(len(parameters))
        return -total, -slope

    options = {"maxiter": 500, "ftol": 1e-13, "gtol": 1e-7, "maxls": 50}
    found = scipy.optimize.minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    parameters: Parameters = found.x
    value, scores = model(parameters)
    inverse, loose = _inverse(_information(model, parameters))
    groups = np.zeros(0) if cluster is None else np.unique(cluster)
    clustered = len(groups) >= FEWEST_CLUSTERS
    if cluster is not None and clustered:
        summed = _by_group(scores, np.searchsorted(groups, cluster), len(groups))
        inverse = inverse @ (summed.T @ summed) @ inverse * len(groups) / (len(groups) - 1)
    inverse[loose, :] = inverse[:, loose] = np.inf
    return Estimate(
        parameters=parameters,
        covariance=inverse,
        log_likelihood=float(value.sum()),
        clusters=len(groups) if clustered else 0,
    )


def _information(model: Model, at: Parameters) -> Float[np.ndarray, "parameters parameters"]:
    """Minus the second derivatives, by central differences of the first."""
    rows = []
    for k in range(len(at)):
        step = np.zeros(len(at))
        step[k] = _STEP * max(1.0, abs(at[k]))
        up, down = model(at + step)[1].sum(axis=0), model(at - step)[1].sum(axis=0)
        rows.append((down - up) / (2 * step[k]))
    information = np.array(rows)
    result: Float[np.ndarray, "parameters parameters"] = (information + information.T) / 2
    return result


def _inverse(
    information: Float[np.ndarray, "parameters parameters"],
) -> tuple[Float[np.ndarray, "parameters parameters"], Bool[np.ndarray, " parameters"]]:
    """The inverse over the directions with curvature, and which parameters take part in the others."""
    if not np.isfinite(information).all():
        return np.zeros_like(information), np.ones(len(information), dtype=bool)
    values, vectors = np.linalg.eigh(information)
    known = values > _FLAT * max(float(values.max()), 1.0)
    loose = (vectors[:, ~known] ** 2).sum(axis=1) > _TAKES_PART
    return (vectors[:, known] / values[known]) @ vectors[:, known].T, loose


def _by_group(scores: Scores, group: Int[np.ndarray, " trials"], groups: int) -> Float[np.ndarray, "groups parameters"]:
    summed = np.zeros((groups, scores.shape[1]))
    np.add.at(summed, group, scores)
    return summed


def exponentials(ends: tuple[float, float, float]) -> tuple[float, float, float]:
    """Estimate and ends of an interval from the logarithm; beyond what a number can hold they are 0 and infinite."""
    at, low, high = (float(np.exp(end)) if abs(end) < _LARGEST else 0.0 if end < 0 else float("inf") for end in ends)
    return at, low, high
