"""Parallel coordinates by plotly."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from grokstudy.phase.figures_plotly import in_steps
from grokstudy.phase.palette import INK, QUIET, TIME_SCALE
from grokstudy.phase.parallel import ParallelAxis, ParallelData
from grokstudy.phase.theme import LINE_COLOURS


def parallel_figure(data: ParallelData) -> go.Figure:
    """One line per trial; dragging along an axis chooses lines. `customdata` holds their trial_ids, in order."""
    colour = next(axis for axis in data.axes if axis.name == data.colour)
    trace = go.Parcoords(
        dimensions=[_dimension(axis) for axis in data.axes],
        line=_line(colour),
        customdata=list(data.trial_ids),
        labelfont={"size": 13, "color": INK},
        tickfont={"size": 11, "color": INK},
        rangefont={"size": 1, "color": "rgba(0, 0, 0, 0)"},  # ranges would be logarithms
        unselected={"line": {"color": QUIET, "opacity": 0.08}},
    )
    figure = go.Figure(trace)
    note = {"xref": "paper", "yref": "paper", "x": 0, "y": 0, "yshift": -22, "xanchor": "left", "yanchor": "top"}
    figure.add_annotation(text=data.note, **note, showarrow=False, font={"size": 11, "color": QUIET})
    figure.update_layout(
        title={"text": data.title, "x": 0.01, "y": 0.98, "yanchor": "top", "font_size": 15},
        template="plotly_white",
        font={"color": INK},
        height=480,
        margin={"l": 60, "r": 60, "t": 95, "b": 55},
    )
    return figure


def _dimension(axis: ParallelAxis) -> dict[str, object]:
    low, high = float(axis.positions.min()), float(axis.positions.max())
    edge = (high - low) * 0.02 or 0.5
    shown: dict[str, object] = {
        "label": axis.name,
        "values": axis.positions.astype(np.float32),
        "range": [low - edge, high + edge],
    }
    if axis.ticks:
        shown |= {"tickvals": [at for at, _ in axis.ticks], "ticktext": [text for _, text in axis.ticks]}
    return shown


def _line(axis: ParallelAxis) -> dict[str, object]:
    if axis.categories and all(name in LINE_COLOURS for name in axis.categories):
        colours = [LINE_COLOURS[name] for name in axis.categories]
        return {"color": axis.positions, "colorscale": in_steps(colours), "cmin": -0.5, "cmax": len(colours) - 0.5}
    bar: dict[str, object] = {"title": {"text": axis.name, "side": "right"}, "thickness": 12}
    if axis.ticks:
        bar |= {"tickvals": [at for at, _ in axis.ticks], "ticktext": [text for _, text in axis.ticks]}
    return {"color": axis.positions, "colorscale": TIME_SCALE.capitalize(), "showscale": True, "colorbar": bar}
