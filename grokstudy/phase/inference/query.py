"""What is fitted, to which trials, under which thresholds."""

from __future__ import annotations

import dataclasses
from typing import Literal

from grokstudy.phase.places import Place, parse_place
from grokstudy.phase.rule import Rule, parse_rule
from grokstudy.spec.axes import Value
from grokstudy.spec.errors import BadInput, unknown
from grokstudy.spec.outcome import RATIO, TAU

EVENTS = ("t_gen", "t_mem")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FitQuery:
    """A fit in words. Column names are full config paths or unique leaves. A fit names the settings that it uses.

    Raises:
        BadInput: a setting outside its range.
    """

    x: tuple[str, ...] = ()
    """Settings that the statistic depends on."""
    event: Literal["t_gen", "t_mem"] = "t_gen"
    """Which time."""
    value: str | None = None
    """Column of trials or measure whose distribution over seeds is asked for."""
    size: str | None = None
    """Setting that says how large a network or task is."""
    at: str | None = None
    """Where measures are read: end, t_gen, 2*t_gen, step:S."""
    fix: tuple[tuple[str, Value], ...] = ()
    cluster: str = "seed_data"
    """Trials that share this column are not independent."""
    resamples: int = 1000
    """Of a bootstrap."""
    resampling_seed: int = 0
    tau: float = TAU
    """Accuracy from which a trial has memorised or generalised."""
    ratio: float = RATIO
    """t_gen / t_mem from which generalisation is called grokking."""
    budget: int | None = None
    """T; the fewest steps among finished trials if not given."""
    rule: str | None = None
    """Condition on curves in place of `test_acc >= tau` in t_gen."""
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if self.event not in EVENTS:
            raise unknown("event", self.event, EVENTS)
        if self.rule is not None and self.event == "t_mem":
            raise BadInput("rule: a rule defines t_gen; t_mem is always the train accuracy's. Leave one of them out.")
        _demand(self.resamples >= 100, "resamples", self.resamples, "must be at least 100")
        _demand(self.resampling_seed >= 0, "resampling_seed", self.resampling_seed, "must be a whole number >= 0")
        _demand(0 < self.tau <= 1, "tau", self.tau, "must be an accuracy in (0, 1], e.g. .99")
        _demand(1 <= self.ratio < float("inf"), "ratio", self.ratio, "must be a number >= 1, e.g. 5")
        _demand(self.budget is None or self.budget >= 1, "budget", self.budget, "must be a number of steps >= 1")
        _demand(0 < self.confidence < 1, "confidence", self.confidence, "must be in (0, 1), e.g. .95")
        self.parsed_rule()
        self.place()

    def parsed_rule(self) -> Rule | None:
        return None if self.rule is None else parse_rule(self.rule)

    def place(self) -> Place | None:
        return None if self.at is None else parse_place(self.at)


def _demand(holds: bool, key: str, given: object, what: str) -> None:
    if not holds:
        raise BadInput(f"{key}: got {given}, {what}.")
