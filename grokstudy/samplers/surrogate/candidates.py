"""Where a next trial may go, and what the posterior says there that the acquisition needs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtr

from grokstudy.samplers.surrogate.acquisition import Target, information
from grokstudy.samplers.surrogate.cost import expected_cost, remaining_cost, unfinished
from grokstudy.samplers.surrogate.latent import Seen, share_below
from grokstudy.samplers.surrogate.observations import MARGINS, Margin, Observations, Question
from grokstudy.samplers.surrogate.posterior import Posterior, outcomes
from grokstudy.samplers.surrogate.space import Places
from grokstudy.samplers.surrogate.stream import keys
from grokstudy.spec.draws import generator

CLOSEST = 224
"""Candidates taken from the pool where a sign is most in doubt ..."""
OTHERS = 32
"""... and at random from the rest, so that no part of the space is left out for good."""
EXTENDED = 64
"""Most trials considered for an extension in one refill: those whose margins are nearest to 0."""
DOUBT = 1e-4
"""A place whose probability of an error that matters is smaller is left out of a margin."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class View:
    """The posterior at every place that a refill deals with: pool, then trials that may be extended, then running ones.

    Errors are averaged over the pool alone: observed places among them would count the neighbourhood of earlier picks
    twice, and on synthetic truths they never helped.
    """

    posterior: Posterior
    places: Places
    pool: int
    """How many of the places are the pool."""
    extendable: Int[np.ndarray, " extendable"]
    """Observations whose places follow; the rest are running trials."""
    seen: tuple[Seen, ...]
    """One per latent function of the posterior."""
    below: tuple[Float[np.ndarray, " places"], ...]
    """P(latent < 0), likewise."""

    @property
    def running(self) -> Int[np.ndarray, " running"]:
        return np.arange(self.pool + len(self.extendable), len(self.places))

    @property
    def expected_error(self) -> float:
        """Expected share of the pool where the map is wrong."""
        return float(1.0 - self._outcomes([below[: self.pool] for below in self.below]).max(axis=1).mean())

    def noisy(self, at: Int[np.ndarray, " n"]) -> list[Float[np.ndarray, " n"]]:
        """P(margin < 0) of one more trial at some of the places, seed noise included, per latent function."""
        return [
            share_below(one.mean[at], one.var[at] + latent.settings.noise**2)
            for one, latent in zip(self.seen, self.posterior.latents, strict=True)
        ]

    def probabilities(self, at: Int[np.ndarray, " n"]) -> Float[np.ndarray, "n 6"]:
        """P(outcome of one more trial) at some of the places, columns as LABELS."""
        return self._outcomes(self.noisy(at))

    def _outcomes(self, below: list[Float[np.ndarray, " n"]]) -> Float[np.ndarray, "n 6"]:
        mem, gen, delay, *rest = below
        return outcomes(mem, gen, delay, rest[0] if rest else None, inversion=self.posterior.inversion)


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Candidates:
    """Places of new trials, then trials that may be extended."""

    at: Int[np.ndarray, " n"]
    """Index into the places of the view."""
    trial: Int[np.ndarray, " n"]
    """Observation that is extended; -1 for a new trial."""
    cost: Float[np.ndarray, " n"]
    """In full trials."""


def view(
    posterior: Posterior,
    pool: Places,
    observations: Observations,
    running: Places,
    question: Question,
    *,
    extend: bool,
) -> View:
    """The posterior seen from a refill."""
    longer = _extendable(posterior, observations, running, question) if extend else np.zeros(0, dtype=np.int64)
    places = pool.concat(observations.places.take(longer)).concat(running)
    seen = tuple(latent.at(places) for latent in posterior.latents)
    return View(
        posterior=posterior,
        places=places,
        pool=len(pool),
        extendable=longer,
        seen=seen,
        below=tuple(share_below(one.mean, one.var) for one in seen),
    )


def relevance(posterior: Posterior, below: Sequence[Float[np.ndarray, " n"]]) -> list[Float[np.ndarray, " n"]]:
    """P(the outer margins let each margin matter), from the probabilities that each is below 0.

    gen divides what memorised, delay what also generalised, and a diverged trial has no times.
    """
    mem, gen, _ = below[: len(MARGINS)]
    kept = 1.0 - below[3] if len(below) > len(MARGINS) else np.ones_like(mem)
    nested = [kept, kept if posterior.inversion else kept * mem, kept * mem * gen]
    return [*nested, np.ones_like(mem)][: len(below)]


def choose(seen: View, observations: Observations, question: Question, seed: int, index: int) -> Candidates:
    """The candidates of a refill: from the pool the places most in doubt and some others, none of them taken, and the
    trials that may be extended.

    If every place of the pool is taken (a small space), all may be run again.
    """
    doubt = _doubt(seen)
    found = keys(seen.places.take(np.arange(seen.pool)))
    taken = {*keys(observations.places), *keys(seen.places.take(seen.running))}
    first = {key: i for i, key in reversed(list(enumerate(found)))}
    free = np.array(sorted(i for key, i in first.items() if key not in taken) or sorted(first.values()), dtype=np.int64)
    order = free[np.argsort(-doubt[free], kind="stable")]
    rest = generator(seed, "candidates", str(index)).permutation(order[CLOSEST:])[:OTHERS]
    new, longer = np.concatenate([order[:CLOSEST], rest]), seen.extendable
    costs = [
        expected_cost(observations, seen.places.take(new), question),
        remaining_cost(observations, longer, question),
    ]
    return Candidates(
        at=np.concatenate([new, seen.pool + np.arange(len(longer))]),
        trial=np.concatenate([np.full(len(new), -1), longer]),
        cost=np.concatenate(costs),
    )


def targets(seen: View, candidates: Candidates, observations: Observations) -> list[Target]:
    """What the acquisition needs of every margin; columns are the running trials, then the candidates."""
    columns = np.concatenate([seen.running, candidates.at])
    extended = np.concatenate([np.full(len(seen.running), -1), candidates.trial])
    memorised = (extended >= 0) & ~np.isnan(np.append(observations.t_mem, np.nan)[extended])
    matter = relevance(seen.posterior, seen.below)
    noisy = seen.noisy(columns)
    noisy[0] = np.where(memorised, 1.0, noisy[0])  # an extended trial's t_mem is known already
    shown = relevance(seen.posterior, noisy)
    return [
        _target(seen, k, columns, matter[k], shown[k], known=memorised if k == 0 else np.zeros_like(memorised))
        for k in range(len(seen.seen))
    ]


def _target(
    seen: View,
    k: int,
    columns: Int[np.ndarray, " columns"],
    matter: Float[np.ndarray, " places"],
    shown: Float[np.ndarray, " columns"],
    known: np.ndarray,
) -> Target:
    one, latent = seen.seen[k], seen.posterior.latents[k]
    sd = np.sqrt(one.var)
    z = np.abs(one.mean) / sd
    rows = np.flatnonzero((matter * ndtr(-z))[: seen.pool] > DOUBT)
    at = one.take(columns)
    low, high = exact_between((*MARGINS, "diverged")[k], latent.settings.window)
    told = information(at.mean, np.sqrt(at.var), latent.settings.noise, low, high)
    return Target(
        z=z[rows],
        variance=one.var[rows],
        relevance=matter[rows] / seen.pool,
        across=latent.covariance(one.take(rows), at),
        among=latent.covariance(at, at),
        information=np.where(known, 0.0, told),
        observed=shown,
    )


def exact_between(margin: Margin, window: float) -> tuple[float, float]:
    """Where a new trial shows a margin's value and not only its side: times past the budget are not seen, a ratio of
    two seen times is."""
    if margin == "diverged" or window == 0.0:
        return 0.0, 0.0
    return -window, window if margin == "delay" else 0.0


def _doubt(seen: View) -> Float[np.ndarray, " places"]:
    """Expected number of wrong signs that matter, at every place."""
    wrong = [ndtr(-np.abs(one.mean) / np.sqrt(one.var)) for one in seen.seen]
    return np.asarray(sum(r * w for r, w in zip(relevance(seen.posterior, seen.below), wrong, strict=True)))


def _extendable(
    posterior: Posterior, observations: Observations, running: Places, question: Question
) -> Int[np.ndarray, " n"]:
    """Observations that may be watched for longer and are not at this moment, the nearest to a boundary."""
    going = set(keys(running))
    idle = np.array([key not in going for key in keys(observations.places)], dtype=bool)
    waiting = np.flatnonzero(unfinished(observations, question) & idle)
    places = observations.places.take(waiting)
    off = np.min([np.abs(latent.mean(places)) for latent in posterior.latents], axis=0)
    return waiting[np.argsort(off, kind="stable")[:EXTENDED]]
