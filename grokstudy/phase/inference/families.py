"""Distributions of the logarithm of a time: log t = location + scale * z, with z normal, logistic or extreme-value."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np
from jaxtyping import Float
from scipy.special import log_expit, log_ndtr, ndtri

Z: TypeAlias = Float[np.ndarray, " trials"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A distribution of z."""

    name: str
    log_density: Callable[[Z], Z]
    log_later: Callable[[Z], Z]
    """log P(Z > z)."""
    log_earlier: Callable[[Z], Z]
    """log P(Z <= z)."""
    quantile: Callable[[float], float]
    proportional_hazards: bool
    """Whether a setting that moves the location multiplies the hazard by one factor at all times."""


def _normal_log_density(z: Z) -> Z:
    return np.asarray(-0.5 * z * z - 0.5 * np.log(2 * np.pi))


def _extreme_log_density(z: Z) -> Z:
    return np.asarray(z - np.exp(np.minimum(z, _LARGE)))


def _extreme_log_later(z: Z) -> Z:
    return np.asarray(-np.exp(np.minimum(z, _LARGE)))


def _extreme_log_earlier(z: Z) -> Z:
    hazard = np.exp(np.clip(z, -_LARGE, _LARGE))
    return np.asarray(np.log(-np.expm1(-hazard)))


def _logistic_log_density(z: Z) -> Z:
    return np.asarray(log_expit(z) + log_expit(-z))


_LARGE = 500.0
LOGNORMAL = Family(
    name="lognormal",
    log_density=_normal_log_density,
    log_later=lambda z: np.asarray(log_ndtr(-z)),
    log_earlier=lambda z: np.asarray(log_ndtr(z)),
    quantile=lambda p: float(ndtri(p)),
    proportional_hazards=False,
)
WEIBULL = Family(
    name="weibull",
    log_density=_extreme_log_density,
    log_later=_extreme_log_later,
    log_earlier=_extreme_log_earlier,
    quantile=lambda p: float(np.log(-np.log1p(-p))),
    proportional_hazards=True,
)
LOGLOGISTIC = Family(
    name="loglogistic",
    log_density=_logistic_log_density,
    log_later=lambda z: np.asarray(log_expit(-z)),
    log_earlier=lambda z: np.asarray(log_expit(z)),
    quantile=lambda p: float(np.log(p / (1 - p))),
    proportional_hazards=False,
)
FAMILIES: Mapping[str, Family] = {one.name: one for one in (LOGNORMAL, WEIBULL, LOGLOGISTIC)}
