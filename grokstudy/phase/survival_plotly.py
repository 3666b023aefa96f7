"""Survival curves by plotly: one panel per event, cells over each other."""

from __future__ import annotations

import math

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float
from plotly.subplots import make_subplots

from grokstudy.phase.palette import INK, QUIET
from grokstudy.phase.survival import SurvivalCurve, SurvivalData
from grokstudy.phase.theme import SERIES, translucent

_WORDS = {"t_mem": "not yet memorised", "t_gen": "not yet generalised"}
_FIRST_STEP = 0.45
"""Where step 0 is drawn on the log axis."""


def survival_figure(data: SurvivalData) -> go.Figure:
    """Share of trials that still wait against log steps, with bands and marks of censored trials."""
    events = list(dict.fromkeys(curve.event for curve in data.curves))
    figure = make_subplots(max(len(events), 1), 1, shared_xaxes=True, vertical_spacing=0.06)
    start = _start(data)
    for curve in data.curves:
        row = events.index(curve.event) + 1
        colour, dash = SERIES[data.cells.index(curve.cell) % len(SERIES)]
        figure.add_traces(
            [*_band(curve, colour), _line(curve, colour, dash, start, first=row == 1), _marks(curve, colour)],
            rows=row,
            cols=1,
        )
    for row, event in enumerate(events, start=1):
        figure.update_yaxes(title={"text": _WORDS[event]}, row=row, col=1)
    _dress(figure, data, start, max(len(events), 1))
    return figure


def _line(curve: SurvivalCurve, colour: str, dash: str, start: float, *, first: bool) -> go.Scatter:
    return go.Scatter(
        x=np.concatenate([[start], _drawn(curve.step)]),
        y=np.concatenate([[1.0], curve.waiting]),
        mode="lines",
        line={"color": colour, "dash": dash, "shape": "hv", "width": 2},
        name=f"{curve.cell} ({curve.n} trials)",
        legendgroup=curve.cell,
        showlegend=first,
        hovertemplate=f"{_summary(curve)}<br>step %{{x:,.0f}}: %{{y:.3g}} still wait<extra></extra>",
    )


def _band(curve: SurvivalCurve, colour: str) -> list[go.Scatter]:
    known = np.isfinite(curve.low) & np.isfinite(curve.high)
    edge = {
        "x": _drawn(curve.step[known]),
        "mode": "lines",
        "line": {"width": 0, "shape": "hv", "color": colour},
        "hoverinfo": "skip",
        "legendgroup": curve.cell,
        "showlegend": False,
    }
    fill = {"fill": "tonexty", "fillcolor": translucent(colour, 0.18)}
    return [go.Scatter(y=curve.low[known], **edge), go.Scatter(y=curve.high[known], **edge, **fill)]


def _marks(curve: SurvivalCurve, colour: str) -> go.Scatter:
    return go.Scatter(
        x=_drawn(curve.censored),
        y=curve.censored_waiting,
        mode="markers",
        marker={"symbol": "cross-thin", "size": 9, "line": {"width": 1.5, "color": colour}},
        text=[f"{count} of {curve.n} watched until step {step:,.0f}" for count, step in _censored(curve)],
        hovertemplate=f"{curve.cell}<br>%{{text}}<extra></extra>",
        legendgroup=curve.cell,
        showlegend=False,
    )


def _censored(curve: SurvivalCurve) -> list[tuple[int, float]]:
    return list(zip(curve.censored_count.tolist(), curve.censored.tolist(), strict=True))


def _summary(curve: SurvivalCurve) -> str:
    median = f"median {curve.median:,.0f}" if math.isfinite(curve.median) else "median not reached"
    return f"{curve.cell}<br>{curve.seen}/{curve.n} seen, {median}"


def _start(data: SurvivalData) -> float:
    """Left end of the step axis: a little before anything was seen."""
    seen = [float(curve.step.min()) for curve in data.curves if len(curve.step)]
    return max(min(seen, default=1.0) / 3, _FIRST_STEP)


def _drawn(step: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    drawn: Float[np.ndarray, " n"] = np.maximum(step, _FIRST_STEP)
    return drawn


def _dress(figure: go.Figure, data: SurvivalData, start: float, rows: int) -> None:
    ends = [math.log10(start), math.log10(data.budget * 1.15)]
    figure.update_xaxes(type="log", dtick=1, exponentformat="power", range=ends, zeroline=False)
    figure.update_xaxes(title={"text": "steps"}, row=rows, col=1)
    figure.update_yaxes(range=[-0.03, 1.05], zeroline=False)
    at = {"xref": "paper", "yref": "paper", "x": 0, "y": 0, "yshift": -44, "xanchor": "left", "yanchor": "top"}
    figure.add_annotation(text=data.note, **at, align="left", showarrow=False, font={"size": 11, "color": QUIET})
    if not data.curves:
        centre = {"xref": "paper", "yref": "paper", "x": 0.5, "y": 0.5, "showarrow": False}
        figure.add_annotation(text="no trial here yet", **centre, font={"size": 15, "color": QUIET})
    figure.update_layout(
        title={"text": "share of trials that still wait", "x": 0.01, "y": 0.985, "yanchor": "top", "font_size": 15},
        template="plotly_white",
        font={"color": INK},
        height=260 * rows + 140,
        hovermode="closest",
        legend={"orientation": "h", "y": 1.01, "yanchor": "bottom", "x": 0, "xanchor": "left"},
        margin={"l": 60, "r": 15, "t": 60 + 20 * min(len(data.cells), 6), "b": 80},
    )
