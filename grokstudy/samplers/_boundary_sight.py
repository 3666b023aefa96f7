"""What a boundary study has seen, in the surrogate's terms, and the surrogate's answers in the study's terms."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from grokstudy.samplers.surrogate import stream
from grokstudy.samplers.surrogate.fits import Warm, fitted
from grokstudy.samplers.surrogate.observations import Observations, Question
from grokstudy.samplers.surrogate.posterior import Posterior
from grokstudy.samplers.surrogate.refill import Planned, Settings, labels, refill
from grokstudy.samplers.surrogate.space import Places, Space
from grokstudy.samplers.surrogate.stopping import Explored, StopCheck, StopRule, check, prefixes
from grokstudy.spec.axes import Axis, Point, Value, is_seed
from grokstudy.spec.outcome import LABELS, Label
from grokstudy.spec.proposal import EXTEND, SENTINEL, Proposal, Told

if TYPE_CHECKING:
    from grokstudy.samplers.boundary import Boundary


EXPLORE, BOUNDARY = "explore", "boundary"
SENTINEL_POOL = 512
_LATEST: dict[str, Warm] = {}
"""The latest fit of each study that was asked about: it saves time and changes nothing."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Sight:
    """One question of a study, ready for the surrogate."""

    sampler: Boundary
    told: Told

    @property
    def space(self) -> Space:
        return Space.of_axes(self.told.axes)

    @property
    def question(self) -> Question:
        return Question(budget=float(self.told.budget), ratio=self.sampler.ratio)

    def next(self, n: int) -> tuple[Proposal, ...]:
        """The next n trials, fewer if a small space has no more."""
        sampler, told, key = self.sampler, self.told, self._key()
        found = refill(
            self.space,
            self.observations(),
            self.space.places([proposal.point for proposal in told.open]),
            self.question,
            start=told.proposed,
            n=n,
            settings=Settings(
                seed=sampler.seed, explore=sampler.explore, cost_power=sampler.cost_power, extend=sampler.extends
            ),
            warm=_LATEST.get(key),
        )
        self._keep(found.warm)
        waiting = {_frozen(proposal.point) for proposal in told.open if proposal.source == EXTEND}
        proposals = [self._proposal(planned, told.proposed + i) for i, planned in enumerate(found.planned)]
        return tuple(one for one in proposals if one.source != EXTEND or _frozen(one.point) not in waiting)

    def observations(self) -> Observations:
        """What finished trials say. Their cost is the steps they ran: seconds would differ each time a study is run."""
        finished = self.told.finished
        return Observations(
            places=self.space.places([outcome.point for outcome in finished]),
            t_mem=_times(outcome.t_mem for outcome in finished),
            t_gen=_times(outcome.t_gen for outcome in finished),
            steps=np.array([max(outcome.steps_run, 1) for outcome in finished], dtype=float),
            diverged=np.array([outcome.diverged for outcome in finished], dtype=bool),
            cost=np.full(len(finished), math.nan),
        )

    def stop_check(self) -> StopCheck | None:
        """How well the map is known and whether that is enough; None while only one outcome was seen.

        Earlier checks are made again, from the trials that were proposed first: so the answer follows from what is
        known, never from when it was asked for.
        """
        rule = StopRule(error=self.sampler.tolerance, width=self.sampler.band)
        everything = self._checked(len(self.told.finished), rule, ())
        if everything is None or not everything.passed:
            return everything
        earlier = (self._checked(n, rule, ()) for n in prefixes(everything.n, rule)[:-1])
        return self._checked(everything.n, rule, [one for one in earlier if one is not None])

    def _checked(self, n: int, rule: StopRule, previous: Sequence[StopCheck]) -> StopCheck | None:
        """The check after the first n trials."""
        observations = self.observations().take(np.arange(n))
        found = labels(observations, self.question)
        if len({label for label in found if label is not None}) < 2:
            return None
        posterior = self._posterior(observations)
        explored = self._explored(found)
        return check(posterior, self.space, explored, n=n, rule=rule, previous=previous, seed=self.sampler.seed)

    def _explored(self, found: Sequence[Label | None]) -> Explored:
        """Explore trials that were predicted for today's question, by the labels of the first trials."""
        pairs = [
            (outcome.predicted, label)
            for outcome, label in zip(self.told.finished, found, strict=False)
            if outcome.source == EXPLORE and outcome.predicted is not None and label is not None
            if outcome.asked == self.told.budget
        ]
        predicted = np.array([p for p, _ in pairs], dtype=float).reshape(len(pairs), len(LABELS))
        return Explored(predicted, [label for _, label in pairs])

    def _posterior(self, observations: Observations) -> Posterior:
        warm = fitted(self.space, observations, self.question, self.sampler.seed, _LATEST.get(self._key()))
        if len(observations) == len(self.told.finished):
            self._keep(warm)
        return warm.posterior

    def sentinels(self) -> tuple[Proposal, ...]:
        """Cells that are repeated: by turns on, inside and outside a boundary, as far from each other as can be."""
        posterior = self._posterior(self.observations())
        pool = stream.sobol(self.space, self.sampler.seed, SENTINEL, 0, SENTINEL_POOL)
        chosen = _spread(posterior.p_below(pool, "gen"), pool, self.sampler.sentinels)
        proposals: list[Proposal] = []
        for place, where in chosen:
            (point,) = self.space.points(pool.take(np.array([place])))
            for seed in range(self.sampler.sentinel_seeds):
                number = self.told.proposed + len(proposals)
                seeds = self._seeds(number) | {"seed": self.sampler.seed + seed}
                proposals.append(
                    Proposal(point={**point, **seeds}, source=SENTINEL, reason=f"cell {where}, seed {seed}")
                )
        return tuple(proposals)

    def _proposal(self, planned: Planned, number: int) -> Proposal:
        if planned.trial is not None:
            return Proposal(
                point=self.told.finished[planned.trial].point,
                source=EXTEND,
                reason=planned.reason,
                budget=round(planned.budget),
                predicted=planned.p,
            )
        (point,) = self.space.points(planned.place)
        share = self.sampler.first_budget if planned.source == BOUNDARY else 1.0
        return Proposal(
            point={**point, **self._seeds(number)},
            source=planned.source,
            reason=planned.reason,
            budget=math.ceil(share * self.told.budget),
            predicted=planned.p,
        )

    def _seeds(self, number: int) -> dict[str, Value]:
        """Seeds of proposal `number`: those of seed axes by turns, else a new master seed."""
        axes = [axis for axis in self.told.axes if is_seed(axis.path)]
        if axes:
            return {axis.path: _by_turns(axis, number) for axis in axes}
        return {"seed": self.sampler.seed + number} if self.sampler.new_seeds else {}

    def _key(self) -> str:
        return repr((self.sampler, self.told.axes, self.told.budget))

    def _keep(self, warm: Warm | None) -> None:
        if warm is not None:
            _LATEST.clear()
            _LATEST[self._key()] = warm


def _times(times: Iterable[int | None]) -> np.ndarray:
    return np.array([math.nan if time is None else time for time in times], dtype=float)


def _by_turns(axis: Axis, number: int) -> Value:
    if not axis.is_interval:
        return axis.values[number % len(axis.values)]
    assert axis.low is not None
    assert axis.high is not None
    first = math.ceil(axis.low)
    return first + number % (math.floor(axis.high) - first + 1)


def _frozen(point: Point) -> str:
    return json.dumps(dict(point), sort_keys=True)


def _spread(p: np.ndarray, pool: Places, n: int) -> list[tuple[int, str]]:
    """n places of a pool: by turns with p nearest 1/2, above .9 and below .1, each far from those before."""
    groups = {
        "on the boundary": np.argsort(np.abs(p - 0.5))[: max(8, len(p) // 32)],
        "inside: it generalises": np.flatnonzero(p > 0.9),
        "outside: it does not": np.flatnonzero(p < 0.1),
    }
    named = [(where, index) for where, index in groups.items() if len(index)]
    chosen: list[tuple[int, str]] = []
    for turn in range(n):
        where, index = named[turn % len(named)]
        left = np.array([at for at in index if at not in {place for place, _ in chosen}], dtype=int)
        if len(left) == 0:
            continue
        chosen.append((int(left[np.argmax(_distance(pool, left, [place for place, _ in chosen]))]), where))
    return chosen


def _distance(pool: Places, index: np.ndarray, chosen: Sequence[int]) -> np.ndarray:
    """Of each place to the nearest of those chosen; equal without any."""
    if not chosen:
        return np.zeros(len(index))
    gaps = pool.unit[index][:, None, :] - pool.unit[list(chosen)][None, :, :]
    return np.asarray(np.linalg.norm(gaps, axis=2).min(axis=1))
