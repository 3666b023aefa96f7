"""Pictures of networks by plotly: to look at, hover over and zoom; `save` draws the same picture for a paper."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from grokstudy.phase.circuit_figures_data import Axis, Bars, Dots, Heat, Line, Mark, Panel, Picture, Scale
from grokstudy.phase.log_ticks import log_ticks
from grokstudy.phase.page import Figure as OnPage
from grokstudy.phase.page import page
from grokstudy.phase.palette import INK, QUIET, SHARE_SCALE
from grokstudy.spec.errors import BadInput, nearest

COLOURS = {"sequential": SHARE_SCALE, "diverging": "RdBu", "cyclic": "Twilight"}
SUFFIXES = (".png", ".svg", ".pdf", ".html")
_INCH = 88
"""Pixels of a screen."""
_TOP, _BOTTOM, _LEFT, _RIGHT = 80, 95, 75, 30
_NOTE = "note"
_BAR = 95
"""Pixels beside a panel for its colour bar."""


class CircuitFigure(go.Figure):  # type: ignore[misc]
    """A plotly figure that remembers the picture it was drawn from, so that it can be saved for a paper."""

    def __init__(self, *parts: Any, picture: Picture | None = None, **named: Any) -> None:
        super().__init__(*parts, **named)
        self._picture = picture

    @property
    def picture(self) -> Picture | None:
        """The data of the figure; None for a copy that plotly made."""
        return self._picture

    def save(self, path: Path | str) -> Path:
        """Writes .png, .svg or .pdf (drawn by matplotlib from the same data) or .html (this figure, no network needed).

        Changes made to the plotly figure are seen in .html alone.

        Raises:
            BadInput: another suffix, or a folder that does not exist.
        """
        path = Path(path)
        suffix = path.suffix.lower()
        if suffix not in SUFFIXES:
            shown = suffix or "no suffix"
            raise BadInput(f"path: got '{path}' ({shown}){nearest(suffix, SUFFIXES)} Allowed: {', '.join(SUFFIXES)}.")
        if not path.parent.is_dir():
            raise BadInput(f"path: the folder '{path.parent}' does not exist; create it first.")
        if suffix == ".html":
            title, note = (self._picture.title, self._picture.note) if self._picture else ("", "")
            path.write_text(page(title, note, [self.on_page()]), encoding="utf-8")
            return path
        if self._picture is None:
            raise BadInput(
                f"path: this is a copy of a figure, which only .html can hold; save the first one as {suffix}."
            )
        from grokstudy.phase.circuit_figures_matplotlib import drawn
        from grokstudy.phase.figures_matplotlib import write_figure

        write_figure(drawn(self._picture), path, suffix[1:])
        return path

    def on_page(self) -> OnPage:
        """Without title and note, which the page says, and as wide as the picture asks for.

        A narrower screen scrolls, so that squares stay squares.
        """
        if self._picture is None:
            return OnPage(self)
        wide = int(self._picture.across * self._picture.width * _INCH) + _LEFT + _RIGHT + _BAR
        least = 340 if self._picture.across == 1 else min(wide, 300 * self._picture.across)
        bare = go.Figure(self)  # the page has the title and the note, which wrap there
        bare.update_layout(title=None, height=self.layout.height - (_TOP - 45) - (_BOTTOM - 50))
        bare.update_layout(margin={"t": 45, "b": 50})
        bare.layout.annotations = [each for each in bare.layout.annotations if each.name != _NOTE]
        return OnPage(bare, least=least, most=max(wide, 700))


def figure(picture: Picture) -> CircuitFigure:
    """The picture as a plotly figure."""
    width = picture.across * picture.width * _INCH
    height = picture.down * (picture.height * _INCH + 30) + _TOP + _BOTTOM
    bars = len({scale for panel in picture.panels for scale in _scales(panel)})
    spaces = {
        "horizontal_spacing": (_BAR if bars < 2 else 2 * _BAR) / width if picture.across > 1 else 0.0,
        "vertical_spacing": 85 / height if picture.down > 1 else 0.0,
    }
    drawn = make_subplots(picture.down, picture.across, **spaces)
    layout: dict[str, Any] = {}
    for number, panel in enumerate(picture.panels):
        _add_panel(drawn, layout, panel, number, picture)
    _add_colour_bars(drawn, layout, picture, width)
    _note(drawn, picture, height)
    drawn.update_layout(
        title={
            "text": f"<b>{picture.title}</b>",
            "x": 0.01,
            "y": 1 - 22 / height,
            "yanchor": "middle",
            "font_size": 16,
        },
        template="plotly_white",
        font={"color": INK},
        barmode="overlay",
        height=height,
        margin={"l": _LEFT, "r": _RIGHT + (_BAR if bars else 0), "t": _TOP, "b": _BOTTOM},
        **layout,
    )
    return CircuitFigure(drawn, picture=picture)


def _add_panel(figure: go.Figure, layout: dict[str, Any], panel: Panel, number: int, picture: Picture) -> None:
    where = {"row": number // picture.across + 1, "col": number % picture.across + 1}
    axis = "" if number == 0 else str(number + 1)
    legend = f"legend{axis}"
    scales = _all_scales(picture)
    for mark in panel.marks:
        named = {"name": mark.name, "showlegend": bool(mark.name)} if isinstance(mark, (Line, Bars)) else {}
        figure.add_trace(_trace(mark, panel, scales).update(legend=legend, **named), **where)
    lines = [mark for mark in panel.marks if isinstance(mark, Line)]
    figure.update_xaxes(**_axis(panel.x, [line.x for line in lines]), **where)
    figure.update_yaxes(**_axis(panel.y, [line.y for line in lines]), **where)
    if panel.square:
        figure.update_yaxes(scaleanchor=f"x{axis}", constrain="domain", constraintoward="top", **where)
        figure.update_xaxes(constrain="domain", constraintoward="left", **where)
    for rule in panel.rules:
        line = {"color": rule.colour, "width": 1, "dash": "dash"}
        if rule.across:
            figure.add_hline(rule.at, line=line, **where)
        else:
            figure.add_vline(rule.at, line=line, **where)
    for band in panel.bands:
        figure.add_vrect(band.start, band.end, fillcolor=band.colour, line_width=0, layer="below", **where)
        middle = math.sqrt(band.start * band.end) if panel.x.log else (band.start + band.end) / 2
        at = {"x": math.log10(middle) if panel.x.log else middle, "xref": f"x{axis}", "y": 1, "yref": f"y{axis} domain"}
        figure.add_annotation(text=band.name, showarrow=False, yanchor="top", font={"size": 11, "color": QUIET}, **at)
    right, top = figure.layout[f"xaxis{axis}"].domain[1], figure.layout[f"yaxis{axis}"].domain[1]
    layout[legend] = {"orientation": "h", "x": right, "xanchor": "right", "y": top, "yanchor": "bottom"}
    left = figure.layout[f"xaxis{axis}"].domain[0]
    words = {"text": f"<b>{panel.title}</b>", "x": left, "xanchor": "left", "y": top, "yanchor": "bottom"}
    figure.add_annotation(xref="paper", yref="paper", showarrow=False, font={"size": 13}, **words)


def _trace(mark: Mark, panel: Panel, scales: Mapping[Scale, str]) -> Any:
    match mark:
        case Line():
            mode = "lines+markers" if mark.markers else "lines"
            return go.Scatter(x=mark.x, y=mark.y, mode=mode, line={"color": mark.colour}, marker={"size": 5})
        case Bars():
            return go.Bar(x=mark.x, y=mark.height, width=mark.width, base=mark.base, marker={"color": mark.colour})
        case Heat():
            said = (
                f"{panel.y.label}: %{{y}}<br>{panel.x.label}: %{{x}}<br>{mark.scale.label}: %{{z:.4g}}<extra></extra>"
            )
            values = np.where(np.isfinite(mark.values), mark.values, np.nan)
            return go.Heatmap(x=mark.x, y=mark.y, z=values, coloraxis=scales[mark.scale], hovertemplate=said)
        case Dots():
            return go.Scatter(
                x=mark.x,
                y=mark.y,
                text=mark.words,
                mode="markers+text" if mark.written else "markers",
                textposition="top right",
                textfont={"size": 9, "color": QUIET},
                marker={
                    "size": 8,
                    "color": mark.values,
                    "coloraxis": scales[mark.scale],
                    "line": {"width": 0.5, "color": QUIET},
                },
                hovertemplate=f"%{{text}}<br>{mark.scale.label}: %{{marker.color:.4g}}<extra></extra>",
                showlegend=False,
            )


def _axis(axis: Axis, drawn: Sequence[np.ndarray]) -> dict[str, Any]:
    """An axis over the given numbers; log ones have their ticks at numbers that can be read."""
    given: dict[str, Any] = {"title": {"text": axis.label, "standoff": 6}, "zeroline": False}
    ends = [axis.low, axis.high]
    if axis.log:
        known = np.concatenate([*drawn, [end for end in ends if end is not None]])
        known = known[np.isfinite(known) & (known > 0)]
        given |= {"type": "log"} | (_ticks(log_ticks(*_opened(known))) if len(known) else {})
    if axis.log:
        ends = [None if end is None else math.log10(end) for end in ends]
    if ends != [None, None]:
        given |= {"range": ends} if None not in ends else {"autorangeoptions": _one_end(ends)}
    if axis.ticks:
        given |= _ticks(axis.ticks)
    return given


def _opened(values: np.ndarray) -> tuple[float, float]:
    """Smallest and largest of positive numbers, with as much room as plotly leaves round them."""
    low, high = float(values.min()), float(values.max())
    room = max(high / low, 1.2) ** 0.06
    return low / room, high * room


def _ticks(ticks: Sequence[tuple[float, str]]) -> dict[str, Any]:
    return {"tickvals": [at for at, _ in ticks], "ticktext": [text for _, text in ticks]}


def _one_end(ends: list[float | None]) -> dict[str, float]:
    return {name: end for name, end in zip(("minallowed", "maxallowed"), ends, strict=True) if end is not None}


def _scales(panel: Panel) -> list[Scale]:
    return [mark.scale for mark in panel.marks if isinstance(mark, (Heat, Dots))]


def _all_scales(picture: Picture) -> dict[Scale, str]:
    """Every scale with the name of its colour axis."""
    scales = dict.fromkeys(scale for panel in picture.panels for scale in _scales(panel))
    return {scale: f"coloraxis{'' if i == 0 else i + 1}" for i, scale in enumerate(scales)}


def _add_colour_bars(figure: go.Figure, layout: dict[str, Any], picture: Picture, width: float) -> None:
    """One bar per scale, to the right of the panels that use it."""
    for scale, name in _all_scales(picture).items():
        users = ["" if i == 0 else i + 1 for i, panel in enumerate(picture.panels) if scale in _scales(panel)]
        right = max(figure.layout[f"xaxis{user}"].domain[1] for user in users)
        low = min(figure.layout[f"yaxis{user}"].domain[0] for user in users)
        high = max(figure.layout[f"yaxis{user}"].domain[1] for user in users)
        bar = {
            "title": {"text": scale.label, "side": "right"},
            "thickness": 12,
            "x": right + 8 / width,
            "xanchor": "left",
            "y": (low + high) / 2,
            "len": high - low,
        }
        colours = {"colorscale": COLOURS[scale.colours], "cmin": scale.low, "cmax": scale.high}
        layout[name] = {**colours, "colorbar": bar}


def _note(figure: go.Figure, picture: Picture, height: float) -> None:
    at = {"x": 0, "xanchor": "left", "y": 0, "yanchor": "top", "yshift": -52, "xref": "paper", "yref": "paper"}
    words = "<br>".join(textwrap.wrap(picture.note, int(picture.across * picture.width * 15)))
    figure.add_annotation(
        name=_NOTE, text=words, align="left", showarrow=False, font={"size": 11, "color": QUIET}, **at
    )
