"""Which trials to run next: those expected to remove most of the misclassified volume per unit of cost.

Batch stepwise uncertainty reduction over nested margins. The posterior covariance between places says how much of the
variance at every place of an integration pool a trial would explain, whatever its outcome; `volume.wrong_sign` turns
that into the expected share of the pool still called wrongly. Trials that run, and earlier picks of the batch, are
conditioned on through the covariance alone: no outcome is invented for them.

Source: Chevalier et al. 2014, "Fast parallel kriging-based stepwise uncertainty reduction"; per unit of cost as in
Snoek, Larochelle & Adams 2012, "Practical Bayesian optimization", section 3.2.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy import special

from grokstudy.samplers.surrogate.volume import Rows

NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
"""Points and weights of the expectation over a latent value; the weights sum to sqrt(2 pi)."""
CHEAPEST = 0.02
"""A trial counts as at least this share of a full one: a start costs something, and a low estimate may be wrong."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Target:
    """One margin as the acquisition sees it: a pool of places to be classified, and columns (places of trials).

    Columns are the running trials first, then the candidates.
    """

    z: Float[np.ndarray, " pool"]
    """|posterior mean| / posterior sd."""
    variance: Float[np.ndarray, " pool"]
    """Posterior variance, dex^2."""
    relevance: Float[np.ndarray, " pool"]
    """P(the outer margins make this one matter there), over the pool's size: an error here costs so much."""
    across: Float[np.ndarray, "pool columns"]
    """Posterior covariance between pool and columns, dex^2."""
    among: Float[np.ndarray, "columns columns"]
    """Posterior covariance between columns, dex^2."""
    information: Float[np.ndarray, " columns"]
    """Expected Fisher information of a trial there on its own latent value, if the margin is observed, dex^-2."""
    observed: Float[np.ndarray, " columns"]
    """P(the margin is observed) in a trial there."""


@dataclasses.dataclass(frozen=True, slots=True)
class Pick:
    """A chosen candidate: its number among the candidates and the fall of the expected error, margin by margin."""

    candidate: int
    gains: tuple[float, ...]

    @property
    def gain(self) -> float:
        """Expected fall of the misclassified share of the pool."""
        return sum(self.gains)


def pick(
    targets: Sequence[Target],
    n: int,
    cost: Float[np.ndarray, " candidates"],
    *,
    power: float = 1.0,
    used_by: Int[np.ndarray, " candidates"] | None = None,
) -> list[Pick]:
    """The n best candidates, one after the other; the same arguments give the same picks.

    Args:
        targets: the margins; all have the same columns.
        n: how many; fewer come back when there are fewer candidates.
        cost: expected cost of every candidate, in units of one full trial.
        power: 0 ignores cost, 1 divides by it.
        used_by: candidates with equal numbers here are one and the same place, of which one may be picked.
    """
    running = targets[0].among.shape[0] - len(cost)
    margins = [_Conditioned(target, running) for target in targets]
    groups = np.arange(len(cost)) if used_by is None else used_by
    per_cost = np.maximum(cost, CHEAPEST) ** power
    free = np.ones(len(cost), dtype=bool)
    picks: list[Pick] = []
    while len(picks) < n and free.any():
        gains = np.stack([margin.gains() for margin in margins])
        best = int(np.argmax(np.where(free, gains.sum(axis=0) / per_cost, -np.inf)))
        picks.append(Pick(best, tuple(gains[:, best].tolist())))
        free &= groups != groups[best]
        for margin in margins:
            margin.absorb(running + best)
    return picks


class _Conditioned:
    """The covariances of one margin given the places of running trials and of picks; changes with every `absorb`."""

    __slots__ = ("_across", "_among", "_explained", "_rows", "_running", "_target")

    def __init__(self, target: Target, running: int) -> None:
        self._target, self._running = target, running
        self._rows = Rows(target.z)
        self._across, self._among = target.across.copy(), target.among.copy()
        self._explained = np.zeros(len(target.z))
        for column in range(running):
            self.absorb(column)

    def absorb(self, column: int) -> None:
        """Conditions on a trial at this column, weighted with the probability that it tells of this margin."""
        precision = self._target.information[column] * self._target.observed[column]
        share = precision / (1.0 + precision * self._among[column, column])
        seen, beside = self._across[:, column].copy(), self._among[column].copy()
        self._explained += share * seen**2 / self._target.variance
        self._across -= share * np.outer(seen, beside)
        self._among -= share * np.outer(beside, beside)

    def gains(self) -> Float[np.ndarray, " candidates"]:
        """Expected fall of the pool's misclassified share by one more trial at each candidate."""
        target, candidates = self._target, slice(self._running, None)
        information = target.information[candidates]
        share = information / (1.0 + information * np.diag(self._among)[candidates])
        explained = self._across[:, candidates] ** 2 * (share / target.variance[:, None])
        explained += self._explained[:, None]
        wrong_now = target.relevance @ self._rows(self._explained)
        gained = wrong_now - target.relevance @ self._rows(explained)
        return np.asarray(np.maximum(gained, 0.0) * target.observed[candidates])


def information(
    mean: Float[np.ndarray, " n"], sd: Float[np.ndarray, " n"], noise: float, low: float, high: float
) -> Float[np.ndarray, " n"]:
    """Expected Fisher information on a latent value f of one trial that shows f + noise * e, e ~ N(0, 1), exactly
    between `low` and `high` and only its side outside; the expectation is over f ~ N(mean, sd^2), dex^-2.

    low = high = 0 is a label alone (probit); -inf, inf a time that is always seen.
    """
    f = mean[:, None] + sd[:, None] * NODES
    a, b = (low - f) / noise, (high - f) / noise
    inside = special.ndtr(b) - special.ndtr(a) + _edge(a) - _edge(b)
    total = inside + _tail(a) + _tail(-b)
    return np.asarray(total @ NODE_WEIGHTS / (np.sqrt(2 * np.pi) * noise**2))


def _edge(x: Float[np.ndarray, "n nodes"]) -> Float[np.ndarray, "n nodes"]:
    """x phi(x), 0 at infinity."""
    finite = np.clip(x, -40.0, 40.0)
    return np.asarray(finite * np.exp(-0.5 * finite**2) / np.sqrt(2 * np.pi))


def _tail(x: Float[np.ndarray, "n nodes"]) -> Float[np.ndarray, "n nodes"]:
    """phi(x)^2 / Phi(x): what the knowledge that a standard normal number lies below x tells of its mean."""
    finite = np.clip(x, -37.0, 40.0)
    log_phi = -0.5 * finite**2 - 0.5 * np.log(2 * np.pi)
    return np.asarray(np.exp(2 * log_phi - special.log_ndtr(finite)))
