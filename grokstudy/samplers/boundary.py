"""Looks for the boundaries between outcomes: where memorising, generalising and grokking begin and end."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from grokstudy.spec.axes import Axis
from grokstudy.spec.errors import BadInput
from grokstudy.spec.fields import setting
from grokstudy.spec.outcome import RATIO
from grokstudy.spec.proposal import SENTINEL, AdaptiveSampler, Answer, Check, Told


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Boundary(AdaptiveSampler):
    """Trials where they tell most about the boundaries between outcomes, per unit of what they cost.

    Every trial has a new point and, unless a seed is an axis or `new_seeds` is off, a new master seed: replicates tell
    nothing about where a boundary is. A time that was not seen is a bound, never a label. A share of the trials ignores
    the model: it finds what the model does not expect, and is the only unbiased check of the map. The study ends at the
    stop rule, when the map is known to `tolerance` and its boundaries to `band`, or after `n_trials`.

    Source: Chevalier et al. 2014, "Fast parallel kriging-based stepwise uncertainty reduction", for nested margins of
    censored times; docs/samplers.md.
    """

    n_trials: int = setting(400, help="most trials to run, if the stop rule is not reached before")
    ratio: float = setting(RATIO, help="t_gen / t_mem from which a delayed generalisation counts as grokking")
    explore: float = setting(0.1, help="share of the trials that ignore the model, in [0, 1]")
    tolerance: float = setting(0.02, help="stop rule: largest share of the axes' volume expected to be misclassified")
    band: float = setting(0.03, help="stop rule: largest half-width of the 95 % band, as a share of an axis")
    cost_power: float = setting(0.3, help="gain is divided by expected cost to this power, in [0, 2]; 0 ignores cost")
    first_budget: float = setting(
        1.0, help="share of the budget that a boundary trial gets at first; below 1 censored ones may be extended"
    )
    sentinels: int = setting(0, help="cells that are repeated with many seeds at the end, besides n_trials")
    sentinel_seeds: int = setting(16, help="seeds of each of them")
    new_seeds: bool = setting(True, help="every trial has its number as master seed, added to `seed`")

    def __post_init__(self) -> None:
        AdaptiveSampler.__post_init__(self)
        for name, low, high in (("explore", 0.0, 1.0), ("cost_power", 0.0, 2.0)):
            if not low <= getattr(self, name) <= high:
                raise BadInput(f"sampler.{name}: got {getattr(self, name)}, must be in [{low:g}, {high:g}].")
        for name in ("tolerance", "band", "first_budget"):
            if not 0 < getattr(self, name) <= 1:
                raise BadInput(f"sampler.{name}: got {getattr(self, name)}, must be in (0, 1].")
        if not 1 <= self.ratio < float("inf"):
            raise BadInput(f"sampler.ratio: got {self.ratio}, must be a number >= 1, e.g. {RATIO:g}.")
        for name, fewest in (("sentinels", 0), ("sentinel_seeds", 2)):
            if getattr(self, name) < fewest:
                raise BadInput(f"sampler.{name}: got {getattr(self, name)}, must be >= {fewest}.")

    @property
    def extends(self) -> bool:
        return self.first_budget < 1

    def check(self, axes: Sequence[Axis]) -> None:
        """Raises BadInput without an axis of numbers, or with an axis that has no width."""
        from grokstudy.samplers.surrogate.space import Space

        if not axes:
            raise BadInput(
                "axes: sampler=boundary looks for boundaries along settings that vary, and none does. Give an "
                "interval, e.g. 'task.frac_train=lin(0.25,0.8)'."
            )
        Space.of_axes(axes)

    def ask(self, told: Told) -> Answer:
        from grokstudy.samplers._boundary_sight import Sight

        sight = Sight(sampler=self, told=told)
        found, check = sight.stop_check(), None
        if found is not None:
            check = Check(finished=found.n, expected_error=found.expected_error, half_width=found.half_width_p95)
        stop = f"stop rule reached: {found.reason}" if found is not None and found.stop else None
        if stop is None and told.trials >= self.n_trials:
            stop = f"sampler.n_trials={self.n_trials} trials were proposed before the stop rule was reached"
        if stop is None:
            return Answer(proposals=sight.next(min(self.batch, self.n_trials - told.trials)), check=check)
        if told.open:  # what they show may change the answer
            return Answer(check=check)
        if self.sentinels and not any(found.source == SENTINEL for found in told.finished):
            return Answer(proposals=sight.sentinels(), check=check)
        return Answer(over=stop, check=check)
