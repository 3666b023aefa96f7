"""Phase diagrams by plotly: one HTML file that needs no network."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from grokstudy.phase.dots import Dot
from grokstudy.phase.figure_data import FigureData, Panel, Scale
from grokstudy.phase.palette import EMPTY, INK, OUTCOME_COLOURS, PAPER, QUIET

_MOST_ACROSS = 3
_PANEL_HEIGHT = 460


def phase_html(data: FigureData) -> str:
    """A whole HTML page with plotly.js inside (about 5 MB), readable without a network."""
    config = {"responsive": True, "displaylogo": False}
    page: str = phase_figure(data).to_html(include_plotlyjs=True, full_html=True, config=config)
    return page


def phase_figure(data: FigureData) -> go.Figure:
    """One panel per facet. Hovering shows the cell; every dot carries its trial_id in `customdata`."""
    across = 2 if len(data.panels) == 4 else min(len(data.panels), _MOST_ACROSS)
    down = math.ceil(len(data.panels) / across)
    titles = [panel.title for panel in data.panels]
    figure = make_subplots(down, across, subplot_titles=titles if any(titles) else None, shared_yaxes=True)
    for number, panel in enumerate(data.panels):
        where = {"row": number // across + 1, "col": number % across + 1}
        for trace in _heat(data, panel) if data.y else _line(data, panel):
            figure.add_trace(trace, **where)
        for trace in _dots(panel.dots, heat=data.y is not None, first=number == 0):
            figure.add_trace(trace, **where)
        if panel.overlay:
            figure.add_trace(_overlay(panel, first=number == 0), **where)
        figure.update_xaxes(**_axis(data.x), **where)
        figure.update_yaxes(**_value_axis(data) if data.y is None else _axis(data.y), **where)
    note = {"text": data.note, "xref": "paper", "yref": "paper", "x": 0, "y": 0, "yshift": -62, "showarrow": False}
    figure.add_annotation(**note, xanchor="left", font={"size": 11, "color": QUIET})
    figure.update_layout(
        title={"text": data.title, "x": 0.01},
        template="plotly_white",
        height=down * _PANEL_HEIGHT + 140,
        font={"color": INK},
        coloraxis=_colours(data),
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 1, "xanchor": "right"},
        margin={"l": 70, "r": 20, "t": 80, "b": 90},
    )
    return figure


def _heat(data: FigureData, panel: Panel) -> list[go.Scatter | go.Heatmap]:
    assert data.y is not None
    shown = np.where(panel.hatched, np.nan, panel.value)
    hover = [[_cell_text(data, panel, j, i) for i in range(shown.shape[1])] for j in range(shown.shape[0])]
    heat = go.Heatmap(
        x=data.x.edges,
        y=data.y.edges,
        z=np.log10(shown) if data.value_log else shown,
        coloraxis="coloraxis",
        text=hover,
        hovertemplate="%{text}<extra></extra>",
        hoverongaps=False,
        name="cells",
    )
    return [_hatching(data, panel), heat, _counts(data, panel)]


def _hatching(data: FigureData, panel: Panel) -> go.Scatter:
    """Outlines of all cells without a value as one filled trace with a pattern."""
    assert data.y is not None
    x: list[float | None] = []
    y: list[float | None] = []
    for j, i in np.argwhere(panel.hatched):
        left, right, low, high = data.x.edges[i], data.x.edges[i + 1], data.y.edges[j], data.y.edges[j + 1]
        x += [left, right, right, left, left, None]
        y += [low, low, high, high, low, None]
    pattern = {"shape": "/", "fgcolor": "#BDBDBD", "bgcolor": EMPTY, "size": 6, "solidity": 0.2}
    return go.Scatter(
        x=x, y=y, fill="toself", fillpattern=pattern, mode="none", hoverinfo="skip", name="no value", showlegend=False
    )


def _counts(data: FigureData, panel: Panel) -> go.Scatter:
    assert data.y is not None
    places = [(j, i) for j, i in np.ndindex(panel.counts.shape)]
    return go.Scatter(
        x=[_share(data.x, i, 0.1) for _, i in places],
        y=[_share(data.y, j, 0.86) for j, _ in places],
        text=[str(panel.counts[j, i]) for j, i in places],
        mode="text",
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
        value, low, high = np.log10([value, low, high])
    return PAPER if (value - low) / (high - low) < 0.5 else INK


def _line(data: FigureData, panel: Panel) -> list[go.Scatter]:
    value = panel.value[0]
    bars = {"type": "data", "array": _finite(panel.high[0] - value), "arrayminus": _finite(value - panel.low[0])}
    shares = bool(np.isfinite(panel.low[0]).any())
    hover = [_cell_text(data, panel, 0, i) for i in range(len(value))]
    return [
        go.Scatter(
            x=data.x.centres,
            y=value,
            error_y=bars if shares else None,
            mode="markers" if data.categories else "lines+markers",
            line={"color": INK},
            text=hover,
            hovertemplate="%{text}<extra></extra>",
            name=data.value_label,
            showlegend=False,
        )
    ]


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


def _overlay(panel: Panel, *, first: bool) -> go.Scatter:
    """Points from elsewhere, with their labels."""
    return go.Scatter(
        x=[mark.x for mark in panel.overlay],
        y=[mark.y for mark in panel.overlay],
        text=[mark.label for mark in panel.overlay],
        mode="markers+text",
        textposition="middle right",
        textfont={"size": 11, "color": INK, "shadow": f"0 0 3px {PAPER}"},
        hovertemplate="%{text}<br>%{x}, %{y}<extra></extra>",
        marker={"size": 11, "color": INK, "symbol": "cross", "line": {"width": 1, "color": PAPER}},
        name="from elsewhere",
        legendgroup="from elsewhere",
        showlegend=first,
    )


def _axis(scale: Scale) -> dict[str, object]:
    ends = [float(scale.edges[0]), float(scale.edges[-1])]
    return {
        "title": {"text": scale.label},
        "type": "log" if scale.log else "linear",
        "range": [math.log10(end) for end in ends] if scale.log else ends,
        "tickvals": [float(scale.centres[i]) for i in scale.ticks],
        "ticktext": [scale.names[i] for i in scale.ticks],
        "showgrid": False,
        "zeroline": False,
    }


def _value_axis(data: FigureData) -> dict[str, object]:
    axis: dict[str, object] = {"title": {"text": data.value_label}, "type": "log" if data.value_log else "linear"}
    if data.categories:
        axis |= {"tickvals": list(range(len(data.categories))), "ticktext": list(data.categories)}
    return axis


def _colours(data: FigureData) -> dict[str, object]:
    bar: dict[str, object] = {"title": {"text": data.value_label, "side": "right"}, "thickness": 14}
    if data.categories:
        count = len(data.categories)
        steps = [(i + end) / count for i in range(count) for end in (0, 1)]
        colours = [colour for colour in data.category_colours for _ in range(2)]
        bar |= {"tickvals": list(range(len(data.categories))), "ticktext": list(data.categories)}
        return {
            "colorscale": list(zip(steps, colours, strict=True)),
            "cmin": -0.5,
            "cmax": count - 0.5,
            "colorbar": bar,
        }
    low, high = (math.log10(data.low), math.log10(data.high)) if data.value_log else (data.low, data.high)
    if data.value_log:
        powers = list(range(math.ceil(low), math.floor(high) + 1))
        bar |= {"tickvals": powers, "ticktext": [f"{10.0**power:g}" for power in powers]} if powers else {}
    return {"colorscale": data.colours.capitalize(), "cmin": low, "cmax": high, "colorbar": bar}


def _cell_text(data: FigureData, panel: Panel, j: int, i: int) -> str:
    """What hovering over a cell says."""
    at = [f"{data.x.label} = {data.x.names[i]}"] + ([f"{data.y.label} = {data.y.names[j]}"] if data.y else [])
    value, low, high = panel.value[j, i], panel.low[j, i], panel.high[j, i]
    shown = data.categories[int(value)] if data.categories and not np.isnan(value) else f"{value:.4g}"
    text = "no value" if np.isnan(value) else f"{data.value_label}: {shown}"
    interval = f" [{low:.3g}, {high:.3g}]" if np.isfinite(low) and np.isfinite(value) else ""
    undetermined = f", {panel.undetermined[j, i]} undetermined" if panel.undetermined[j, i] else ""
    return "<br>".join([*at, text + interval, f"{panel.counts[j, i]} trials{undetermined}"])


def _share(scale: Scale, cell: int, share: float) -> float:
    low, high = scale.edges[cell], scale.edges[cell + 1]
    return float(low * (high / low) ** share if scale.log else low + (high - low) * share)


def _finite(values: np.ndarray) -> list[float]:
    return [float(value) if np.isfinite(value) else 0.0 for value in values]
