"""Diagrams of continuous axes by plotly: to hover over and click; every point carries its trial."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from plotly.subplots import make_subplots

from grokstudy.phase.figures_plotly import axis, colours, dressed, empty_panels, overlay_points, write_label
from grokstudy.phase.log_ticks import number
from grokstudy.phase.page import Figure, Key, page
from grokstudy.phase.palette import DIVIDED, EMPTY, INK, OUTCOME_COLOURS, OUTCOME_SHAPES, PAPER, QUIET
from grokstudy.phase.posterior_figure import (
    EdgeLine,
    Mark,
    PosteriorFigure,
    PosteriorPanel,
    interval_rows,
    report_figures,
    value_ends,
    value_ticks,
)
from grokstudy.phase.posterior_words import EDGE_NAMES
from grokstudy.phase.theme import translucent

SYMBOLS = {
    "confusion": "square",
    "memorization": "triangle-down",
    "inversion": "diamond",
    "grokking": "circle",
    "comprehension": "triangle-up",
    "diverged": "x",
    "undetermined": "circle",
}
"""plotly's names of `palette.OUTCOME_SHAPES`."""
_PANEL_HEIGHT = 460
_LABEL_LETTERS = 52
_GRID, _HATCH_INK = "#EDEDED", "#BDBDBD"
_SIZE = 10


def posterior_html(data: PosteriorFigure) -> str:
    """A whole HTML page with plotly.js inside (about 5 MB), readable without a network, on a phone and in the dark."""
    figures = [Figure(posterior_panel(data, facet), panel.title) for facet, panel in enumerate(data.panels)]
    return page(data.title, data.note, figures, posterior_keys(data))


def posterior_overview_html(diagram: xr.Dataset) -> str:
    """The page of a study: the most probable outcome beside the expected delay, a pair for every facet."""
    outcomes, delays = report_figures(diagram)
    figures = []
    for facet, panel in enumerate(outcomes.panels):
        words = f"  ({panel.title})" if panel.title else ""
        figures.append(Figure(posterior_panel(outcomes, facet), f"Most probable outcome{words}"))
        figures.append(Figure(posterior_panel(delays, facet), f"Delay of generalisation{words}"))
    return page(diagram.attrs["study"], delays.note, figures, posterior_keys(delays))


def posterior_plot(data: PosteriorFigure) -> go.Figure:
    """One panel per facet with title, legend and note. Every point carries its trial_id in `customdata`."""
    figure, across, down = empty_panels([panel.title for panel in data.panels])
    for facet in range(len(data.panels)):
        where = {"row": facet // across + 1, "col": facet % across + 1}
        _draw(figure, data, facet, where)
        if where["col"] > 1:
            figure.update_yaxes(title={"text": ""}, **where)
    note = "<br>".join(textwrap.wrap(data.note, 150))
    figure.update_layout(
        title={"text": f"<b>{data.title}</b>", "x": 0.01, "xanchor": "left", "y": 0.985, "yanchor": "top"},
        template="plotly_white",
        height=down * _PANEL_HEIGHT + 180,
        font={"color": INK},
        coloraxis=colours(data),
        legend={"orientation": "h", "y": 1 + 30 / (down * _PANEL_HEIGHT), "yanchor": "bottom", "x": 0},
        margin={"l": 75, "r": 20, "t": 120, "b": 125},
    )
    place: Any = {"yshift": -56, "yanchor": "top", "xanchor": "left", "align": "left", "showarrow": False}
    figure.add_annotation(text=note, xref="paper", yref="paper", x=0, y=0, **place, font={"size": 11, "color": QUIET})
    return figure


def posterior_panel(data: PosteriorFigure, facet: int) -> go.Figure:
    """One panel without title, note and legend, for a page that has its own."""
    figure = make_subplots(1, 1)
    _draw(figure, data, facet, {"row": 1, "col": 1})
    return dressed(figure, colours(data))


def posterior_keys(data: PosteriorFigure) -> list[Key]:
    """The legend of a page: outcomes by shape and colour, lines, rings and hatching."""
    by_value = _by_value(data)
    found = [
        Key(f"{name}", INK if by_value else OUTCOME_COLOURS[name], "sign", OUTCOME_SHAPES[name])
        for name in data.outcomes
    ]
    found += [Key(EDGE_NAMES[name], INK, "line", _DASHED[DIVIDED[name]]) for name in data.margins]
    found += [
        Key("band of a line" if data.y else "interval of a line", INK, "line", "┄▒┄" if data.y else "├─┤")
    ] * bool(data.margins)
    if any(mark.held_out for mark in data.every_mark):
        found.append(Key("held out", INK, "sign", "◯"))
    if any(mark.lost for mark in data.every_mark):
        found.append(Key("lost again", INK, "cross"))
    if data.y is not None and any(panel.hatched.any() for panel in data.panels):
        found.append(Key(data.hatch_label, _HATCH_INK, "hatch"))
    if any(panel.overlay for panel in data.panels):
        found.append(Key("from elsewhere", INK, "plus"))
    return found


_DASHED = {"dash": "╌╌", "solid": "──", "dot": "┈┈"}


def _by_value(data: PosteriorFigure) -> bool:
    """Whether points have the colour of their value."""
    return not data.shaded and data.y is not None


def _draw(figure: go.Figure, data: PosteriorFigure, facet: int, where: dict[str, int]) -> None:
    panel, first = data.panels[facet], facet == 0
    traces = _plane(data, panel, first=first) if data.y else _line(data, panel, first=first)
    traces += _marks(data, panel.marks, first=first)
    traces += [overlay_points(panel.overlay, first=first)] if panel.overlay else []
    figure.add_traces(traces, rows=[where["row"]] * len(traces), cols=[where["col"]] * len(traces))
    for mark in panel.overlay:
        write_label(figure, data, mark, where)
    figure.update_xaxes(**axis(data.x), **where)
    figure.update_yaxes(**(axis(data.y) if data.y else _value_axis(data)), **where)


def _plane(data: PosteriorFigure, panel: PosteriorPanel, *, first: bool) -> list[Any]:
    assert data.y is not None
    traces: list[Any] = []
    if panel.hatched.any():
        traces.append(_hatching(data, panel))
    if data.shaded:
        traces.append(_shading(data, panel))
    for edge in panel.edges:
        traces += [_band(edge, filled=data.shaded), *_edge(edge, first=first)]
    return traces


def _hatching(data: PosteriorFigure, panel: PosteriorPanel) -> go.Scatter:
    """Every stretch of a row without a value as one rectangle of a filled trace; plotly draws it over the shading."""
    assert data.y is not None
    across: list[float | None] = []
    up: list[float | None] = []
    for j, row in enumerate(panel.hatched):
        steps = np.diff(np.r_[0, row.astype(np.int8), 0])
        for first, end in zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True):
            left, right, low, high = data.x.edges[first], data.x.edges[end], data.y.edges[j], data.y.edges[j + 1]
            across += [left, right, right, left, left, None]
            up += [low, low, high, high, low, None]
    pattern = {"shape": "/", "fgcolor": _HATCH_INK, "bgcolor": EMPTY, "size": 6, "solidity": 0.2}
    words: Any = {"hoverinfo": "skip", "name": data.hatch_label, "showlegend": False}
    return go.Scatter(x=across, y=up, fill="toself", fillpattern=pattern, mode="none", **words)


def _shading(data: PosteriorFigure, panel: PosteriorPanel) -> go.Heatmap:
    assert data.y is not None
    shown = np.where(panel.hatched, np.nan, panel.value)
    hidden = np.isnan(shown).all()  # plotly leaves out a heat map without any number
    return go.Heatmap(
        x=data.x.edges,
        y=data.y.edges,
        z=np.zeros_like(shown) if hidden else shown,
        opacity=0.0 if hidden else 1.0,
        coloraxis="coloraxis",
        text=[[_said(data, panel, j, i) for i in range(shown.shape[1])] for j in range(shown.shape[0])],
        hovertemplate="%{text}<extra></extra>",
        hoverongaps=True,
        name="posterior",
    )


def _said(data: PosteriorFigure, panel: PosteriorPanel, j: int, i: int) -> str:
    """What a place of the lattice says: the value with its ends, or the most probable outcome."""
    value, low, high = panel.value[j, i], panel.low[j, i], panel.high[j, i]
    if data.categories:
        return panel.outcome[j][i]
    if np.isnan(value):
        return f"{data.hatch_label}<br>most probable: {panel.outcome[j][i]}"
    interval = f" [{low:.2g}, {high:.2g}]" if np.isfinite(low) else ""
    return f"{data.value_label}: {value:.3g}{interval}<br>most probable: {panel.outcome[j][i]}"


def _band(edge: EdgeLine, *, filled: bool) -> go.Scatter:
    x, y = _joined(edge.bands)
    return go.Scatter(
        x=x,
        y=y,
        mode="lines",
        fill="toself",
        fillcolor=translucent(PAPER, 0.24 if filled else 0),
        line={"color": INK, "width": 0.8, "dash": "dot"},
        hoverinfo="skip",
        name=f"band: {EDGE_NAMES[edge.margin]}",
        showlegend=False,
    )


def _edge(edge: EdgeLine, *, first: bool) -> list[go.Scatter]:
    x, y = _joined(edge.lines)
    words: Any = {"mode": "lines", "legendgroup": edge.margin, "hoverinfo": "skip"}
    line = {"color": INK, "width": 2.5, "dash": DIVIDED[edge.margin]}
    return [
        go.Scatter(x=x, y=y, line={"color": PAPER, "width": 5}, showlegend=False, **words),
        go.Scatter(x=x, y=y, line=line, name=EDGE_NAMES[edge.margin], showlegend=first and bool(edge.lines), **words),
    ]


def _line(data: PosteriorFigure, panel: PosteriorPanel, *, first: bool) -> list[Any]:
    """The value along x with what is not known of it; crossings as vertical lines with their intervals above."""
    x, value = data.x.centres, panel.value[0]
    traces: list[Any] = []
    if data.shaded:
        said = [_said(data, panel, 0, i) for i in range(len(value))]
        words: Any = {"text": said, "hovertemplate": "%{x:.3g}<br>%{text}<extra></extra>", "name": "posterior"}
        if data.categories:
            marker = {"symbol": "square", "size": 4, "color": INK}
            traces.append(go.Scatter(x=x, y=value, mode="markers", marker=marker, showlegend=False, **words))
        else:
            nothing: Any = {"mode": "lines", "line": {"width": 0}, "hoverinfo": "skip", "showlegend": False}
            traces.append(go.Scatter(x=x, y=panel.low[0], **nothing))
            traces.append(
                go.Scatter(x=x, y=panel.high[0], fill="tonexty", fillcolor=translucent(QUIET, 0.2), **nothing)
            )
            line = {"color": INK, "width": 2}
            traces.append(go.Scatter(x=x, y=value, mode="lines", line=line, showlegend=False, **words))
    low, high, _ = value_ends(data)
    for edge in panel.edges:
        upright = [np.array([[line[0, 0], low], [line[0, 0], high]]) for line in edge.lines]
        bars = [np.column_stack([band[:, 0], [interval_rows(data)[edge.margin]] * 2]) for band in edge.bands]
        traces += _edge(EdgeLine(margin=edge.margin, lines=(*upright, *bars), bands=()), first=first)[1:]
    return traces


def _value_axis(data: PosteriorFigure) -> dict[str, Any]:
    title = {"text": "<br>".join(textwrap.wrap(data.value_label, _LABEL_LETTERS)), "standoff": 8}
    low, high, _ = value_ends(data)
    ticks = value_ticks(data)
    return {
        "title": title,
        "automargin": True,
        "zeroline": False,
        "gridcolor": _GRID,
        "tickvals": [at for at, _ in ticks],
        "ticktext": [text for _, text in ticks],
        "type": "log" if data.value_log else "linear",
        "range": [math.log10(low), math.log10(high)] if data.value_log else [low, high],
    }


def _marks(data: PosteriorFigure, marks: Sequence[Mark], *, first: bool) -> list[go.Scatter]:
    """Every trial in the shape and colour of its outcome; where nothing is shaded, in the colour of its value."""
    traces = []
    kept = [mark for mark in marks if mark.held_out and not np.isnan(mark.y)]
    for width, colour in ((4, PAPER), (1.6, INK)) if kept else ():
        ring: Any = {"symbol": "circle-open", "size": 16, "color": colour, "line": {"width": width, "color": colour}}
        words: Any = {"hoverinfo": "skip", "legendgroup": "held out", "name": "held out"}
        shown = first and colour == INK
        traces.append(
            go.Scatter(**_places(kept), mode="markers", marker=ring, showlegend=shown, cliponaxis=False, **words)
        )
    for name, symbol in SYMBOLS.items():
        own = [mark for mark in marks if mark.outcome == name and not np.isnan(mark.y)]
        if own:
            traces.append(_outcome(data, name, symbol, own, first=first))
    lost = [mark for mark in marks if mark.lost and not np.isnan(mark.y)]
    if lost:
        cross = {"size": 11, "color": INK, "symbol": "x-thin", "line": {"width": 2, "color": INK}}
        words = {"hoverinfo": "skip", "name": "lost again", "legendgroup": "lost again"}
        traces.append(
            go.Scatter(**_places(lost), mode="markers", marker=cross, showlegend=first, cliponaxis=False, **words)
        )
    return traces


def _outcome(data: PosteriorFigure, name: str, symbol: str, own: Sequence[Mark], *, first: bool) -> go.Scatter:
    edge = {"width": 0.8, "color": PAPER if name != "undetermined" else QUIET}
    paint: dict[str, Any] = {"color": OUTCOME_COLOURS[name], "line": edge}
    text = [mark.text for mark in own]
    if _by_value(data):
        values = np.array([mark.value for mark in own])
        shown = np.log10(np.maximum(values, data.low)) if data.value_log else values
        paint = {"color": shown, "coloraxis": "coloraxis", "line": {"width": 0.8, "color": QUIET}}
        text = [f"{data.value_label}: {_number(data, mark.value)}<br>{mark.text}" for mark in own]
    return go.Scatter(
        **_places(own),
        customdata=[mark.trial_id for mark in own],
        text=text,
        hovertemplate="%{text}<extra></extra>",
        mode="markers",
        marker={"size": _SIZE, "symbol": symbol, **paint},
        name=name,
        legendgroup=name,
        showlegend=first,
        cliponaxis=False,
    )


def _number(data: PosteriorFigure, value: float) -> str:
    if np.isnan(value):
        return "none"
    if data.categories:
        return data.categories[int(value)]
    return number(value) if data.value_log else f"{value:.4g}"


def _places(marks: Sequence[Mark]) -> dict[str, list[float]]:
    return {"x": [mark.x for mark in marks], "y": [mark.y for mark in marks]}


def _joined(pieces: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """All pieces as one trace with gaps."""
    gap = np.full((1, 2), np.nan)
    joined = np.concatenate([part for piece in pieces for part in (piece, gap)]) if pieces else np.empty((0, 2))
    return joined[:, 0], joined[:, 1]
