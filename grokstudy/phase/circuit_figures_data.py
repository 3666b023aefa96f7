"""What a picture of a network shows, before a library draws it: panels with axes, and marks in the axes' own units."""

from __future__ import annotations

import dataclasses
from typing import Literal, TypeAlias

import numpy as np
from jaxtyping import Float

from grokstudy.phase.palette import ALGORITHM_COLOURS, INK, OUTCOME_COLOURS

FIRST_STEP = 0.7
"""Where step 0 is drawn on a log axis."""
COSINE, SINE = OUTCOME_COLOURS["grokking"], OUTCOME_COLOURS["memorization"]
SERIES = tuple(ALGORITHM_COLOURS.values())[1:]
"""Colours of lines that are one of many; they repeat."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """An axis of a panel."""

    label: str
    log: bool = False
    low: float | None = None
    high: float | None = None
    """Ends; None = as the marks ask for."""
    ticks: tuple[tuple[float, str], ...] = ()
    """Places with their text; none = the library chooses."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Colours of numbers. Marks with equal scales share one colour bar."""

    label: str
    low: float
    high: float
    colours: Literal["sequential", "diverging", "cyclic"] = "sequential"


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Line:
    """Points joined in their order; NaN is a gap."""

    x: Float[np.ndarray, " n"]
    y: Float[np.ndarray, " n"]
    name: str = ""
    colour: str = INK
    markers: bool = False


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Bars:
    """Bars from 0, or from `base`."""

    x: Float[np.ndarray, " n"]
    height: Float[np.ndarray, " n"]
    width: float
    name: str = ""
    colour: str = INK
    base: Float[np.ndarray, " n"] | None = None


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Heat:
    """A matrix of colours; cell [j, i] lies between y[j], y[j + 1] and x[i], x[i + 1]. NaN is left white."""

    x: Float[np.ndarray, " columns+1"]
    y: Float[np.ndarray, " rows+1"]
    values: Float[np.ndarray, "rows columns"]
    scale: Scale


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Dots:
    """Points coloured by a number, each with a word that hovering shows; `written` puts the word beside the point."""

    x: Float[np.ndarray, " n"]
    y: Float[np.ndarray, " n"]
    values: Float[np.ndarray, " n"]
    scale: Scale
    words: tuple[str, ...]
    written: bool = False


Mark: TypeAlias = Line | Bars | Heat | Dots


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A dashed line at one x over the whole height, or at one y over the whole width."""

    at: float
    colour: str
    across: bool = False
    """Horizontal."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """A shaded range of x with its name."""

    start: float
    end: float
    colour: str
    name: str = ""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Panel:
    """One pair of axes with all that is drawn there."""

    x: Axis
    y: Axis
    marks: tuple[Mark, ...]
    title: str = ""
    rules: tuple[Rule, ...] = ()
    bands: tuple[Band, ...] = ()
    square: bool = False
    """One unit of x is as long as one of y."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Picture:
    """A figure ready to be drawn; panels fill rows of `across`."""

    title: str
    note: str
    """What the numbers are, their units and their source, below the panels."""
    panels: tuple[Panel, ...]
    across: int = 1
    width: float = 7.2
    """Of a panel, in inches."""
    height: float = 2.6

    @property
    def down(self) -> int:
        """Rows of panels."""
        return -(-len(self.panels) // self.across)


def cell_edges(centres: Float[np.ndarray, " n"], *, log: bool = False) -> Float[np.ndarray, " n+1"]:
    """Borders half way between rising centres (of their logarithms where `log`); the outer cells are symmetric."""
    places = np.log(centres) if log else np.asarray(centres, dtype=float)
    if len(places) == 1:
        edges = np.array([places[0] - 0.5, places[0] + 0.5])
    else:
        middle = (places[1:] + places[:-1]) / 2
        edges = np.array([2 * places[0] - middle[0], *middle, 2 * places[-1] - middle[-1]])
    return np.exp(edges) if log else edges


def zero_centred(values: Float[np.ndarray, "*size"], label: str) -> Scale:
    """A diverging scale on which 0 is white."""
    most = float(np.nanmax(np.abs(values), initial=0.0)) or 1.0
    return Scale(label=label, low=-most, high=most, colours="diverging")


def from_zero(values: Float[np.ndarray, "*size"], label: str) -> Scale:
    """A sequential scale from 0 to the largest value."""
    return Scale(label=label, low=0.0, high=float(np.nanmax(values, initial=0.0)) or 1.0)


def on_log_axis(steps: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Steps with 0 moved to where a log axis shows it."""
    places: np.ndarray = np.maximum(steps, FIRST_STEP)
    return places
