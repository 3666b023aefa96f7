"""What was seen of trials, and what that says about each margin.

A margin is a latent function in dex, below 0 where it happens in time: mem = log10(t_mem / T),
gen = log10(t_gen / T), delay = log10((t_gen / t_mem) / R). A trial says of a margin: its value was y, or it is above
(below) a bound. An outcome is never used as such: a trial watched to T / 4 without an event says t > T / 4.
"""

from __future__ import annotations

import dataclasses
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float

from grokstudy.samplers.surrogate.space import Places, Space

Margin = Literal["mem", "gen", "delay", "diverged"]
MARGINS: tuple[Margin, ...] = ("mem", "gen", "delay")
"""Order of the columns of every array of margins. A fourth function, "diverged" (below 0: it does), has no time."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Between which outcomes the boundary lies: budget T in steps, and the ratio R that divides delays."""

    budget: float
    ratio: float

    def __post_init__(self) -> None:
        for name, least in (("budget", 0.0), ("ratio", 0.0)):
            value = getattr(self, name)
            if not (np.isfinite(value) and value > least):
                raise ValueError(f"{name}: got {value}, must be a finite number above {least:g}.")


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Observations:
    """What was seen of n trials. Times in steps, NaN = not seen by `steps`."""

    places: Places
    t_mem: Float[np.ndarray, " n"]
    t_gen: Float[np.ndarray, " n"]
    steps: Float[np.ndarray, " n"]
    """Watched until; less than T is right-censoring at that step."""
    diverged: Bool[np.ndarray, " n"]
    cost: Float[np.ndarray, " n"]
    """In any unit; NaN = unknown."""

    def __post_init__(self) -> None:
        n = len(self.places)
        for name in ("t_mem", "t_gen", "steps", "diverged", "cost"):
            if getattr(self, name).shape != (n,):
                raise ValueError(f"{name}: got shape {getattr(self, name).shape}, must be ({n},): one per place.")
        if not (np.isfinite(self.steps) & (self.steps > 0)).all():
            raise ValueError("steps: every trial must have been watched for a finite number of steps above 0.")
        for name in ("t_mem", "t_gen"):
            times = getattr(self, name)
            if not (np.isnan(times) | ((times >= 0) & (times <= self.steps))).all():
                raise ValueError(f"{name}: a time must be NaN or in [0, steps] of its trial.")
        if (~np.isnan(self.cost) & ~((self.cost >= 0) & np.isfinite(self.cost))).any():
            raise ValueError("cost: must be NaN or a finite number >= 0.")
        if not np.isfinite(self.places.unit).all():
            raise ValueError("places: every position must be finite.")

    def __len__(self) -> int:
        return len(self.places)

    @classmethod
    def empty(cls, space: Space) -> Observations:
        """No trial."""
        none = np.zeros(0)
        return cls(places=space.empty(), t_mem=none, t_gen=none, steps=none, diverged=none.astype(bool), cost=none)

    def take(self, index: np.ndarray) -> Observations:
        """Those of an index array or mask."""
        return Observations(
            places=self.places.take(index),
            t_mem=self.t_mem[index],
            t_gen=self.t_gen[index],
            steps=self.steps[index],
            diverged=self.diverged[index],
            cost=self.cost[index],
        )


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Evidence:
    """What n trials say of one margin, in dex. Rows are in an order that does not depend on that of the trials."""

    places: Places
    side: Float[np.ndarray, " n"]
    """0: the margin (with seed noise) was `bound`; +1: it is above `bound`; -1: it is below."""
    bound: Float[np.ndarray, " n"]

    def __len__(self) -> int:
        return len(self.side)

    def take(self, index: np.ndarray) -> Evidence:
        return Evidence(self.places.take(index), self.side[index], self.bound[index])

    def rows(self) -> tuple[bytes, ...]:
        """Every trial's place and what it says, as a key."""
        table = np.column_stack([self.places.unit, self.places.levels.astype(float), self.side, self.bound])
        return tuple(row.tobytes() for row in table)

    def seen_below(self) -> Bool[np.ndarray, " n"]:
        """Where the margin is known to be below 0: it happened in time."""
        return np.asarray((self.side <= 0) & (self.bound < 0) | (self.side < 0) & (self.bound == 0))

    def seen_above(self) -> Bool[np.ndarray, " n"]:
        """Where the margin is known to be above 0."""
        return np.asarray((self.side >= 0) & (self.bound >= 0))

    def within(self, window: float) -> Evidence:
        """The same with exact values only in [-window, window]: beyond it a trial just says on which side.

        A window of 0 keeps the label alone; a censoring bound below 0 stays where it is.
        """
        late, early = (self.side >= 0) & (self.bound >= window), (self.side <= 0) & (self.bound < -window)
        side = np.where(late, 1.0, np.where(early, -1.0, self.side))
        bound = np.where(late, window, np.where(early, -window, self.bound))
        return Evidence(self.places, side, bound)


def evidence(observations: Observations, question: Question, margin: Margin) -> Evidence:
    """What the trials say of a margin.

    Diverged trials say nothing of the three margins of times. gen and delay are nested: they are learned from trials
    that memorised, delay where t_gen was not seen by its lower bound steps / t_mem. If some trial generalised without
    memorising (inversion), gen is learned from all trials, since it then means something everywhere. As in
    `spec.outcome`, an event at the budget itself is in time, and a ratio of R is grokking.
    """
    if margin == "diverged":
        side = np.where(observations.diverged, -1.0, 1.0)
        return _sorted(Evidence(observations.places, side, np.zeros(len(observations))))
    seen = observations.take(~observations.diverged)
    if margin == "mem":
        return _sorted(_in_time(_timed(seen, seen.t_mem, question.budget)))
    memorised = ~np.isnan(seen.t_mem)
    if margin == "gen":
        use = memorised | has_inversion(observations, question)
        return _sorted(_in_time(_timed(seen.take(use), seen.t_gen[use], question.budget)))
    seen = seen.take(memorised)
    return _sorted(_timed(seen, seen.t_gen, question.ratio * np.maximum(seen.t_mem, 1.0)))


def has_inversion(observations: Observations, question: Question) -> bool:
    """Whether some trial generalised within the budget and did not memorise within it."""
    memorised, generalised = (times <= question.budget for times in (observations.t_mem, observations.t_gen))
    return bool((~observations.diverged & ~memorised & generalised).any())


def _timed(seen: Observations, times: Float[np.ndarray, " n"], unit: float | Float[np.ndarray, " n"]) -> Evidence:
    censored = np.isnan(times)
    # Step 0 has no logarithm; as everywhere it counts as step 1.
    bound = np.log10(np.maximum(np.where(censored, seen.steps, times), 1.0) / unit)
    return Evidence(seen.places, censored.astype(float), bound)


def _in_time(found: Evidence) -> Evidence:
    """With values of exactly 0 just below it."""
    at_budget = (found.side == 0) & (found.bound == 0)
    return Evidence(found.places, found.side, np.where(at_budget, np.nextafter(0.0, -1.0), found.bound))


def _sorted(found: Evidence) -> Evidence:
    order = np.lexsort((found.bound, found.side, *found.places.levels.T, *found.places.unit.T))
    return found.take(order)
