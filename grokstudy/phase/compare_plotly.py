"""A comparison by plotly: one HTML file that needs no network; hovering names the seed and both trials."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from grokstudy.phase.compare_figure import ORDERS, CompareFigure, Mark, PairMarks, interval
from grokstudy.phase.palette import EMPTY, INK, PAPER, QUIET

_SYMBOLS = {"exact": "circle", "above": "triangle-up-open", "below": "triangle-down-open"}


def compare_html(data: CompareFigure) -> str:
    """A whole HTML page with plotly.js inside, readable without a network."""
    config = {"responsive": True, "displaylogo": False}
    page: str = compare_figure(data).to_html(include_plotlyjs=True, full_html=True, config=config)
    return page


def compare_figure(data: CompareFigure) -> go.Figure:
    """Values above, effects below, one strip per cell, a line per pair."""
    figure = make_subplots(2, 1, shared_xaxes=True, row_heights=[0.6, 0.4], vertical_spacing=0.06)
    pairs = [pair for strip in data.strips for pair in strip.pairs]
    for order in ORDERS:
        own = [pair for pair in pairs if pair.order == order and "none" not in (pair.a.bound, pair.b.bound)]
        if own:
            figure.add_trace(_lines(own, order), row=1, col=1)
    for name, colour in (("a", QUIET), ("b", INK)):
        figure.add_trace(_marks(pairs, [getattr(pair, name) for pair in pairs], colour), row=1, col=1)
    figure.add_trace(_marks(pairs, [pair.effect for pair in pairs], QUIET), row=2, col=1)
    for strip in data.strips:
        _draw_effect(figure, data, strip.left, interval(strip, data), (strip.median_low, strip.median_high))
        if strip.label:
            at = {"x": strip.left + 0.5, "y": 1.0, "xref": "x", "yref": "y domain", "yanchor": "bottom"}
            figure.add_annotation(**at, text=strip.label.replace("\n", "<br>"), showarrow=False)
    if data.limit is not None:
        band = {"fillcolor": EMPTY, "line_width": 0, "layer": "below"}
        figure.add_hrect(data.limit, data.value_range[1], row=1, col=1, **band)
        figure.add_hline(data.limit, row=1, col=1, line={"color": QUIET, "dash": "dash", "width": 1})
        at = {"x": 1, "xref": "x domain", "y": _place(data.band or data.limit, data.log_value), "yref": "y"}
        figure.add_annotation(**at, text="not seen by T", showarrow=False, font={"size": 10, "color": QUIET})
    figure.add_hline(1.0 if data.log_effect else 0.0, row=2, col=1, line={"color": QUIET, "width": 1})
    _dress(figure, data)
    return figure


def _lines(pairs: Sequence[PairMarks], order: str) -> go.Scatter:
    """Lines between partners, as one trace with gaps."""
    x = [at for pair in pairs for at in (pair.a.x, pair.b.x, None)]
    y = [at for pair in pairs for at in (pair.a.y, pair.b.y, None)]
    colour, text = ORDERS[order]
    return go.Scatter(x=x, y=y, mode="lines", line={"color": colour, "width": 1.2}, name=text, hoverinfo="skip")


def _marks(pairs: Sequence[PairMarks], marks: Sequence[Mark], colour: str) -> go.Scatter:
    shown = [(pair, mark) for pair, mark in zip(pairs, marks, strict=True) if mark.bound != "none"]
    return go.Scatter(
        x=[mark.x for _, mark in shown],
        y=[mark.y for _, mark in shown],
        text=[f"{_value(mark)}<br>{pair.text}" for pair, mark in shown],
        hovertemplate="%{text}<extra></extra>",
        mode="markers",
        marker={"size": 7, "color": colour, "symbol": [_SYMBOLS[mark.bound] for _, mark in shown]},
        showlegend=False,
    )


def _value(mark: Mark) -> str:
    return {"exact": f"{mark.y:.4g}", "above": "not seen: above this", "below": f"below {mark.y:.4g}"}[mark.bound]


def _draw_effect(
    figure: go.Figure,
    data: CompareFigure,
    left: float,
    ends: tuple[float, float],
    medians: tuple[float | None, float | None],
) -> None:
    bar = {"color": "rgba(26, 26, 26, 0.22)", "width": 8}
    figure.add_trace(
        go.Scatter(x=[left + 0.5] * 2, y=list(ends), mode="lines", line=bar, showlegend=False, hoverinfo="y"),
        row=2,
        col=1,
    )
    for end in medians:
        if end is not None:
            line = {"color": INK, "width": 2, "dash": "solid" if medians[0] == medians[1] else "dot"}
            trace = go.Scatter(x=[left + 0.28, left + 0.72], y=[end] * 2, mode="lines", line=line, showlegend=False)
            figure.add_trace(trace, row=2, col=1)


def _dress(figure: go.Figure, data: CompareFigure) -> None:
    for row, label, log, ends in (
        (1, data.value_label, data.log_value, data.value_range),
        (2, data.effect_label, data.log_effect, data.effect_range),
    ):
        axis = {"type": "log" if log else "linear", "range": [_place(end, log) for end in ends], "zeroline": False}
        figure.update_yaxes(title={"text": label}, row=row, col=1, **axis)
    sides = [
        (strip.left + at, name) for strip in data.strips for at, name in zip((0.25, 0.75), strip.names, strict=True)
    ]
    ticks = {"tickvals": [at for at, _ in sides], "ticktext": [name for _, name in sides]}
    figure.update_xaxes(range=[0, len(data.strips)], showgrid=False, zeroline=False, **ticks)
    for strip in data.strips[1:]:
        figure.add_vline(strip.left, line={"color": "#E0E0E0", "width": 1})
    note = {"text": data.note.replace("   ·   ", "<br>"), "xref": "paper", "yref": "paper", "x": 0, "y": 0}
    figure.add_annotation(
        **note,
        yshift=-44,
        yanchor="top",
        xanchor="left",
        align="left",
        showarrow=False,
        font={"size": 11, "color": QUIET},
    )
    figure.update_layout(
        title={"text": data.title, "x": 0.01},
        template="plotly_white",
        paper_bgcolor=PAPER,
        height=780,
        font={"color": INK},
        legend={"orientation": "h", "y": 1.06, "yanchor": "bottom", "x": 1, "xanchor": "right"},
        margin={"l": 80, "r": 90, "t": 110, "b": 170},
    )


def _place(value: float, log: bool) -> float:
    return math.log10(value) if log else value
