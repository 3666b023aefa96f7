"""What a trial will cost, learned from those that ran: a mean over its nearest neighbours.

The unit is one trial run to the full budget at the usual price of a step. Without costs, a trial's cost is the steps
that it ran, so that studies that end trials early after generalisation learn where trials are short.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from grokstudy.samplers.surrogate.observations import Observations, Question
from grokstudy.samplers.surrogate.space import Places

NEIGHBOURS = 8
"""Trials averaged over, and others as near as the last of them; with fewer known ones, all."""
NAME_DISTANCE = 1.0
"""Trials that differ in a name are as far apart as the ends of a number axis."""
LEAST_WEIGHT = 1e-3
"""Weight of the farthest neighbour: not 0, in case all are equally far."""


def expected_cost(observations: Observations, places: Places, question: Question) -> Float[np.ndarray, " n"]:
    """Expected cost of a new trial at each place, in full trials: 1 where nothing is known.

    Neighbours weigh 1 - (distance / distance of the farthest)^2, so that the estimate has no jumps.
    """
    known, cost = _costs(observations, question)
    if not known.any():
        return np.ones(len(places))
    near, paid = _in_order(observations.places.take(known), cost[known])
    distance = _distance(places, near)
    count = min(NEIGHBOURS, distance.shape[1])
    farthest = np.partition(distance, count - 1, axis=1)[:, count - 1 : count]
    # All that are as far as the last one count, or which of them do would depend on the order of the trials.
    weight = np.maximum(1.0 - (distance / np.maximum(farthest, 1e-12)) ** 2, 0.0) + LEAST_WEIGHT
    weight[distance > farthest] = 0.0
    return np.asarray(weight @ paid / weight.sum(axis=1))


def _in_order(places: Places, cost: Float[np.ndarray, " n"]) -> tuple[Places, Float[np.ndarray, " n"]]:
    """Sorted, so that sums are the same to the last bit however the trials came."""
    order = np.lexsort((cost, *places.levels.T, *places.unit.T))
    return places.take(order), cost[order]


def remaining_cost(
    observations: Observations, which: Int[np.ndarray, " n"], question: Question
) -> Float[np.ndarray, " n"]:
    """Expected cost of watching some of the trials on to the full budget, in full trials."""
    left = np.maximum(1.0 - observations.steps[which] / question.budget, 0.0)
    return np.asarray(expected_cost(observations, observations.places.take(which), question) * left)


def unfinished(observations: Observations, question: Question) -> Bool[np.ndarray, " n"]:
    """Trials that may be extended: watched to less than the budget without an end that answers every question."""
    return np.asarray((observations.steps < question.budget) & np.isnan(observations.t_gen) & ~observations.diverged)


def _costs(observations: Observations, question: Question) -> tuple[Bool[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Which costs are known, and the cost of each trial run to its own end or the budget, in full trials."""
    steps = observations.steps
    paid = observations.cost if np.isfinite(observations.cost).any() else steps
    known = np.isfinite(paid)
    price = float(np.median((paid / steps)[known])) if known.any() else 0.0
    if price <= 0:
        return np.zeros(len(steps), dtype=bool), paid
    # A trial cut short would have gone on to the budget, one watched for longer will not be again.
    full = unfinished(observations, question) | (steps > question.budget)
    return known, np.asarray(np.where(full, paid * question.budget / steps, paid) / (price * question.budget))


def _distance(a: Places, b: Places) -> Float[np.ndarray, "a b"]:
    square = np.zeros((len(a), len(b)))
    for left, right in zip(a.unit.T, b.unit.T, strict=True):
        square += np.subtract.outer(left, right) ** 2
    for left, right in zip(a.levels.T, b.levels.T, strict=True):
        square += NAME_DISTANCE**2 * np.not_equal.outer(left, right)
    return np.asarray(np.sqrt(square))
