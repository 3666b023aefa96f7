"""Critical values of one setting: where along it trainings stop to memorise or to generalise in time."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal

import duckdb
import numpy as np

from grokstudy.phase.posterior_fit import Fitted, fitted
from grokstudy.phase.query import PhaseQuery, readings
from grokstudy.samplers.surrogate.contours import crossings_1d, matters
from grokstudy.samplers.surrogate.observations import Margin
from grokstudy.spec.axes import Axis

Event = Literal["t_mem", "t_gen"]
EVENTS: dict[Margin, Event] = {"mem": "t_mem", "gen": "t_gen"}
"""The margins that have a critical value of their own, and what happens there."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CriticalValue:
    """A value of the setting at which half of all seeds see the event by T."""

    event: Event
    value: float
    low: float
    high: float
    """Of the interval at the asked confidence, in units of the setting."""
    happens: Literal["below", "above"]
    """On which side of the value the event is seen in time."""
    open_low: bool
    """The interval reaches the lower end of what was searched: it may go on."""
    open_high: bool

    @property
    def name(self) -> str:
        """As the field writes it: T_gen, T_mem."""
        return self.event.replace("t_", "T_")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Critical:
    """What a search along one setting has found."""

    setting: str
    low: float
    high: float
    """Ends of what was searched."""
    budget: int
    """T, steps."""
    tau: float
    confidence: float
    trials: int
    values: tuple[CriticalValue, ...]
    """By event, then value; several of one event if it comes and goes."""
    unseen: tuple[str, ...]
    """One sentence for every event without a critical value: whether it always or never happened."""
    notes: tuple[str, ...]
    """What was assumed or left out."""


def critical_values(connection: duckdb.DuckDBPyConnection, query: PhaseQuery, axes: Sequence[Axis]) -> Critical:
    """The critical values along `query.x`, under its thresholds, T and rule.

    Each is where the margin log10(t / T) of the event, a Gaussian process over the setting with the spread of seeds
    beside it, passes 0: half of all seeds are in time. Its interval is the posterior's, as every boundary's band.

    Args:
        query: with x alone.
        axes: of the study; that of x gives the ends of what was searched.

    Raises:
        BadInput: as `readings`, or an axis of names or of one value.
    """
    table = readings(connection, query, axes)
    found = fitted(table, axes)
    (axis,) = found.plane.drawn
    margins = tuple(EVENTS)
    values = [value for margin in margins for value in _crossed(found, margin, query.confidence)]
    seen = {value.event for value in values}
    return Critical(
        setting=axis.name,
        low=axis.low,
        high=axis.high,
        budget=int(found.question.budget),
        tau=query.tau,
        confidence=query.confidence,
        trials=int(found.used.sum()),
        values=tuple(values),
        unseen=tuple(_unseen(found, margin) for margin in margins if EVENTS[margin] not in seen),
        notes=found.notes,
    )


def _crossed(found: Fitted, margin: Margin, confidence: float) -> list[CriticalValue]:
    plane = found.plane
    return [
        CriticalValue(
            event=EVENTS[margin],
            value=one.value,
            low=one.low,
            high=one.high,
            happens="below" if one.rises else "above",
            open_low=one.open_low,
            open_high=one.open_high,
        )
        for one in crossings_1d(found.posterior, plane.space, plane.held(None), margin, confidence=confidence)
    ]


def _unseen(found: Fitted, margin: Margin) -> str:
    """Why an event has no critical value: the process is on one side wherever the events before it are seen."""
    places = found.plane.places(np.linspace(0, 1, 101)[:, None], None)
    here = matters(found.posterior, places, margin)
    seen = found.posterior.margins(places).mean[:, list(EVENTS).index(margin)] < 0
    event, budget = EVENTS[margin], f"{found.question.budget:,.0f}"
    where = "nowhere"
    if here.any() and seen[here].all():
        where = "everywhere" if here.all() else "wherever it can be (memorised, not diverged)"
    return f"{event} is seen within {budget} steps {where} in what was searched: no critical value lies there."
