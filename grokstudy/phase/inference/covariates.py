"""Settings as columns of a regression: logarithms on log axes, one indicator for each further name."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from grokstudy.phase import columns
from grokstudy.phase.axis import is_log
from grokstudy.spec.errors import BadInput

MOST_NAMES = 12


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One column: a numeric setting mapped to [-1, 1] over its range, or whether a setting has one of its names."""

    path: str
    name: str | None = None
    """Of the level, if the setting has names."""
    against: str = ""
    """The first name, which every other one is compared with."""
    low: float = 0.0
    high: float = 1.0
    log: bool = False

    @property
    def label(self) -> str:
        return self.path if self.name is None else f"{self.path}={self.name}"

    @property
    def per(self) -> str:
        """The step of the setting that the coefficient of `per_step` speaks of."""
        if self.name is not None:
            return f"against {self.against}"
        return "factor of 10" if self.log else f"{self.low:g} to {self.high:g}"

    @property
    def per_step(self) -> float:
        """By how much the column changes over that step."""
        if self.name is not None:
            return 1.0
        return 2.0 / np.log10(self.high / self.low) if self.log else 2.0

    def value(self, place: float) -> float:
        """The setting at a place of its column; beyond what a number can hold it is infinite."""
        if not np.isfinite(place):
            return place
        low, high = (np.log(self.low), np.log(self.high)) if self.log else (self.low, self.high)
        at = float(low + (place + 1) / 2 * (high - low))
        return (float(np.exp(at)) if at < 700 else float("inf")) if self.log else at

    def column(self, values: pd.Series) -> Float[np.ndarray, " trials"]:
        """The setting of every trial as a column."""
        if self.name is not None:
            return np.array([columns.label(value) == self.name for value in values], dtype=float)
        at = values.to_numpy(dtype=float)
        ends = np.array([self.low, self.high])
        if self.log:
            at, ends = np.log(at), np.log(ends)
        return np.asarray(2 * (at - ends[0]) / (ends[1] - ends[0]) - 1)


def on_log_axis(values: Float[np.ndarray, " trials"]) -> bool:
    """Whether a setting is taken in the logarithm: as diagrams do, but places drawn evenly from 0.01 to 1 are linear.

    On a log axis half of the trials lie in the lowest third of its range.
    """
    known = values[np.isfinite(values)]
    positive = known[known > 0]
    return is_log(known) and bool(np.median(positive) < positive.min() + (positive.max() - positive.min()) / 3)


def usable(settings: pd.DataFrame) -> Bool[np.ndarray, " trials"]:
    """Trials whose numeric settings have a place: not missing, and not 0 on a log axis."""
    use = np.ones(len(settings), dtype=bool)
    for path in settings.columns:
        if columns.is_numeric(settings[path]):
            at = settings[path].to_numpy(dtype=float)
            use &= np.isfinite(at) & ((at > 0) | (not on_log_axis(at)))
    return use


def terms_of(settings: pd.DataFrame) -> tuple[Term, ...]:
    """The columns of a regression on these settings, whose trials are all usable.

    Raises:
        BadInput: a setting with one value only, or with very many names.
    """
    return tuple(term for path in settings.columns for term in _terms(str(path), settings[path]))


def design(terms: tuple[Term, ...], settings: pd.DataFrame) -> Float[np.ndarray, "trials terms"]:
    """A column of ones, then the terms."""
    return np.column_stack([np.ones(len(settings)), *(term.column(settings[term.path]) for term in terms)])


def _terms(path: str, column: pd.Series) -> list[Term]:
    distinct = column.drop_duplicates()
    if len(distinct) < 2:
        raise BadInput(f"x: {path} has one value here ({columns.shown(column)}), so nothing can depend on it.")
    if columns.is_numeric(column):
        at = column.to_numpy(dtype=float)
        return [Term(path=path, low=float(at.min()), high=float(at.max()), log=on_log_axis(at))]
    names = sorted(map(columns.label, distinct))
    if len(names) > MOST_NAMES:
        raise BadInput(f"x: {path} has {len(names)} names; at most {MOST_NAMES} can be compared, --fix some of them.")
    return [Term(path=path, name=name, against=names[0]) for name in names[1:]]
