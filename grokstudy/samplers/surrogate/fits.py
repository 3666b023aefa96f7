"""When the settings of the kernels are searched anew, and what is kept of a fit for the next one.

Settings are searched at milestones of the number of trials, each 1.3 times the last, from the trials up to the
milestone alone. So they follow from the observations, never from when a proposal happened to be asked for; what is
kept (`Warm`) saves time and changes nothing.
"""

from __future__ import annotations

import dataclasses
import hashlib
import math

import numpy as np

from grokstudy.samplers.surrogate.observations import Observations, Question
from grokstudy.samplers.surrogate.posterior import Hypers, Posterior, fit
from grokstudy.samplers.surrogate.space import Space

FIRST = 12
"""The first milestone; with fewer trials settings are searched from all of them."""
GROWTH = 1.3
"""Ratio of successive milestones."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Warm:
    """Fits kept for the next refill, by what they were fitted to."""

    prefix: bytes
    hypers: Hypers
    whole: bytes
    posterior: Posterior


def fitted(space: Space, observations: Observations, question: Question, seed: int, warm: Warm | None = None) -> Warm:
    """The posterior under the settings of the last milestone; `warm` saves what it can and changes nothing."""
    first = observations.take(np.arange(milestone(len(observations))))
    prefix, whole = _digest(space, question, seed, first), _digest(space, question, seed, first, observations)
    if warm is not None and warm.whole == whole:
        return warm
    same = warm is not None and warm.prefix == prefix
    hypers = warm.hypers if warm and same else fit(space, first, question, seed=seed).hypers
    posterior = fit(space, observations, question, seed=seed, start=hypers, refit=False)
    return Warm(prefix, hypers, whole, posterior)


def milestone(n: int) -> int:
    """The last number of trials, up to n, at which settings are searched: 12, 16, 21, 28 ...; n itself below 12."""
    if n < FIRST:
        return n
    at = FIRST
    while (following := math.ceil(GROWTH * at)) <= n:
        at = following
    return at


def _digest(space: Space, question: Question, seed: int, *parts: Observations) -> bytes:
    """Equal for equal arguments of a fit, and for no others."""
    digest = hashlib.blake2b(f"{space!r}/{question!r}/{seed}".encode(), digest_size=16)
    for part in parts:
        columns = (part.places.unit, part.places.levels, part.t_mem, part.t_gen, part.steps, part.diverged, part.cost)
        for column in columns:
            digest.update(f"/{column.shape}".encode())
            digest.update(np.ascontiguousarray(column).tobytes())
    return digest.digest()
