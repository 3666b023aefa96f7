"""One sentinel cell: the share of its seeds that gets there, and the spread of the time."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool, Float

from grokstudy.phase.inference.log_spread import log_spread
from grokstudy.phase.statistics import wilson
from grokstudy.samplers.surrogate.proportion import clopper_pearson

LEAST_SEEDS = 8
"""Below, even 0 of n leaves a share of .37 possible."""
PerTrial = Float[np.ndarray, " trials"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sentinel:
    """One cell."""

    name: str
    n: int
    """Trials that are decided by T."""
    k: int
    """Those that got there."""
    low: float
    """Clopper-Pearson interval of k / n."""
    high: float
    wilson_low: float
    wilson_high: float
    sd: float
    """Of log10 of the time over seeds; NaN if too few were seen."""
    sd_low: float
    sd_high: float
    undetermined: int

    @property
    def where(self) -> str:
        """On which side of the boundary p = 1/2 the cell lies, if its interval says so."""
        if self.n < LEAST_SEEDS:
            return "too few seeds"
        return "inside" if self.low > 0.5 else "outside" if self.high < 0.5 else "on the boundary or undecided"


def sentinel(
    name: str, time: PerTrial, waited: PerTrial, determined: Bool[np.ndarray, " trials"], confidence: float
) -> Sentinel:
    """Share and spread of one cell; arguments as `sentinels`."""
    seen = ~np.isnan(time)
    n, k = int(determined.sum()), int((seen & determined).sum())
    low, high = clopper_pearson(k, n, (1 - confidence) / 2)
    wilson_low, wilson_high = wilson(k, n, confidence)
    logs, until = np.log10(np.maximum(time[seen], 1)), np.log10(np.maximum(waited[~seen], 1))
    sd, sd_low, sd_high = log_spread(logs, until, confidence)
    return Sentinel(
        name=name,
        n=n,
        k=k,
        low=low,
        high=high,
        wilson_low=wilson_low,
        wilson_high=wilson_high,
        sd=sd,
        sd_low=sd_low,
        sd_high=sd_high,
        undetermined=len(time) - n,
    )
