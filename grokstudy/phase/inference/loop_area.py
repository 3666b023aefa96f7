"""The area between two branches of trials that began in different states, paired by seed."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from grokstudy.phase.inference.line_cut import LineCut, PerTrial
from grokstudy.phase.inference.resample import bootstrap, percentiles
from grokstudy.spec.errors import BadInput

LEAST_PLACES = 3
LEAST_SEEDS = 3
PerPlace = Float[np.ndarray, " places"]


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class LoopArea:
    """Two branches over common places, and the area between them at one T."""

    budget: int | None
    places: PerPlace
    generalised: PerPlace
    """Mean over seeds of the branch that began generalised."""
    memorised: PerPlace
    gap: PerPlace
    low: PerPlace
    high: PerPlace
    area: float
    """Integral of the gap over x (over log10 x on a log cut)."""
    area_low: float
    area_high: float
    width: float
    """Of the cut, in the same units: area / width is the mean gap."""


def loop_area(
    cut: LineCut,
    generalised: Bool[np.ndarray, " trials"],
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    resampling_seed: int = 0,
) -> LoopArea:
    """The gap between two branches at their common places and its integral, by the trapezium rule.

    Args:
        cut: trials of both branches; on a log cut the integral is over log10 x. Both branches of a cluster are drawn
            together, so that their difference is paired.
        generalised: whether each trial started from a generalised network; else from a memorised one.

    Raises:
        BadInput: one branch only, fewer than LEAST_PLACES common places, or fewer than LEAST_SEEDS seeds.
    """
    x, value = cut.x, cut.value
    _demand_enough(x, generalised, cut.cluster)
    places = np.intersect1d(x[generalised], x[~generalised])
    place = np.searchsorted(places, x).clip(max=len(places) - 1)
    common = places[place] == x
    at = np.log10(places) if cut.log else places

    def means(rows: Int[np.ndarray, " rows"], branch: Bool[np.ndarray, " rows"]) -> PerPlace:
        own = rows[branch[rows] & common[rows]]
        count = np.bincount(place[own], minlength=len(places))
        with np.errstate(invalid="ignore", divide="ignore"):
            mean: PerPlace = np.bincount(place[own], weights=value[own], minlength=len(places)) / count
        return mean

    def statistic(rows: Int[np.ndarray, " rows"]) -> Float[np.ndarray, " k"]:
        gap = means(rows, generalised) - means(rows, ~generalised)
        return np.append(gap, np.trapezoid(gap, at))

    rows = np.arange(len(x))
    found = statistic(rows)
    low, high = percentiles(bootstrap(statistic, cut.cluster, resamples, resampling_seed), confidence)
    return LoopArea(
        budget=cut.budget,
        places=places,
        generalised=means(rows, generalised),
        memorised=means(rows, ~generalised),
        gap=found[:-1],
        low=low[:-1],
        high=high[:-1],
        area=float(found[-1]),
        area_low=float(low[-1]),
        area_high=float(high[-1]),
        width=float(at[-1] - at[0]),
    )


def _demand_enough(
    x: PerTrial, generalised: Bool[np.ndarray, " trials"], cluster: Shaped[np.ndarray, " trials"]
) -> None:
    """Raises BadInput if there is no loop to speak of."""
    for branch, name, step in ((generalised, "generalised", "end"), (~generalised, "memorised", "100")):
        if not branch.any():
            raise BadInput(
                f"init.from: no trial starts from a {name} network, so there is one branch only. Run forks of one too, "
                f"e.g. 'init.from=PARENTS@{step}' (docs/transition_order.md)."
            )
    common = np.intersect1d(x[generalised], x[~generalised])
    if len(common) < LEAST_PLACES:
        raise BadInput(
            f"x: the branches have {len(common)} places in common; an area needs {LEAST_PLACES}. Run both over the "
            "same values."
        )
    seeds = len(np.unique(cluster))
    if seeds < LEAST_SEEDS:
        raise BadInput(
            f"seed: a loop of {seeds} seeds has no error bar; it needs {LEAST_SEEDS}. Run parents and forks with more, "
            "e.g. 'seed=seeds(8)'."
        )
