"""Axes of a study: which settings vary, over which values or interval."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TypeAlias

from grokstudy.spec.errors import BadInput

Value: TypeAlias = "str | int | float | bool | None"
Point: TypeAlias = Mapping[str, Value]
"""One value for every axis, by config path."""


def rounded(value: Value) -> Value:
    """A float rounded to 12 significant digits, so that equal values have equal identity however they were computed."""
    return float(f"{value:.11e}") if isinstance(value, float) else value


def is_seed(path: str) -> bool:
    """Whether a setting is the master seed or one of the four streams it sets."""
    return path == "seed" or path.startswith("seeds.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One varied setting: a tuple of values, or an interval for samplers that choose their own points."""

    path: str
    values: tuple[Value, ...] = ()
    low: float | None = None
    high: float | None = None
    log: bool = False
    integer: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(dict.fromkeys(rounded(v) for v in self.values)))
        if self.is_interval == bool(self.values):
            raise BadInput(f"{self.path}: an axis needs values or an interval, got {self}.")
        if self.low is not None and self.high is not None:
            if not self.low < self.high:
                raise BadInput(f"{self.path}: the interval's ends must rise, got {self.low} .. {self.high}.")
            if self.log and self.low <= 0:
                raise BadInput(f"{self.path}: a log interval must start above 0, got {self.low}.")

    @property
    def is_interval(self) -> bool:
        return self.low is not None and self.high is not None

    def at(self, unit: float) -> Value:
        """The value at `unit` in [0, 1): a position in the interval, or one of the values."""
        if not self.is_interval:
            return self.values[int(unit * len(self.values))]
        assert self.low is not None
        assert self.high is not None
        span = (self.high / self.low) if self.log else (self.high - self.low)
        value = self.low * span**unit if self.log else self.low + span * unit
        return round(value) if self.integer else rounded(value)
