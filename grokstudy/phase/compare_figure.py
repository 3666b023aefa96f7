"""What the figure of a comparison shows: every trial of every cell, lines between partners, each pair's effect.

Times that were not seen stand in a band of their own above T, never at a value.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from grokstudy.phase.compare import MOST_STRIPS, Comparison, Strip
from grokstudy.phase.compare_sides import TIMES
from grokstudy.phase.palette import TEST, TRAIN
from grokstudy.spec.errors import BadInput

ORDERS: dict[str, tuple[str, str]] = {
    "less": (TEST, "right one smaller"),
    "greater": (TRAIN, "right one larger"),
    "open": ("#A8A8A8", "equal, or order not known"),
}
"""Colour and meaning of the line between two partners."""
SIDES = (0.25, 0.75)
_SPREAD = 0.16
"""Width within which the seeds of one side stand beside each other; a strip has width 1."""

Bound = Literal["exact", "above", "below", "none"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A number as drawn; `above`: all that is known is that it lies above `y`."""

    x: float
    y: float
    bound: Bound


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PairMarks:
    """One pair: both values, and its effect."""

    a: Mark
    b: Mark
    effect: Mark
    order: str
    """A key of ORDERS."""
    text: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StripMarks:
    """One cell."""

    label: str
    left: float
    names: tuple[str, str]
    pairs: tuple[PairMarks, ...]
    low: float | None
    """Interval and median of the effect; None = not bounded."""
    high: float | None
    median_low: float | None
    median_high: float | None
    confidence: float


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class CompareFigure:
    """Everything that both backends draw."""

    title: str
    note: str
    value_label: str
    effect_label: str
    log_value: bool
    log_effect: bool
    limit: float | None
    """T, if the value is a time: above it stand those that were not seen."""
    band: float | None
    """Where they stand."""
    value_range: tuple[float, float]
    effect_range: tuple[float, float]
    strips: tuple[StripMarks, ...]


def compare_figure_data(comparisons: Sequence[Comparison]) -> CompareFigure:
    """What a figure shows of comparisons with one baseline.

    Raises:
        BadInput: more cells than fit beside each other.
    """
    strips = [(one, strip) for one in comparisons for strip in one.strips]
    if len(strips) > MOST_STRIPS:
        raise BadInput(f"by: {len(strips)} strips do not fit on a page, at most {MOST_STRIPS} do; --fix some settings.")
    first = comparisons[0]
    value, is_time = first.query.value, first.query.value in TIMES
    ends = [shown for one, strip in strips for k in (strip.a, strip.b) for shown in _finite(one, k.low, k.high)]
    ends += [float(first.budget.steps)] if is_time else []
    value_range = _range(ends, first.is_ratio)
    band = None
    if is_time:
        band = first.budget.steps * (value_range[1] / value_range[0]) ** 0.07
        value_range = (value_range[0], band * (band / first.budget.steps))
    effects = [0.0 if not first.is_ratio else 1.0]
    for one, strip in strips:
        effects += _finite(one, strip.b.low - strip.a.high, strip.b.high - strip.a.low)
    return CompareFigure(
        title=f"{', '.join(one.b for one in comparisons)} against {first.a}: {value}",
        note=_note(comparisons),
        value_label=f"{value} (steps)" if is_time else value + (f" at {first.query.at}" if first.query.at else ""),
        effect_label=f"{'ratio to' if first.is_ratio else 'difference from'} {_short(first.a)}",
        log_value=first.is_ratio,
        log_effect=first.is_ratio,
        limit=float(first.budget.steps) if is_time else None,
        band=band,
        value_range=value_range,
        effect_range=_range(effects, first.is_ratio),
        strips=tuple(_strip_marks(one, strip, number, band) for number, (one, strip) in enumerate(strips)),
    )


def interval(strip: StripMarks, data: CompareFigure) -> tuple[float, float]:
    """The interval as drawn: an end that is not bounded reaches the edge."""
    low = data.effect_range[0] if strip.low is None else strip.low
    high = data.effect_range[1] if strip.high is None else strip.high
    return low, high


def _strip_marks(one: Comparison, strip: Strip, number: int, band: float | None) -> StripMarks:
    shift = np.linspace(-_SPREAD, _SPREAD, len(strip.trials)) if len(strip.trials) > 1 else np.zeros(1)
    order = np.argsort(strip.a.low + np.where(np.isfinite(strip.a.high), 0.0, 1e9), kind="stable")
    place = np.empty(len(order))
    place[order] = shift
    low, high = strip.b.low - strip.a.high, strip.b.high - strip.a.low
    pairs = tuple(
        PairMarks(
            a=_mark(one, number + SIDES[0] + place[i], strip.a.low[i], strip.a.high[i], band),
            b=_mark(one, number + SIDES[1] + place[i], strip.b.low[i], strip.b.high[i], band),
            effect=_mark(one, number + 0.5 + place[i], low[i], high[i], None),
            order="less" if high[i] < 0 else "greater" if low[i] > 0 else "open",
            text=f"seed {strip.seeds[i]}<br>{strip.trials[i][0]}<br>{strip.trials[i][1]}",
        )
        for i in range(len(strip.trials))
    )
    effect = strip.effect
    return StripMarks(
        label="\n".join(f"{path.rpartition('.')[2]} {value}" for path, value in strip.settings),
        left=float(number),
        names=(_short(one.a), _short(one.b)),
        pairs=pairs,
        low=_shown(one, effect.low),
        high=_shown(one, effect.high),
        median_low=_shown(one, effect.median_low),
        median_high=_shown(one, effect.median_high),
        confidence=effect.confidence,
    )


def _mark(one: Comparison, x: float, low: float, high: float, band: float | None) -> Mark:
    """`band`: where a number without an upper end is drawn."""
    ends = _shown(one, low), _shown(one, high)
    if ends[0] is not None and (ends[1] is not None or band is None):
        return Mark(x=x, y=ends[0], bound="exact" if ends[1] is not None else "above")
    if ends[1] is not None:
        return Mark(x=x, y=ends[1], bound="below")
    return Mark(x=x, y=math.nan if band is None else band, bound="none" if band is None else "above")


def _note(comparisons: Sequence[Comparison]) -> str:
    first = comparisons[0]
    rule = f"generalised: {first.query.rule}" if first.query.rule else f"τ = {first.query.tau:g}"
    parts = [rule, f"T = {first.budget.steps:,} steps ({first.budget.source})"]
    for one in comparisons:
        parts += [f"{d.path}: {d.a} → {d.b}" for d in one.differences]
    effects = [strip.effect for one in comparisons for strip in one.strips]
    parts.append(f"{sum(effect.pairs for effect in effects):,} pairs with equal seeds")
    unpaired = sum(one.unpaired_a + one.unpaired_b for one in comparisons)
    parts += [f"{unpaired:,} trials without a partner are not shown"] if unpaired else []
    reached = sorted({round(effect.confidence, 3) for effect in effects if effect.confidence > 0})
    if reached:
        several = f"{reached[0]:.1%} to {reached[-1]:.1%}" if len(reached) > 1 else f"{reached[0]:.1%}"
        parts.append(f"bars: sign-test interval of the median ({several}); line: median, dashed: only a bound of it")
    return "   ·   ".join(parts)


def _finite(one: Comparison, *ends: np.ndarray) -> list[float]:
    shown = [_shown(one, end) for array in ends for end in array]
    return [end for end in shown if end is not None]


def _shown(one: Comparison, end: float) -> float | None:
    if not math.isfinite(end):
        return None
    return math.exp(end) if one.is_ratio else float(end)


def _range(ends: Sequence[float], log: bool) -> tuple[float, float]:
    """From the smallest to the largest, opened by a little."""
    if not ends:
        return (1.0, 10.0) if log else (0.0, 1.0)
    low, high = min(ends), max(ends)
    if log:
        room = max((high / low) ** 0.08, 1.15)
        return low / room, high * room
    room = 0.08 * (high - low) or 0.5
    return low - room, high + room


def _short(name: str) -> str:
    """The value of a level, or the name of a study."""
    return name.rpartition("=")[2]
