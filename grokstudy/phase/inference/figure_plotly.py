"""A fit's figure by plotly."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import contourpy
import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float
from plotly.subplots import make_subplots

from grokstudy.phase import page
from grokstudy.phase.inference.result import INK_SERIES, Band, FitFigure, Line, Mark, Panel, Points, Region
from grokstudy.phase.palette import INK, QUIET
from grokstudy.phase.theme import SERIES, translucent

_TINT = 0.18
_WIDTH, _HEIGHT = 470, 460
Named: TypeAlias = Callable[[str], dict[str, Any]]
"""What a trace says of its place in the legend, where every name stands once."""


def fit_figure(data: FitFigure) -> go.Figure:
    """Panels beside each other, the note below."""
    across = max(len(data.panels), 1)
    titles = [panel.title for panel in data.panels]
    figure = make_subplots(1, across, subplot_titles=titles, horizontal_spacing=0.12 if across > 1 else 0.0)
    shown: set[str] = set()

    def named(name: str) -> dict[str, Any]:
        first = bool(name) and name not in shown
        shown.add(name)
        return {"name": name, "showlegend": first, "legendgroup": name or None}

    for column, panel in enumerate(data.panels, start=1):
        figure.add_traces(_traces(panel, named), rows=1, cols=column)
        _dress(figure, panel, column)
    at = {"xref": "paper", "yref": "paper", "x": 0, "y": 0, "yshift": -62, "xanchor": "left", "yanchor": "top"}
    figure.add_annotation(text=data.note, **at, align="left", showarrow=False, font={"size": 11, "color": QUIET})
    figure.update_layout(
        title={"text": data.title, "x": 0.01, "y": 0.98, "yanchor": "top", "font_size": 15},
        template="plotly_white",
        font={"color": INK},
        height=_HEIGHT,
        hovermode="closest",
        legend={"orientation": "h", "y": 1.12, "yanchor": "bottom", "x": 0, "xanchor": "left"},
        margin={"l": 70, "r": 20, "t": 120, "b": 100},
    )
    return figure


def fit_html(data: FitFigure) -> str:
    """The figure as one page that needs no network."""
    width = _WIDTH * max(len(data.panels), 1)
    drawn = fit_figure(data)
    drawn.update_layout(title=None, margin={"t": 90, "b": 60})
    drawn.layout.annotations = [one for one in drawn.layout.annotations if one.text != data.note]  # the page has it
    return page.page(data.title, data.note, [page.Figure(drawn, least=width, most=2 * width)])


def _traces(panel: Panel, named: Named) -> list[go.BaseTraceType]:
    found: list[go.BaseTraceType] = []
    for region in panel.regions:
        found.append(_region(region, named))
    for band in panel.bands:
        found += _band(band, named)
    for line in panel.lines:
        found.append(_line(line, named))
    for points in panel.points:
        found.append(_points(points, named))
    return found


def _region(region: Region, named: Named) -> go.Scatter:
    """Its rings as one filled trace: plotly's own constraint contour tints the outside."""
    colour = _colour(region.series)[0]
    height = np.nan_to_num(region.height, nan=np.inf, posinf=1e300)
    below = contourpy.contour_generator(region.x, region.y, height, fill_type="OuterOffset").filled(
        -1e300, region.level
    )
    gap = np.full((1, 2), np.nan)
    pieces: list[np.ndarray] = []
    for points, offsets in zip(*below, strict=True):
        for ring in np.split(np.asarray(points), np.asarray(offsets)[1:-1].tolist()):
            pieces += [ring, gap]
    outline = np.concatenate(pieces) if pieces else np.empty((0, 2))
    return go.Scatter(
        x=outline[:, 0],
        y=outline[:, 1],
        mode="lines",
        fill="toself",
        fillcolor=translucent(colour, _TINT),
        line={"color": colour, "width": 2},
        hoverinfo="skip",
        **named(region.name),
    )


def _band(band: Band, named: Named) -> list[go.Scatter]:
    colour = _colour(band.series)[0]
    edge = {"x": band.x, "mode": "lines", "line": {"width": 0, "color": colour}, "hoverinfo": "skip"}
    fill = {"fill": "tonexty", "fillcolor": translucent(colour, _TINT)}
    return [
        go.Scatter(y=band.low, showlegend=False, **edge),
        go.Scatter(y=band.high, **edge, **fill, **named(band.name)),
    ]


def _line(line: Line, named: Named) -> go.Scatter:
    colour, dash = _colour(line.series)
    style = {
        "color": colour,
        "dash": dash,
        "width": 1.2 if line.thin else 2.2,
        "shape": "hv" if line.steps else "linear",
    }
    return go.Scatter(x=line.x, y=line.y, mode="lines", line=style, **named(line.name))


def _points(points: Points, named: Named) -> go.Scatter:
    colour = _colour(points.series)[0]
    beyond = np.zeros(len(points.x), dtype=bool) if points.beyond is None else points.beyond
    return go.Scatter(
        x=points.x,
        y=points.y,
        mode="markers",
        marker={
            "symbol": np.where(beyond, "triangle-up-open", "circle").tolist(),
            "size": 7,
            "color": colour,
            "line": {"width": np.where(beyond, 1.2, 0.5).tolist(), "color": colour if beyond.all() else None},
        },
        error_y=_errors(points, colour),
        **named(points.name),
    )


def _errors(points: Points, colour: str) -> dict[str, Any] | None:
    if points.low is None or points.high is None:
        return None
    above, below = (_reach(end) for end in (points.high - points.y, points.y - points.low))
    return {"type": "data", "array": above, "arrayminus": below, "color": colour, "thickness": 1.4, "width": 3}


def _reach(distance: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
    """Length of an error bar; an end that is not known is drawn as long as a picture can show."""
    known = np.isfinite(distance)
    longest = float(distance[known].max()) if known.any() else 1.0
    return np.asarray(np.where(known, np.maximum(distance, 0.0), 10 * max(longest, 1.0)))


def _dress(figure: go.Figure, panel: Panel, column: int) -> None:
    ticks: dict[str, Any] = {}
    if panel.x_ticks:
        ticks = {"tickvals": [at for at, _ in panel.x_ticks], "ticktext": [_lines(text) for _, text in panel.x_ticks]}
        ticks["range"] = [panel.x_ticks[0][0] - 0.5, panel.x_ticks[-1][0] + 0.5]
    for update, label, log, more in (
        (figure.update_xaxes, panel.x_label, panel.x_log, ticks),
        (figure.update_yaxes, panel.y_label, panel.y_log, {}),
    ):
        kind = {"type": "log", "exponentformat": "power", "dtick": "D2"} if log else {"type": "linear"}
        update(title={"text": label}, zeroline=False, row=1, col=column, **kind, **more)
    for mark in panel.marks:
        add = figure.add_vline if mark.upright else figure.add_hline
        add(mark.at, line={"color": QUIET, "width": 1, "dash": "dot"}, row=1, col=column)
        if mark.text:
            _name_mark(figure, panel, mark, column)


def _name_mark(figure: go.Figure, panel: Panel, mark: Mark, column: int) -> None:
    """The words at the end of a straight line; on a log axis plotly places text by the logarithm."""
    axis = "" if column == 1 else str(column)
    log = panel.x_log if mark.upright else panel.y_log
    at = math.log10(mark.at) if log else mark.at
    place = {"x": at, "y": 1.0} if mark.upright else {"x": 1.0, "y": at}
    refs = ("x", "y domain") if mark.upright else ("x domain", "y")
    figure.add_annotation(
        text=mark.text,
        xref=refs[0].replace("x", f"x{axis}"),
        yref=refs[1].replace("y", f"y{axis}"),
        xanchor="left",
        yanchor="bottom",
        showarrow=False,
        font={"size": 11, "color": QUIET},
        **place,
    )


def _lines(text: str) -> str:
    return text.replace("\n", "<br>")


def _colour(series: int) -> tuple[str, str]:
    return (INK, "solid") if series == INK_SERIES else SERIES[series % len(SERIES)]
