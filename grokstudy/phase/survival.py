"""How long the trials of a cell wait: Kaplan-Meier curves of t_mem and t_gen, with what was never seen counted."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
import scipy.stats
from jaxtyping import Float, Int

from grokstudy.phase.statistics import censored_quantile

Event = Literal["t_mem", "t_gen"]
EVENTS: tuple[Event, ...] = ("t_mem", "t_gen")


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class SurvivalCurve:
    """Share of a cell's trials that still wait for an event. Steps are in updates."""

    cell: str
    event: Event
    n: int
    seen: int
    """Trials whose event was seen by T."""
    median: float
    """Kaplan-Meier median; NaN if more than half still wait."""
    step: Float[np.ndarray, " times"]
    """Steps at which an event was seen or a trial censored, rising."""
    waiting: Float[np.ndarray, " times"]
    """From this step on."""
    low: Float[np.ndarray, " times"]
    """Pointwise interval; NaN while nothing was seen and once nobody waits, where none is defined."""
    high: Float[np.ndarray, " times"]
    censored: Float[np.ndarray, " marks"]
    """Steps at which trials stopped being watched with the event unseen."""
    censored_count: Int[np.ndarray, " marks"]
    censored_waiting: Float[np.ndarray, " marks"]


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class SurvivalData:
    """Curves of one or several cells, to be compared."""

    cells: tuple[str, ...]
    curves: tuple[SurvivalCurve, ...]
    """Every event of every cell that has trials."""
    budget: int
    confidence: float
    note: str


def survival_data(
    cells: Sequence[pd.DataFrame], events: Sequence[Event] = EVENTS, confidence: float = 0.95
) -> SurvivalData:
    """The curves of cells, each as `cell_trials` returns it.

    A diverged trial waits until T: it was watched and did not get there.
    """
    curves = [survival_curve(trials, event, confidence) for event in events for trials in cells if len(trials)]
    return SurvivalData(
        cells=tuple(trials.attrs["cell"] for trials in cells),
        curves=tuple(curves),
        budget=max(trials.attrs["budget"] for trials in cells),
        confidence=confidence,
        note=f"Kaplan-Meier, pointwise {confidence:.0%} band (log-log); + trials no longer watched",
    )


def survival_curve(trials: pd.DataFrame, event: Event, confidence: float = 0.95) -> SurvivalCurve:
    """The Kaplan-Meier estimate of a cell's trials (at least one).

    Source: Kaplan & Meier 1958, JASA 53:457; the band is the complementary log-log one (Kalbfleisch & Prentice 2002,
    1.4), which never leaves [0, 1]. Computed by scipy.stats.ecdf.
    """
    times, censored_at = (trials[name].to_numpy(dtype=float) for name in (event, "censored_at"))
    seen = ~np.isnan(times)
    estimate = scipy.stats.ecdf(scipy.stats.CensoredData(uncensored=times[seen], right=censored_at[~seen])).sf
    with warnings.catch_warnings():  # undefined where all or nobody waits: NaN says so
        warnings.filterwarnings("ignore", message="The confidence interval is undefined", category=RuntimeWarning)
        band = estimate.confidence_interval(confidence, method="log-log")
    marks, counts = np.unique(censored_at[~seen], return_counts=True)
    return SurvivalCurve(
        cell=trials.attrs["cell"],
        event=event,
        n=len(trials),
        seen=int(seen.sum()),
        median=_nan(censored_quantile(times, censored_at)),
        step=estimate.quantiles,
        waiting=estimate.probabilities,
        low=band.low.probabilities,
        high=band.high.probabilities,
        censored=marks,
        censored_count=counts,
        censored_waiting=estimate.evaluate(marks),
    )


def _nan(value: float | None) -> float:
    return float("nan") if value is None else value
