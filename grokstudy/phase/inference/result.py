"""What every fit gives back: rows, sentences for a reviewer, and a figure."""

from __future__ import annotations

import dataclasses
from typing import Protocol, runtime_checkable

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

INK_SERIES = -1
"""Drawn in ink, not in one of the colours that tell things apart."""


@runtime_checkable
class Fit(Protocol):
    """A fitted statistic of a study, a frozen dataclass."""

    def table(self) -> pd.DataFrame:
        """The numbers, one row each: at least `name`, `estimate`, `low` and `high` where there is an interval.

        What the data cannot say is NaN or infinite here; JSON shows it as null.
        """
        ...

    def sentences(self) -> tuple[str, ...]:
        """What a reviewer must read: the answer, what was assumed, what was left out, and what is not claimed."""
        ...

    def figure(self) -> FitFigure:
        """The picture, as data that plotly and matplotlib draw alike."""
        ...


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Line:
    """Points joined by straight lines, or by steps."""

    x: Float[np.ndarray, " points"]
    y: Float[np.ndarray, " points"]
    name: str = ""
    """In the legend; none if empty."""
    series: int = 0
    """Colour and dash, by number; INK_SERIES for ink."""
    steps: bool = False
    """From one place on until the next, as a survival curve."""
    thin: bool = False


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Points:
    """Single places, with vertical intervals where `low` and `high` are given."""

    x: Float[np.ndarray, " points"]
    y: Float[np.ndarray, " points"]
    low: Float[np.ndarray, " points"] | None = None
    high: Float[np.ndarray, " points"] | None = None
    beyond: Bool[np.ndarray, " points"] | None = None
    """Censored: the truth lies above; drawn as an open triangle."""
    name: str = ""
    series: int = 0


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Band:
    """Everything between two curves."""

    x: Float[np.ndarray, " points"]
    low: Float[np.ndarray, " points"]
    high: Float[np.ndarray, " points"]
    name: str = ""
    series: int = 0


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Region:
    """Where a height over the plane is at most a level; the edge is drawn, the inside tinted."""

    x: Float[np.ndarray, " columns"]
    y: Float[np.ndarray, " rows"]
    height: Float[np.ndarray, "rows columns"]
    level: float
    name: str = ""
    series: int = 0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A straight line across the whole panel: a level of x (upright) or of y."""

    at: float
    upright: bool
    text: str = ""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Panel:
    """One pair of axes and what is drawn on it, bands below lines below points."""

    x_label: str
    y_label: str
    title: str = ""
    x_log: bool = False
    y_log: bool = False
    x_ticks: tuple[tuple[float, str], ...] = ()
    """Words in place of numbers, for x that has names."""
    regions: tuple[Region, ...] = ()
    bands: tuple[Band, ...] = ()
    lines: tuple[Line, ...] = ()
    points: tuple[Points, ...] = ()
    marks: tuple[Mark, ...] = ()


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class FitFigure:
    """Panels beside each other."""

    title: str
    note: str
    """What was fitted to how many trials at which T, below the panels."""
    panels: tuple[Panel, ...]
