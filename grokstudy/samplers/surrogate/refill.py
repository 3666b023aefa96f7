"""The next trials of an adaptive study: a pure function of what was seen, what runs, and the seed.

Three sources: `initial` (a Sobol stream until there is something to model), `explore` (a share of all trials, drawn by
index from a Sobol stream that ignores the model: the only unbiased check of the map) and `boundary` (those expected to
remove most error per unit of cost; `extend` is the same for a trial watched to less than the budget).
"""

from __future__ import annotations

import dataclasses
import math
from typing import Literal

import numpy as np

from grokstudy.samplers.surrogate import stream
from grokstudy.samplers.surrogate.acquisition import Pick, pick
from grokstudy.samplers.surrogate.candidates import Candidates, View, choose, targets, view
from grokstudy.samplers.surrogate.cost import expected_cost
from grokstudy.samplers.surrogate.fits import Warm, fitted
from grokstudy.samplers.surrogate.observations import Observations, Question
from grokstudy.samplers.surrogate.posterior import Posterior
from grokstudy.samplers.surrogate.reasons import reason
from grokstudy.samplers.surrogate.space import Places, Space
from grokstudy.spec.draws import generator
from grokstudy.spec.outcome import Label, outcome

Source = Literal["initial", "explore", "boundary", "extend"]
INITIAL = 6
"""Trials per dimension from the Sobol stream before a model is used."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How an adaptive study chooses."""

    seed: int = 0
    """Of every stream and of every choice of candidates."""
    explore: float = 0.1
    """Share of trials that ignore the model."""
    cost_power: float = 0.3
    """Expected gain is divided by expected cost to this power; 0 ignores cost. At 1 the cheap edges of a map take the
    trials that its dear ones need: more trials for a map as good, and no less cost."""
    extend: bool = False
    """Whether trials watched to less than the budget may be extended."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Planned:
    """One trial to run, or to run on."""

    place: Places
    """One place."""
    source: Source
    reason: str
    """In words, for people."""
    p: tuple[float, ...] | None
    """Predicted probability of every outcome, as LABELS, before it ran; None without a model."""
    expected_cost: float
    """In full trials."""
    budget: float
    """Steps to watch it to."""
    trial: int | None = None
    """Index of the observation that is extended."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Refill:
    """The next trials, and what they were chosen by."""

    planned: tuple[Planned, ...]
    posterior: Posterior | None
    """None as long as all come from the initial stream."""
    expected_error: float | None
    """Expected share of the space where the map is wrong; None without a posterior."""
    warm: Warm | None


def refill(
    space: Space,
    observations: Observations,
    running: Places,
    question: Question,
    *,
    start: int,
    n: int,
    settings: Settings,
    warm: Warm | None = None,
) -> Refill:
    """Trials number `start` .. `start + n - 1` of a study.

    Args:
        observations: finished trials, in the order of their numbers: settings are searched from the first of them.
            Their order is of no other consequence.
        running: where trials run, extended ones included; conditioned on without inventing their outcomes.
        start: how many trials were proposed before; every index draws its own numbers.
        n: how many to propose; fewer come back only if a small space has no more candidates.
        warm: of the last refill, to save time.
    """
    sources = _sources(space, observations, len(running), question, start, n, settings)
    taken = set(stream.keys(observations.places.concat(running)))
    drawn: dict[int, Places] = {}
    for offset, source in enumerate(sources):
        if source != "boundary":
            index = start + offset if source == "initial" else explored(settings, start + offset)
            drawn[offset] = stream.fresh(space, settings.seed, source, index, taken)
            taken.update(stream.keys(drawn[offset]))
    if all(source == "initial" for source in sources):
        first = tuple(_initial(drawn[i], question) for i in range(n))
        return Refill(planned=first, posterior=None, expected_error=None, warm=warm)
    warm = fitted(space, observations, question, settings.seed, warm)
    beside = running
    for place in drawn.values():
        beside = beside.concat(place)
    pool = stream.pool(space, settings.seed, start)
    seen = view(warm.posterior, pool, observations, beside, question, extend=settings.extend)
    candidates = choose(seen, observations, question, settings.seed, start)
    wanted = sources.count("boundary")
    picks = iter(_picks(seen, candidates, observations, wanted, settings) if wanted else ())
    at = iter(seen.running[len(running) :].tolist())
    planned: list[Planned] = []
    for source in sources:
        if source == "initial":
            planned.append(_initial(seen.places.take(np.array([next(at)])), question))
        elif source == "explore":
            planned.append(_explore(next(at), seen, observations, question))
        elif (one := next(picks, None)) is not None:
            planned.append(_picked(one, seen, candidates, question))
    return Refill(planned=tuple(planned), posterior=warm.posterior, expected_error=seen.expected_error, warm=warm)


def explored(settings: Settings, index: int) -> int:
    """How many trials before number `index` were drawn to explore: which point of that stream is next."""
    return int((_draws(settings, index) < settings.explore).sum())


def labels(observations: Observations, question: Question) -> list[Label | None]:
    """Outcome of every trial under the question; None while it was watched too briefly to have one."""
    found: list[Label | None] = []
    for t_mem, t_gen, steps, diverged in zip(
        observations.t_mem, observations.t_gen, observations.steps, observations.diverged, strict=True
    ):
        mem, gen = ((None if math.isnan(t) or t > question.budget else float(t)) for t in (t_mem, t_gen))
        if not diverged and gen is None and steps < question.budget:
            found.append(None)
        else:
            # Times need not be whole: an Optuna study may count in epochs.
            found.append(outcome(mem, gen, diverged=bool(diverged), ratio=question.ratio))
    return found


def _draws(settings: Settings, n: int) -> np.ndarray:
    """The first n of one row of uniform numbers: trial i explores if number i is small."""
    return generator(settings.seed, "explore").random(n)


def _sources(
    space: Space, observations: Observations, running: int, question: Question, start: int, n: int, settings: Settings
) -> list[Source]:
    one_phase = len({label for label in labels(observations, question) if label is not None}) < 2
    before, least = len(observations) + running, INITIAL * len(space.dimensions)
    draws = _draws(settings, start + n)[start:]
    return [
        "initial" if one_phase or before + i < least else "explore" if draws[i] < settings.explore else "boundary"
        for i in range(n)
    ]


def _initial(place: Places, question: Question) -> Planned:
    return Planned(
        place=place,
        source="initial",
        reason="initial stream: too few trials, or only one outcome, to draw a boundary from",
        p=None,
        expected_cost=1.0,
        budget=question.budget,
    )


def _picks(seen: View, candidates: Candidates, observations: Observations, n: int, settings: Settings) -> list[Pick]:
    """The best n candidates; of several at one place at most one."""
    numbers: dict[tuple[float, ...], int] = {}
    at = [numbers.setdefault(key, len(numbers)) for key in stream.keys(seen.places.take(candidates.at))]
    return pick(
        targets(seen, candidates, observations),
        n,
        candidates.cost,
        power=settings.cost_power,
        used_by=np.array(at, dtype=np.int64),
    )


def _explore(at: int, seen: View, observations: Observations, question: Question) -> Planned:
    place = seen.places.take(np.array([at]))
    return Planned(
        place=place,
        source="explore",
        reason="explore stream: chosen without the model, to check it and to find what it does not expect",
        p=_predicted(seen, at),
        expected_cost=float(expected_cost(observations, place, question)[0]),
        budget=question.budget,
    )


def _picked(one: Pick, seen: View, candidates: Candidates, question: Question) -> Planned:
    at, trial = int(candidates.at[one.candidate]), int(candidates.trial[one.candidate])
    return Planned(
        place=seen.places.take(np.array([at])),
        source="boundary" if trial < 0 else "extend",
        reason=reason(one, seen, at, question),
        p=_predicted(seen, at),
        expected_cost=float(candidates.cost[one.candidate]),
        budget=question.budget,
        trial=None if trial < 0 else trial,
    )


def _predicted(seen: View, at: int) -> tuple[float, ...]:
    return tuple(seen.probabilities(np.array([at]))[0].tolist())
