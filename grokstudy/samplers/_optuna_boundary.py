"""Adaptive sampling of phase boundaries for any Optuna study."""

from __future__ import annotations

import secrets
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.search_space import intersection_search_space
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from grokstudy.samplers import _optuna_read as reading
from grokstudy.samplers import _optuna_trials as told
from grokstudy.samplers._optuna_space import accepted, at, space_of
from grokstudy.samplers.surrogate import fits, stopping, stream
from grokstudy.samplers.surrogate.observations import Observations, Question
from grokstudy.samplers.surrogate.posterior import Posterior
from grokstudy.samplers.surrogate.refill import INITIAL, Settings, labels, refill
from grokstudy.samplers.surrogate.space import Space
from grokstudy.samplers.surrogate.stopping import StopCheck, StopRule
from grokstudy.spec.axes import Point
from grokstudy.spec.errors import BadInput
from grokstudy.spec.outcome import RATIO

if TYPE_CHECKING:
    import pandas as pd

ALONE = 64
"""Dimensions of the stream for parameters that are suggested before the search space is known."""
NOTHING_SHARED = (
    "search_space: no parameter was suggested from one distribution by every finished trial. Give the search space to "
    "BoundarySampler, or begin a new study."
)
SEED = f"{told.PREFIX}seed"
"""System attribute of a study whose sampler was given no seed."""


class BoundarySampler(BaseSampler):
    """Finds where outcomes change, instead of an optimum: the values that trials return are never read.

    Outcomes are read from user attributes that every trial sets before it ends: `t_mem` and `t_gen` (steps at which
    training and test accuracy were reached; None if not seen), `steps` (watched until), and if they apply `diverged`
    (True) and `cost` (in any unit). A proposal is a function of the storage, the seed and the trial's number, so that
    several processes, and a study that is resumed, get the proposals that one would get. Each is explained in the
    trial's system attributes `boundary:source`, `boundary:reason` and `boundary:predicted`.

    An enqueued trial is learned from, and not counted as an explore trial. A trial that is RUNNING is expected to end:
    if its process was killed, tell it as failed (Optuna's `heartbeat_interval` does), or few are proposed near it.

    Failed trials are ignored; a trial that diverged must end as complete, with `diverged=True`. A pruned trial counts
    as not seen beyond its `steps`; prune on other trials and parameters alone, never on the trial's own curve, or the
    boundary is biased.

    Args:
        budget_steps: T; an event later than this counts as not happening.
        delay_ratio: R; t_gen / t_mem from which a delayed generalisation is grokking.
        seed: of all draws. None draws one and keeps it in the study.
        search_space: distributions by parameter name. None takes the parameters that all finished trials share, with
            trials until one has finished drawn from a Sobol stream.
        explore: share of trials that ignore the model: they check it, and find what it does not expect.
        cost_power: expected gains are divided by expected costs to this power.
        rule: what `should_stop` demands.

    Raises:
        BadInput: (here or when a trial is proposed) no parameter is a number, one has zero width, or a finished trial
            lacks an attribute or has one that is not a number.
    """

    def __init__(
        self,
        budget_steps: float,
        delay_ratio: float = RATIO,
        seed: int | None = None,
        *,
        search_space: Mapping[str, BaseDistribution] | None = None,
        explore: float = 0.1,
        cost_power: float = 0.3,
        rule: StopRule | None = None,
    ) -> None:
        for name, value in (("budget_steps", budget_steps), ("delay_ratio", delay_ratio)):
            if not (np.isfinite(value) and value > 0):
                raise BadInput(f"{name}: got {value}, must be a finite number above 0.")
        if not 0 <= explore <= 1:
            raise BadInput(f"explore: got {explore}, must be a share from 0 to 1.")
        self._question = Question(budget=float(budget_steps), ratio=float(delay_ratio))
        self._seed = seed
        self._search_space = None if search_space is None else dict(sorted(search_space.items()))
        self._explore, self._cost_power = explore, cost_power
        self._rule = rule or StopRule()
        self._warm: fits.Warm | None = None
        if self._search_space is not None:
            space_of(self._search_space)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The parameters that are proposed together."""
        if self._search_space is not None:
            return dict(self._search_space)
        return _shared(study.get_trials(deepcopy=False))

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The proposal for this trial, which is published for others before it is returned."""
        if not search_space:
            return {}
        space = space_of(search_space)
        trials = study.get_trials(deepcopy=False, states=(*told.FINISHED, TrialState.RUNNING))
        seen = told.observations([t for t in trials if t.state in told.FINISHED], space)
        self._warn(trials, seen, space)
        others = [t for t in trials if t.state == TrialState.RUNNING and t.number != trial.number]
        running = [t for t in others if search_space.keys() <= told.params(t).keys()]
        result = refill(
            space,
            seen,
            told.places(running, space),
            self._question,
            start=trial.number,
            n=1,
            settings=Settings(seed=self.seed(study), explore=self._explore, cost_power=self._cost_power),
            warm=self._warm,
        )
        self._warm = result.warm
        _warn_unsettled(result.posterior)
        (planned,) = result.planned
        values = accepted(space.points(planned.place)[0], search_space)
        told.publish(study._storage, trial._trial_id, values, planned, self._question)
        return values

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A parameter outside the search space, from a Sobol stream by the trial's number.

        Raises:
            BadInput: it is in the search space with another distribution.
        """
        known = self.infer_relative_search_space(study, trial)
        if param_name in known and known[param_name] != param_distribution:
            raise BadInput(
                f"trial {trial.number}: {param_name}: is suggested from {param_distribution}, but the search space has "
                f"{known[param_name]}. They must be equal."
            )
        if known and param_name not in known:
            warnings.warn(
                f"{param_name} is not in the search space ({', '.join(known)}): it is drawn from a Sobol stream, and "
                "the boundary is drawn as if it did not matter.",
                stacklevel=2,
            )
        if not known and study.get_trials(deepcopy=False, states=told.FINISHED):
            warnings.warn(f"{NOTHING_SHARED} {param_name} is drawn from a Sobol stream.", stacklevel=2)
        draw = stream.scrambled(self.seed(study), "alone", ALONE, trial.number, 1)[0]
        return at(param_distribution, float(draw[len(trial.params) % ALONE]))

    def posterior(self, study: Study, points: Sequence[Point] | pd.DataFrame) -> pd.DataFrame:
        """P(outcome of one more trial) at points given by parameter name: a column per outcome, a row per point."""
        space, found = self._fitted(study)
        return reading.probabilities(found, space, points)

    def margins(self, study: Study, points: Sequence[Point] | pd.DataFrame) -> pd.DataFrame:
        """Mean and standard deviation of the margins mem, gen and delay at points, in dex; below 0: in time."""
        space, found = self._fitted(study)
        return reading.margins(found, space, points)

    def boundary(self, study: Study, fixed: Point | None = None) -> tuple[reading.Curve, ...]:
        """The boundaries over two parameters (lines) or one (crossings), in the parameters' own units, with 95 % bands;
        one per margin and combination of names.

        Args:
            fixed: a value for every further number, and for names of which only one level is wanted.

        Raises:
            BadInput: more than two numbers are left.
        """
        space, found = self._fitted(study)
        return reading.curves(found, space, dict(fixed or {}))

    def expected_error(self, study: Study) -> float:
        """Expected share of the search space where the map of outcomes is wrong."""
        space, found = self._fitted(study)
        return found.expected_error(stream.pool(space, self.seed(study), 0))

    def should_stop(self, study: Study) -> StopCheck:
        """Whether the boundary is known as well as `rule` demands; says why (or why not) and is true or false.

        Earlier checks are computed anew from the first trials of the study, so that nothing needs to be kept.
        """
        space, trials, seen = self._read(study)
        seed, earlier = self.seed(study), stopping.prefixes(len(trials), self._rule)[:-1]

        def checked(n: int, previous: Sequence[StopCheck]) -> StopCheck:
            first = seen.take(np.arange(n))
            warm = fits.fitted(space, first, self._question, seed, self._warm)
            if n == len(trials):
                self._warm = warm
            explored = reading.explored(trials[:n], labels(first, self._question), self._question)
            return stopping.check(warm.posterior, space, explored, n=n, rule=self._rule, previous=previous, seed=seed)

        last = checked(len(trials), ())
        return checked(len(trials), [checked(n, ()) for n in earlier]) if last.passed else last

    def seed(self, study: Study) -> int:
        """The seed given, or else the study's own, which is drawn once and kept in its system attributes."""
        if self._seed is not None:
            return self._seed
        kept = study._storage.get_study_system_attrs(study._study_id).get(SEED)
        if kept is None:
            kept = secrets.randbits(31)
            study._storage.set_study_system_attr(study._study_id, SEED, kept)
        return int(kept)

    def _read(self, study: Study) -> tuple[Space, list[FrozenTrial], Observations]:
        """The search space and the finished trials in the order of their numbers."""
        trials = study.get_trials(deepcopy=False, states=told.FINISHED)
        if not trials and self._search_space is None:
            raise BadInput("search_space: is not known before a trial has finished. Give it to BoundarySampler.")
        search_space = self._search_space or _shared(trials)
        if not search_space:
            raise BadInput(NOTHING_SHARED)
        space = space_of(search_space)
        return space, trials, told.observations(trials, space)

    def _fitted(self, study: Study) -> tuple[Space, Posterior]:
        space, trials, seen = self._read(study)
        self._warn(trials, seen, space)
        self._warm = fits.fitted(space, seen, self._question, self.seed(study), self._warm)
        _warn_unsettled(self._warm.posterior)
        return space, self._warm.posterior

    def _warn(self, trials: Sequence[FrozenTrial], seen: Observations, space: Space) -> None:
        """Says what is assumed where trials leave it open."""
        finished = [trial for trial in trials if trial.state in told.FINISHED]
        budget = self._question.budget
        open_ended = np.isnan(seen.t_gen) & ~seen.diverged
        for trial, steps in zip(finished, np.where(open_ended, seen.steps, budget).tolist(), strict=True):
            if steps != budget:
                how = "says nothing of later steps" if steps < budget else "counts events beyond that as late"
                warnings.warn(
                    f"trial {trial.number}: steps: was watched to {steps:g}, not to budget_steps={budget:g}. It {how}.",
                    stacklevel=3,
                )
                break
        outcomes = {label for label in labels(seen, self._question) if label is not None}
        if len(finished) >= INITIAL * len(space.dimensions) and len(outcomes) < 2:
            only = f"has the outcome {min(outcomes)}" if outcomes else "was watched too briefly for an outcome"
            warnings.warn(
                f"every trial so far {only}: there is no boundary to refine yet. Trials explore the search space until "
                "another outcome is seen, on the assumption that it has one.",
                stacklevel=3,
            )


def _shared(trials: Sequence[FrozenTrial]) -> dict[str, BaseDistribution]:
    """The parameters that every finished trial suggested from one distribution of more than one value."""
    shared = intersection_search_space(list(trials), include_pruned=True)
    return {name: one for name, one in shared.items() if not one.single()}


def _warn_unsettled(posterior: Posterior | None) -> None:
    if posterior is not None and not posterior.settled:
        warnings.warn("the model's fit did not settle: its map and bands may be off.", stacklevel=4)
