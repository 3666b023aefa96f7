"""Adaptive samplers: what they are told and what they answer. Finished trials and open proposals in, proposals out."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Sequence

from grokstudy.spec.axes import Axis, Point
from grokstudy.spec.errors import BadInput
from grokstudy.spec.fields import setting
from grokstudy.spec.interfaces import Sampler
from grokstudy.spec.rows import Outcome

EXTEND = "extend"
"""Source of a proposal to train a censored trial for longer; every other source proposes a trial of its own."""
SENTINEL = "sentinel"
"""Source of trials that repeat a cell with many seeds."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """One trial that a sampler wants to see, and why."""

    point: Point
    """A value for every axis; it may give `seed` besides, so that each trial draws anew."""
    source: str
    """The sampler's word for where the proposal comes from (initial, explore, boundary, extend ...)."""
    reason: str
    """One sentence for people."""
    budget: int | None = None
    """Steps to train to, at most the study's budget; None = that."""
    predicted: tuple[float, ...] | None = None
    """Probability of every outcome before the trial ran, in the order of `outcome.LABELS`; None = not predicted."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """How well the answer was known when a batch was proposed."""

    finished: int
    """Trials that were known."""
    expected_error: float
    """Share of the axes' volume that is expected to be misclassified."""
    half_width: float | None = None
    """Half-width of the boundary's band, as a share of an axis; None = there is no boundary yet."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """All that a sampler knows: its answer is a function of this and of its settings."""

    axes: tuple[Axis, ...]
    budget: int
    """Steps of the study."""
    finished: tuple[Outcome, ...] = ()
    """Trials that were trained, in the order in which they were proposed, then those nobody proposed."""
    open: tuple[Proposal, ...] = ()
    """Proposals without an outcome yet: running or waiting, in order."""
    proposed: int = 0
    """Proposals made so far: the number of the next one."""
    trials: int = 0
    """Different trials among them: extensions and failed trials are not new."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a sampler says when it is asked: what to run next, that it waits, or that it is done."""

    proposals: tuple[Proposal, ...] = ()
    """Empty = it waits for what is open."""
    over: str | None = None
    """Why there will be no more; None = there may be more."""
    check: Check | None = None
    """How well the answer is known by now."""
    state: str = ""
    """A few words for the line of progress."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AdaptiveSampler(Sampler):
    """Chooses points by what finished trials have shown. Pure too: it keeps nothing between two questions."""

    n_trials: int = setting(200, help="most trials to run")
    batch: int = setting(8, help="trials to propose at a time")
    seed: int = setting(0, help="seed of the sampler's own draws")

    def __post_init__(self) -> None:
        for name in ("n_trials", "batch"):
            if getattr(self, name) < 1:
                raise BadInput(f"sampler.{name}: got {getattr(self, name)}, must be >= 1.")

    @property
    def extends(self) -> bool:
        """Whether it asks itself for censored trials to be trained longer; else the study extends them when its budget
        grows."""
        return False

    @abstractmethod
    def ask(self, told: Told) -> Answer:
        """The next proposals; none while it waits; why there are no more when it is done.

        Called when the queue of trials runs low, in a thread of its own, with everything known by then.
        """

    def propose(self, axes: Sequence[Axis], start: int, told: Sequence[Outcome]) -> list[Point] | None:
        """No points: an adaptive sampler is asked by `ask`."""
        return None
