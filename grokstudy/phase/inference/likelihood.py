"""The likelihood of censored times, with its derivatives, for times that depend on settings and may never come.

A trial gets there at all with probability pi, and if so at log t = location + scale * z:

    seen between two evaluations   log pi + log(S(a) - S(b))
    not seen until c               log(1 - pi + pi S(c))

with S the share of z that is larger. pi = 1 is the plain accelerated failure time model (Kalbfleisch & Prentice 2002,
chapter 3); pi < 1 the mixture cure model (Farewell 1982, Biometrics 38:1041).
"""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Float
from scipy.special import expit, log_expit

from grokstudy.phase.inference.families import Family
from grokstudy.phase.inference.intervals import Intervals


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Slopes:
    """The log-likelihood of each trial and its derivatives."""

    value: Float[np.ndarray, " trials"]
    location: Float[np.ndarray, " trials"]
    log_scale: Float[np.ndarray, " trials"]
    logit: Float[np.ndarray, " trials"]
    """By the logit of pi; 0 where pi = 1."""


def slopes(
    family: Family,
    seen: Intervals,
    location: Float[np.ndarray, " trials"],
    scale: float,
    logit: Float[np.ndarray, " trials"] | None = None,
) -> Slopes:
    """The likelihood of every trial; `logit` of pi, or None for pi = 1."""
    happened = seen.happened
    with np.errstate(divide="ignore"):
        a = (np.log(seen.low) - location) / scale
        b = np.where(happened, (np.log(np.where(happened, seen.high, 1.0)) - location) / scale, np.inf)
    within = _log_between(family, a, b)
    by_a, by_b = -_ratio(family, a, within), _ratio(family, b, within)
    by_z, by_zz = by_a + by_b, _times(by_a, a) + _times(by_b, b)
    if logit is None:
        return Slopes(value=within, location=-by_z / scale, log_scale=-by_zz, logit=np.zeros(len(a)))
    log_pi, log_rest = log_expit(logit), log_expit(-logit)
    whole = np.where(happened, log_pi + within, np.logaddexp(log_rest, log_pi + within))
    share = np.exp(log_pi + within - whole)  # of the likelihood that comes from a time: 1 where it was seen
    return Slopes(
        value=whole,
        location=-share * by_z / scale,
        log_scale=-share * by_zz,
        logit=share - expit(logit),
    )


def _log_between(
    family: Family, a: Float[np.ndarray, " trials"], b: Float[np.ndarray, " trials"]
) -> Float[np.ndarray, " trials"]:
    """log P(a < Z <= b), from the tail in which the difference keeps its digits."""
    left = a + np.where(np.isinf(b), a, b) < 0
    near = np.where(left, family.log_earlier(b), family.log_later(a))
    far = np.where(left, family.log_earlier(a), family.log_later(b))
    with np.errstate(divide="ignore", invalid="ignore"):
        between = near + np.log(-np.expm1(np.minimum(far - near, -1e-300)))
    plain = np.where(np.isinf(b), family.log_later(a), between)
    return np.where(np.isneginf(a), family.log_earlier(b), plain)


def _ratio(
    family: Family, z: Float[np.ndarray, " trials"], within: Float[np.ndarray, " trials"]
) -> Float[np.ndarray, " trials"]:
    """Density over the probability of the interval; 0 at an infinite end."""
    finite = np.isfinite(z)
    exponent = family.log_density(np.where(finite, z, 0.0)) - within
    return np.where(finite, np.exp(np.minimum(exponent, 700.0)), 0.0)


def _times(ratio: Float[np.ndarray, " trials"], z: Float[np.ndarray, " trials"]) -> Float[np.ndarray, " trials"]:
    return ratio * np.where(np.isfinite(z), z, 0.0)
