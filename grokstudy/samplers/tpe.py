"""Optuna's tree-structured Parzen estimator: looks for the best value of one number of a trial."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from grokstudy.spec.axes import Axis, Point, Value, rounded
from grokstudy.spec.draws import generator
from grokstudy.spec.errors import BadInput
from grokstudy.spec.fields import setting
from grokstudy.spec.proposal import AdaptiveSampler, Answer, Proposal, Told
from grokstudy.spec.rows import Outcome

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

Objective = Literal["t_gen", "t_mem", "delay_ratio", "train_loss", "test_loss", "train_acc", "test_acc"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Tpe(AdaptiveSampler):
    """Searches for the smallest or largest objective; its Optuna study is rebuilt in memory from the finished trials.

    A time that was not seen lies beyond the last step, and is told as the bound on the safe side, so that no trial
    looks better than it is known to be: the last step when times shall be long, the budget (or the last step, if that
    is more) when they shall be short. The same holds for t_gen in delay_ratio; without t_mem there is no ratio, and
    such a trial is told as the worst, like a diverged one. To find where outcomes change, use sampler=boundary: TPE
    collapses onto one stretch of a boundary.

    Source: Bergstra et al. 2011, "Algorithms for hyper-parameter optimization"; Optuna's TPESampler.
    """

    objective: Objective = setting("t_gen", help="number to optimise: a time, delay_ratio, or a last loss or accuracy")
    direction: Literal["minimize", "maximize"] = setting("minimize", help="which way is better")
    startup: int = setting(16, help="trials drawn at random before the search begins")

    def __post_init__(self) -> None:
        AdaptiveSampler.__post_init__(self)
        if self.startup < 1:
            raise BadInput(f"sampler.startup: got {self.startup}, must be >= 1.")

    def check(self, axes: Sequence[Axis]) -> None:
        if not axes:
            raise BadInput(
                "sampler=tpe: there is no axis to search along. Vary a setting, e.g. optimizer.lr=log(1e-4,1)."
            )

    def ask(self, told: Told) -> Answer:
        left = self.n_trials - told.trials
        if left < 1:
            return Answer(over=f"sampler.n_trials={self.n_trials} trials were proposed")
        points = self._points(told, min(self.batch, left))
        reason = f"{self.objective}: {self.direction}"
        return Answer(proposals=tuple(Proposal(point=point, source="tpe", reason=reason) for point in points))

    def _points(self, told: Told, n: int) -> list[Point]:
        """Asks a fresh Optuna study that knows what is finished and what is open."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        seed = int(generator(self.seed, "tpe_sampler", str(told.proposed)).integers(2**32))
        sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=self.startup, constant_liar=True)
        study = optuna.create_study(sampler=sampler, direction=self.direction)
        study.add_trials([_trial(told.axes, o.point, self.value(o, told.budget)) for o in told.finished])
        study.add_trials([_trial(told.axes, proposal.point, None) for proposal in told.open])
        distributions = _distributions(told.axes)
        return [_point(told.axes, study.ask(fixed_distributions=distributions).params) for _ in range(n)]

    def value(self, outcome: Outcome, budget: int) -> float:
        """The objective of a trial, never better than it is known to be."""
        longest = self.direction == "maximize"
        worst = -math.inf if longest else math.inf
        bound = outcome.steps_run if longest else max(outcome.steps_run, budget)
        t_gen = bound if outcome.t_gen is None else outcome.t_gen
        found: float | None
        match self.objective:
            case "t_gen":
                found = t_gen
            case "t_mem":
                found = bound if outcome.t_mem is None else outcome.t_mem
            case "delay_ratio":
                found = None if outcome.t_mem is None else t_gen / max(outcome.t_mem, 1)
            case name:
                found = getattr(outcome, name)
        return worst if found is None or outcome.diverged else float(found)


def _is_ordered(axis: Axis) -> bool:
    """Whether the axis' values are numbers, so that neighbours are alike."""
    return all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in axis.values)


def _distributions(axes: Sequence[Axis]) -> dict[str, BaseDistribution]:
    return {axis.path: _distribution(axis) for axis in axes}


def _distribution(axis: Axis) -> BaseDistribution:
    """An interval as it is, numbers as positions in their order, names as choices."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if not axis.is_interval:
        return IntDistribution(0, len(axis.values) - 1) if _is_ordered(axis) else CategoricalDistribution(axis.values)
    assert axis.low is not None
    assert axis.high is not None
    if axis.integer:
        return IntDistribution(math.ceil(axis.low), math.floor(axis.high), log=axis.log)
    return FloatDistribution(axis.low, axis.high, log=axis.log)


def _point(axes: Sequence[Axis], params: dict[str, Value]) -> Point:
    """The point that Optuna's parameters mean."""
    ordered = {axis.path: axis.values for axis in axes if not axis.is_interval and _is_ordered(axis)}
    return {
        path: ordered[path][int(value or 0)] if path in ordered else rounded(value) for path, value in params.items()
    }


def _trial(axes: Sequence[Axis], point: Point, value: float | None) -> FrozenTrial:
    """A trial as Optuna knows it: complete with its value, or running without."""
    from optuna.trial import TrialState, create_trial

    params = {
        axis.path: axis.values.index(point[axis.path])
        if not axis.is_interval and _is_ordered(axis)
        else point[axis.path]
        for axis in axes
    }
    state = TrialState.RUNNING if value is None else TrialState.COMPLETE
    return create_trial(state=state, params=params, distributions=_distributions(axes), value=value)
