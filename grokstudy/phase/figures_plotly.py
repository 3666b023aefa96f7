"""Phase diagrams by plotly: to hover over and click; `phase_html` is a page that needs no network."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from grokstudy.phase.boundary import Boundary
from grokstudy.phase.boundary_plotly import add_boundary
from grokstudy.phase.dots import Dot
from grokstudy.phase.figure_data import FigureData, Frame, Panel, Scale
from grokstudy.phase.log_ticks import log_ticks, number
from grokstudy.phase.overlay import OverlayMark
from grokstudy.phase.page import Figure, Key, page
from grokstudy.phase.palette import EMPTY, INK, OUTCOME_COLOURS, PAPER, QUIET
from grokstudy.phase.room import count_text

_MOST_ACROSS = 3
_PANEL_HEIGHT = 460
_TITLE_LETTERS = 42
_LABEL_LETTERS = 52
_CELLS_WITH_GAPS = 900
_GRID, _HATCH_INK = "#EDEDED", "#BDBDBD"


def phase_html(data: FigureData) -> str:
    """A whole HTML page with plotly.js inside (about 5 MB), readable without a network, on a phone and in the dark."""
    figures = [Figure(panel_figure(data, facet), panel.title) for facet, panel in enumerate(data.panels)]
    for drawn, line in zip(figures, data.lines, strict=False):
        if isinstance(line, Boundary):
            add_boundary(drawn.figure, line, legend=False)
    return page(data.title, data.note, figures, keys(data, dots=any(panel.dots for panel in data.panels)))


def phase_figure(data: FigureData) -> go.Figure:
    """One panel per facet.

    Every dot carries its trial_id in `customdata`. Cells (the trace `cells`; without y its points) carry a list:
    number of the cell along x, along y, of the facet (0 where there is none), trials, value, name of the x level, of
    the y level, undetermined trials.
    """
    figure, across, down = empty_panels([panel.title for panel in data.panels])
    for facet in range(len(data.panels)):
        where = {"row": facet // across + 1, "col": facet % across + 1}
        draw_panel(figure, data, facet, **where)
        if where["col"] > 1:
            figure.update_yaxes(title={"text": ""}, **where)
    for facet, line in enumerate(data.lines):
        if isinstance(line, Boundary):
            add_boundary(figure, line, facet, legend=facet == 0)
    figure.update_layout(
        title={"text": f"<b>{data.title}</b>", "x": 0.01, "xanchor": "left", "y": 0.985, "yanchor": "top"},
        template="plotly_white",
        height=down * _PANEL_HEIGHT + 140,
        font={"color": INK},
        coloraxis=colours(data),
        legend={"orientation": "h", "y": 1 + 36 / (down * _PANEL_HEIGHT), "yanchor": "bottom", "x": 0},
        margin={"l": 75, "r": 20, "t": 105, "b": 100},
    )
    note = {"text": "<br>".join(textwrap.wrap(data.note, 150)), "xref": "paper", "yref": "paper", "x": 0, "y": 0}
    place = {"yshift": -56, "yanchor": "top", "xanchor": "left", "align": "left", "showarrow": False}
    figure.add_annotation(**note, **place, font={"size": 11, "color": QUIET})
    return figure


def empty_panels(titles: Sequence[str]) -> tuple[go.Figure, int, int]:
    """A figure with a panel for every title, how many stand side by side and how many above each other."""
    across = 2 if len(titles) == 4 else min(len(titles), _MOST_ACROSS)
    down = math.ceil(len(titles) / across)
    wrapped = ["<br>".join(textwrap.wrap(title, _TITLE_LETTERS)) for title in titles]
    figure = make_subplots(
        down,
        across,
        subplot_titles=wrapped if any(wrapped) else None,
        shared_yaxes=True,
        horizontal_spacing=0.04,
        vertical_spacing=0.3 / down,
    )
    return figure, across, down


def panel_figure(data: FigureData, facet: int) -> go.Figure:
    """One panel without title, note and legend, for a page that has its own."""
    figure = make_subplots(1, 1)
    draw_panel(figure, data, facet, row=1, col=1)
    return dressed(figure, colours(data))


def dressed(figure: go.Figure, coloraxis: dict[str, Any]) -> go.Figure:
    """Size and margins of a panel on a page."""
    return figure.update_layout(
        template="plotly_white",
        height=_PANEL_HEIGHT,
        font={"color": INK},
        coloraxis=coloraxis,
        showlegend=False,
        margin={"l": 60, "r": 10, "t": 32, "b": 55},
    )


def draw_panel(figure: go.Figure, data: FigureData, facet: int, *, row: int, col: int) -> None:
    """Draws one facet into a subplot."""
    panel, where = data.panels[facet], {"row": row, "col": col}
    traces = _heat(data, panel, facet) if data.y else [_line(data, panel, facet)]
    traces += _dots(panel.dots, heat=data.y is not None, first=facet == 0)
    traces += [overlay_points(panel.overlay, first=facet == 0)] if panel.overlay else []
    for trace in traces:
        figure.add_trace(trace, **where)
    for mark in panel.overlay:
        write_label(figure, data, mark, where)
    figure.update_xaxes(**axis(data.x), **where)
    figure.update_yaxes(**_value_axis(data) if data.y is None else axis(data.y), **where)
    if data.y is None:
        for i in np.flatnonzero(panel.hatched[0]):
            ends = (float(data.x.edges[i]), float(data.x.edges[i + 1]))
            figure.add_vrect(*ends, fillcolor=EMPTY, line_width=0, layer="below", **where)


def keys(data: FigureData, *, dots: bool) -> list[Key]:
    """The legend of a page: outcomes, hatching, what was lost."""
    found = [Key(name, OUTCOME_COLOURS[name], "dot") for name in data.outcomes] if dots else []
    if any(panel.hatched.any() for panel in data.panels):
        found.append(Key(data.hatch_label, _HATCH_INK, "hatch"))
    if dots and any(panel.tiles.lost.any() for panel in data.panels):
        found.append(Key("lost again", INK, "cross"))
    if any(panel.overlay for panel in data.panels):
        found.append(Key("from elsewhere", INK, "plus"))
    return found


def _heat(data: FigureData, panel: Panel, facet: int) -> list[Any]:
    assert data.y is not None
    shown = np.where(panel.hatched, np.nan, panel.value)
    gap = 1 if panel.counts.size <= _CELLS_WITH_GAPS else 0
    heat = go.Heatmap(
        x=data.x.edges,
        y=data.y.edges,
        z=np.log10(np.maximum(shown, data.low)) if data.value_log else shown,  # 0 has the lowest colour
        coloraxis="coloraxis",
        customdata=[[_about(data, panel, facet, j, i) for i in range(shown.shape[1])] for j in range(shown.shape[0])],
        hovertemplate=_hover(data),
        hoverongaps=True,  # a cell without a value can be asked for its trials too
        xgap=gap,
        ygap=gap,
        name="cells",
    )
    return [hatching(data.x, data.y, panel), heat, *([_counts(data, panel)] if data.counts_written else [])]


def hatching(x: Scale, y: Scale, panel: Panel) -> go.Scatter:
    """Outlines of all cells without a value as one filled trace with a pattern."""
    across: list[float | None] = []
    up: list[float | None] = []
    for j, i in np.argwhere(panel.hatched):
        left, right, low, high = x.edges[i], x.edges[i + 1], y.edges[j], y.edges[j + 1]
        across += [left, right, right, left, left, None]
        up += [low, low, high, high, low, None]
    pattern = {"shape": "/", "fgcolor": _HATCH_INK, "bgcolor": EMPTY, "size": 6, "solidity": 0.2}
    words = {"hoverinfo": "skip", "name": "no value", "showlegend": False}
    return go.Scatter(x=across, y=up, fill="toself", fillpattern=pattern, mode="none", **words)


def _counts(data: FigureData, panel: Panel) -> go.Scatter:
    assert data.y is not None
    places = list(np.ndindex(panel.counts.shape))
    return go.Scatter(
        x=[_share(data.x, i, 0.06) for _, i in places],
        y=[_share(data.y, j, 0.9) for j, _ in places],
        text=[count_text(int(panel.counts[j, i]), int(panel.undetermined[j, i])) for j, i in places],
        mode="text",
        textposition="middle right",
        textfont={"size": 9, "color": [_count_colour(data, panel, j, i) for j, i in places]},
        hoverinfo="skip",
        name="trials per cell",
        showlegend=False,
    )


def _count_colour(data: FigureData, panel: Panel, j: int, i: int) -> str:
    """Both colour maps run from dark to light: white letters on their lower half."""
    if panel.hatched[j, i] or data.categories:
        return QUIET
    value, low, high = panel.value[j, i], data.low, data.high
    if data.value_log:
        value, low, high = np.log10(np.maximum([value, low, high], low))
    return PAPER if (value - low) / (high - low) < 0.5 else INK


def _line(data: FigureData, panel: Panel, facet: int) -> go.Scatter:
    value = panel.value[0]
    bars = {"type": "data", "array": _finite(panel.high[0] - value), "arrayminus": _finite(value - panel.low[0])}
    shares = bool(np.isfinite(panel.low[0]).any())
    joined = not data.categories and not data.x.categorical  # nothing lies between two names
    return go.Scatter(
        x=data.x.centres,
        y=value,
        error_y={**bars, "thickness": 1.2, "width": 0} if shares else None,
        mode="lines+markers" if joined else "markers",
        line={"color": INK, "width": 1.3},
        marker={"size": 13, "color": "rgba(0,0,0,0)", "line": {"width": 1.5, "color": INK}},
        customdata=[_about(data, panel, facet, 0, i) for i in range(len(value))],
        hovertemplate=_hover(data),
        name="cells",
        showlegend=False,
    )


def _dots(dots: Iterable[Dot], *, heat: bool, first: bool) -> list[go.Scatter]:
    traces = []
    for name, colour in OUTCOME_COLOURS.items():
        own = [dot for dot in dots if dot.outcome == name]
        if own:
            edge = {"width": 0.6, "color": PAPER if name != "undetermined" else QUIET}
            trace = go.Scatter(
                x=[dot.x for dot in own],
                y=[dot.y if heat else dot.value for dot in own],
                customdata=[dot.trial_id for dot in own],
                text=[dot.text for dot in own],
                hovertemplate="%{text}<extra></extra>",
                mode="markers",
                marker={"size": 6, "color": colour, "line": edge},
                name=name,
                legendgroup=name,
                showlegend=first,
            )
            traces.append(trace)
    return [*traces, *_lost(dots, heat=heat, first=first)]


def _lost(dots: Iterable[Dot], *, heat: bool, first: bool) -> list[go.Scatter]:
    """A cross on every trial that generalised and lost it: forgetting is never painted as grokking."""
    own = [dot for dot in dots if dot.lost]
    if not own:
        return []
    return [
        go.Scatter(
            x=[dot.x for dot in own],
            y=[dot.y if heat else dot.value for dot in own],
            hoverinfo="skip",
            mode="markers",
            marker={"size": 11, "color": INK, "symbol": "x-thin", "line": {"width": 2, "color": INK}},
            name="lost again",
            legendgroup="lost again",
            showlegend=first,
        )
    ]


def overlay_points(overlay: Sequence[OverlayMark], *, first: bool) -> go.Scatter:
    """Points from elsewhere."""
    return go.Scatter(
        x=[mark.x for mark in overlay],
        y=[mark.y for mark in overlay],
        text=[mark.label for mark in overlay],
        mode="markers",
        hovertemplate="%{text}<br>%{x}, %{y}<extra></extra>",
        marker={"size": 11, "color": INK, "symbol": "cross", "line": {"width": 1, "color": PAPER}},
        name="from elsewhere",
        legendgroup="from elsewhere",
        showlegend=first,
    )


def write_label(figure: go.Figure, data: Frame, mark: OverlayMark, where: dict[str, int]) -> None:
    """A point's label on paper, readable on every colour. An annotation's place on a log axis is a logarithm."""
    logs = (data.x.log, data.value_log if data.y is None else data.y.log)
    x, y = (math.log10(at) if log else at for at, log in zip((mark.x, mark.y), logs, strict=True))
    style = {"bgcolor": PAPER, "opacity": 0.9, "borderpad": 1, "font": {"size": 11, "color": INK}}
    if mark.label:
        place = {"xanchor": "left", "xshift": 8, "yanchor": "bottom", "showarrow": False}
        figure.add_annotation(x=x, y=y, text=mark.label, **place, **style, **where)


def axis(scale: Scale) -> dict[str, Any]:
    """An axis over cells."""
    ends = [float(scale.edges[0]), float(scale.edges[-1])]
    return {
        "title": {"text": "<br>".join(textwrap.wrap(scale.title, _LABEL_LETTERS)), "standoff": 8},
        "type": "log" if scale.log else "linear",
        "range": [math.log10(end) for end in ends] if scale.log else ends,
        "tickvals": [at for at, _ in scale.tick_marks],
        "ticktext": [text for _, text in scale.tick_marks],
        "showgrid": False,
        "zeroline": False,
        "automargin": True,
    }


def _value_axis(data: FigureData) -> dict[str, Any]:
    title = {"text": "<br>".join(textwrap.wrap(data.value_label, _LABEL_LETTERS)), "standoff": 8}
    axis: dict[str, Any] = {"title": title, "automargin": True, "zeroline": False, "gridcolor": _GRID}
    if data.categories:
        return axis | {"tickvals": list(range(len(data.categories))), "ticktext": list(data.categories)}
    if not data.value_log:
        return axis
    values = [dot.value for panel in data.panels for dot in panel.dots if dot.value > 0]
    low, high = min([data.low, *values]), max([data.high, *values])
    room = max(high / low, 1.5) ** 0.06
    ticks = log_ticks(low / room, high * room)
    ends = {"range": [math.log10(low / room), math.log10(high * room)]}
    return axis | ends | {"type": "log", "tickvals": [at for at, _ in ticks], "ticktext": [text for _, text in ticks]}


def colours(data: Frame) -> dict[str, Any]:
    """The colour axis: log scales are drawn in log10, so their ticks say the value."""
    title = {"text": "<br>".join(textwrap.wrap(data.value_label, _LABEL_LETTERS)), "side": "right"}
    bar: dict[str, Any] = {"title": title, "thickness": 14, "outlinewidth": 0}
    if data.y is None:
        return {"showscale": False}
    if data.categories:
        count = len(data.categories)
        bar |= {"tickvals": list(range(count)), "ticktext": list(data.categories)}
        return {"colorscale": in_steps(data.category_colours), "cmin": -0.5, "cmax": count - 0.5, "colorbar": bar}
    low, high = (math.log10(data.low), math.log10(data.high)) if data.value_log else (data.low, data.high)
    if data.value_log:
        ticks = log_ticks(data.low, data.high)
        bar |= {"tickvals": [math.log10(at) for at, _ in ticks], "ticktext": [text for _, text in ticks]}
    return {"colorscale": data.colours.capitalize(), "cmin": low, "cmax": high, "colorbar": bar}


def in_steps(colours: Iterable[str]) -> list[tuple[float, str]]:
    """A colour scale of equal steps, one per kind."""
    kinds = list(colours)
    return [((i + end) / len(kinds), colour) for i, colour in enumerate(kinds) for end in (0, 1)]


def _about(data: FigureData, panel: Panel, facet: int, j: int, i: int) -> list[Any]:
    """What a cell says when it is hovered over or clicked; see `phase_figure`."""
    value, low, high = panel.value[j, i], panel.low[j, i], panel.high[j, i]
    if np.isnan(value):
        text = "none"
    elif data.categories:
        text = data.categories[int(value)]
    else:
        text = number(value) if data.value_log else f"{value:.4g}"
    interval = f" [{low:.3g}, {high:.3g}]" if np.isfinite(low) and np.isfinite(value) else ""
    undetermined = f", {panel.undetermined[j, i]} undetermined" if panel.undetermined[j, i] else ""
    names = [data.x.names[i], data.y.names[j] if data.y else ""]
    return [i, j, facet, int(panel.counts[j, i]), text + interval, *names, undetermined]


def _hover(data: FigureData) -> str:
    """How plotly puts `_about` into words."""
    at = [f"{data.x.label} = %{{customdata[5]}}"] + ([f"{data.y.label} = %{{customdata[6]}}"] if data.y else [])
    said = [f"{data.value_label}: %{{customdata[4]}}", "%{customdata[3]} trials%{customdata[7]}<extra></extra>"]
    return "<br>".join([*at, *said])


def _share(scale: Scale, cell: int, share: float) -> float:
    low, high = scale.edges[cell], scale.edges[cell + 1]
    return float(low * (high / low) ** share if scale.log else low + (high - low) * share)


def _finite(values: np.ndarray) -> list[float]:
    return [float(value) if np.isfinite(value) else 0.0 for value in values]
