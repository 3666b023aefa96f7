"""Trials whose times are drawn from a known law, as the inference room reads them."""

from __future__ import annotations

import numpy as np
import pandas as pd
from jaxtyping import Float

from grokstudy.phase.inference.intervals import Intervals
from grokstudy.phase.inference.query import FitQuery
from grokstudy.phase.inference.trials import TrialTimes
from grokstudy.phase.times import CommonBudget

FRAC, WD = "task.frac_train", "regularization.weight_decay"
X_C, NU = 0.22, 1.2
GRID_RATIO = 1.03
"""Evaluations are this far apart, as those of a trial are after step 20."""


def between_evaluations(times: Float[np.ndarray, " n"], budget: float) -> Intervals:
    """What a trial of that budget shows of times that may be infinite."""
    number = np.floor(np.log(np.where(np.isfinite(times), times, 1.0)) / np.log(GRID_RATIO))
    before, after = GRID_RATIO**number, GRID_RATIO ** (number + 1)
    happened = np.isfinite(times) & (after <= budget)
    return Intervals(low=np.where(happened, before, budget), high=np.where(happened, after, np.inf))


def trials_with(
    settings: dict[str, Float[np.ndarray, " n"]],
    times: Float[np.ndarray, " n"],
    budget: float,
    cluster: Float[np.ndarray, " n"] | None = None,
) -> TrialTimes:
    """Trials with these settings and (unseen) true times."""
    n = len(times)
    return TrialTimes(
        settings=pd.DataFrame(settings),
        seen=between_evaluations(times, budget),
        cluster=np.arange(n, dtype=float) if cluster is None else cluster,
        diverged=np.zeros(n, dtype=bool),
        study="planted",
        budget=CommonBudget(steps=int(budget), source="as asked"),
        left_out=0,
        query=FitQuery(x=tuple(settings)),
    )


def diverging(seed: int, *, scatter: float = 0.3, budget: float = 1e6, places: int = 14, seeds: int = 5) -> TrialTimes:
    """t = A (x - .22)^-1.2 with lognormal scatter in dex, never at or below .22; x = .1 to .9."""
    draw = np.random.default_rng(seed)
    x = np.repeat(np.linspace(0.1, 0.9, places), seeds)
    with np.errstate(invalid="ignore", divide="ignore"):
        median = np.where(x > X_C, 10**3.8 * np.abs(x - X_C) ** -NU, np.inf)
    return trials_with({FRAC: x}, median * 10 ** (scatter * draw.normal(size=len(x))), budget)
