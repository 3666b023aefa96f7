"""Expectation propagation: the Gaussian that stands for a margin given exact and one-sided evidence.

Each trial's likelihood is replaced by a Gaussian site exp(-tau f²/2 + nu f), all sites updated at once, and mixed,
since updates at once overshoot where trials lie close. Seed noise is Gaussian with standard deviation `noise`, so that
an exact value's site is exact, and a bound's likelihood Φ(side (f - bound) / noise) has closed tilted moments; it is
log-concave, so tau >= 0.
Source: Minka 2001; Rasmussen & Williams 2006, 3.6.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import scipy.linalg
from jaxtyping import Float, Int
from scipy.special import erfcx, log_ndtr

from grokstudy.samplers.surrogate.mixing import Mixing
from grokstudy.samplers.surrogate.observations import Evidence

TOLERANCE = 1e-4
"""Largest change of a posterior mean, in posterior standard deviations, at which sweeps end."""
SWEEPS = 60
_FEW = 40
"""Trials up to which sweeps start from the prior."""
_LOG_2PI, _ROOT_2, _ROOT_2_OVER_PI = float(np.log(2 * np.pi)), float(np.sqrt(2)), float(np.sqrt(2 / np.pi))
_LEAST_TAU = 1e-8
"""Smallest tau times prior variance: below it a site says nothing, and dividing by it would."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Sites:
    """Gaussian stand-ins of n likelihoods: precisions and precision-weighted values."""

    tau: Float[np.ndarray, " n"]
    nu: Float[np.ndarray, " n"]


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Start:
    """Sites that some of the trials had before: `sites` of the trials `index`."""

    index: Int[np.ndarray, " k"]
    sites: Sites


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Tilted:
    """Of a likelihood times its cavity N(mean, var): log of the integral, and its first and (minus) second derivative
    over the cavity's mean."""

    log_z: Float[np.ndarray, " n"]
    first: Float[np.ndarray, " n"]
    second: Float[np.ndarray, " n"]


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Conditioned:
    """A Gaussian process given sites. With root = √tau: B = I + root K root = L Lᵀ."""

    sites: Sites
    lower: Float[np.ndarray, "n n"]
    """L."""
    lower_inverse: Float[np.ndarray, "n n"]
    alpha: Float[np.ndarray, " n"]
    """Posterior mean = K alpha."""
    mean: Float[np.ndarray, " n"]
    var: Float[np.ndarray, " n"]


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Approximation:
    """What expectation propagation ends with."""

    state: Conditioned
    cavity_mean: Float[np.ndarray, " n"]
    """Leave-one-out mean of f at every trial."""
    cavity_var: Float[np.ndarray, " n"]
    log_z: float
    """Approximate log marginal likelihood."""
    converged: bool


def tilted(found: Evidence, mean: Float[np.ndarray, " n"], var: Float[np.ndarray, " n"], noise: float) -> Tilted:
    """Closed moments of every likelihood under its cavity; stable however far in the tail."""
    total = var + noise**2
    off = found.bound - mean
    exact = found.side == 0
    z = -found.side * off / np.sqrt(total)
    ratio = _ROOT_2_OVER_PI / erfcx(-z / _ROOT_2)  # φ(z) / Φ(z) without ever forming either
    # z + ratio > 0 always; far in the lower tail it is about -1/z and rounds, hence the floor.
    second = ratio * np.maximum(z + ratio, 0.0) / total
    return Tilted(
        np.where(exact, -0.5 * (_LOG_2PI + np.log(total) + off * off / total), log_ndtr(z)),
        np.where(exact, off / total, found.side * ratio / np.sqrt(total)),
        np.where(exact, 1 / total, np.minimum(second, 1 / total)),
    )


def condition(prior: Float[np.ndarray, "n n"], sites: Sites) -> Conditioned:
    """The process given sites; two thirds n³ multiplications and additions."""
    root = np.sqrt(sites.tau)
    matrix = prior * root[:, None]
    matrix *= root
    matrix.flat[:: len(root) + 1] += 1.0
    lower = scipy.linalg.cholesky(matrix, lower=True, overwrite_a=True, check_finite=False)
    inverse, _ = scipy.linalg.lapack.dtrtri(lower, lower=1)
    shrunk = np.einsum("ij,ij->j", inverse, inverse)
    alpha = sites.nu - root * (inverse.T @ (inverse @ (root * (prior @ sites.nu))))
    return Conditioned(
        sites=sites,
        lower=lower,
        lower_inverse=inverse,
        alpha=alpha,
        mean=prior @ alpha,
        var=(1.0 - shrunk) / sites.tau,
    )


def propagate(
    prior: Float[np.ndarray, "n n"],
    found: Evidence,
    noise: float,
    start: Start | None = None,
    tolerance: float = TOLERANCE,
) -> Approximation:
    """Sweeps over all sites at once, mixed with earlier sweeps, until the posterior means stand still.

    Args:
        prior: covariances between the trials; the prior mean is 0.
        found: what each trial says.
        noise: standard deviation of the seed noise, in dex.
        start: sites that some of the trials had before; by default every third trial is fitted first.
        tolerance: largest change of a posterior mean, in posterior standard deviations.
    """
    if not len(found):
        return _without_trials()
    n, variance = len(found), np.diagonal(prior)
    least = _LEAST_TAU / variance
    state = condition(prior, _at_least(_first_sites(prior, found, noise, start), least))
    mixing, converged = Mixing(), False
    for _ in range(SWEEPS):
        target = _sites(found, *_cavity(state), noise)
        x = np.concatenate([state.sites.tau, state.sites.nu])
        weights = np.concatenate([state.var, np.sqrt(state.var)])
        mixed = mixing.next(x, np.concatenate([target.tau, target.nu]) - x, weights)
        # Mixing may ask for a negative precision; none changes more than fivefold at once.
        tau = np.clip(mixed[:n], 0.2 * x[:n], 5 * x[:n] + 1 / variance)
        new = condition(prior, _at_least(Sites(tau, mixed[n:]), least))
        change = np.abs(new.mean - state.mean) / np.sqrt(state.var)
        state, converged = new, float(change.max()) < tolerance
        if converged:
            break
    return _finished(state, prior, found, noise, converged)


def _first_sites(prior: Float[np.ndarray, "n n"], found: Evidence, noise: float, start: Start | None) -> Sites:
    """Sites to start from: some trials have theirs, the others take those that suit the predictions of the first.

    Sites made from the prior alone count what near trials share once for each of them, and sweeps then overshoot.
    """
    variance = np.diagonal(prior)
    if start is not None:
        few = start.index
        if len(few) == len(found):
            return start.sites
        state = condition(prior[np.ix_(few, few)], _at_least(start.sites, _LEAST_TAU / variance[few]))
    elif len(found) <= _FEW:
        return _sites(found, np.zeros(len(found)), variance, noise)
    else:
        few = np.arange(0, len(found), 3)
        state = propagate(prior[np.ix_(few, few)], found.take(few), noise, tolerance=1e-2).state
    cross = prior[few]
    half = state.lower_inverse @ (np.sqrt(state.sites.tau)[:, None] * cross)
    var = np.maximum(variance - np.einsum("ij,ij->j", half, half), 1e-3 * variance)
    sites = _sites(found, cross.T @ state.alpha, var, noise)
    sites.tau[few], sites.nu[few] = state.sites.tau, state.sites.nu
    return sites


def _sites(found: Evidence, mean: Float[np.ndarray, " n"], var: Float[np.ndarray, " n"], noise: float) -> Sites:
    """Sites that give the cavities N(mean, var) their tilted moments."""
    moments = tilted(found, mean, var, noise)
    rest = np.maximum(1.0 - var * moments.second, 1e-12)
    return Sites(moments.second / rest, (moments.first + mean * moments.second) / rest)


def _at_least(sites: Sites, least: Float[np.ndarray, " n"]) -> Sites:
    return Sites(np.maximum(sites.tau, least), sites.nu)


def _cavity(state: Conditioned) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    rest = np.maximum(1.0 - state.sites.tau * state.var, 1e-12)
    return (state.mean - state.var * state.sites.nu) / rest, state.var / rest


def _finished(
    state: Conditioned, prior: Float[np.ndarray, "n n"], found: Evidence, noise: float, converged: bool
) -> Approximation:
    mean, var = _cavity(state)
    tau, nu = state.sites.tau, state.sites.nu
    total = tau + 1 / var
    log_z = (
        tilted(found, mean, var, noise).log_z.sum()
        - np.log(np.diagonal(state.lower)).sum()
        + 0.5 * np.log1p(tau * var).sum()
        + 0.5 * nu @ state.mean
        - 0.5 * (nu * nu / total).sum()
        + 0.5 * (mean / var / total * (tau * mean - 2 * nu)).sum()
    )
    return Approximation(state=state, cavity_mean=mean, cavity_var=var, log_z=float(log_z), converged=converged)


def _without_trials() -> Approximation:
    none, square = np.zeros(0), np.zeros((0, 0))
    state = Conditioned(sites=Sites(none, none), lower=square, lower_inverse=square, alpha=none, mean=none, var=none)
    return Approximation(state=state, cavity_mean=none, cavity_var=none, log_z=0.0, converged=True)
