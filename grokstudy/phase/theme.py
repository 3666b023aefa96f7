"""Light and dark: how every plotly figure is repainted for the page it stands on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import plotly.graph_objects as go
import plotly.io as pio

from grokstudy.phase.palette import EMPTY, INK, OUTCOME_COLOURS, PAPER, QUIET

LINE_COLOURS: Mapping[str, str] = {**OUTCOME_COLOURS, "confusion": "#8F8F8F", "undetermined": QUIET}
"""Outcomes as thin lines: light grey and white, good for dots with an edge, would not be seen on paper."""
LINE_DASHES: Mapping[str, str] = dict.fromkeys(OUTCOME_COLOURS, "solid") | {
    "diverged": "dash",
    "undetermined": "dot",
    "inversion": "dashdot",
}
"""The outcomes that are not plain readings of a whole curve are told apart without colour too."""
SERIES: tuple[tuple[str, str], ...] = (
    ("#0072B2", "solid"),
    ("#D55E00", "dash"),
    ("#009E73", "dot"),
    ("#CC79A7", "dashdot"),
    ("#E69F00", "longdash"),
    ("#56B4E9", "longdashdot"),
)
"""Colour (Okabe & Ito 2008) and dash of things that are compared, in order."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Theme:
    """Colours of everything that is not data."""

    template: str
    """plotly's template that fills in the rest."""
    ink: str
    quiet: str
    """Notes and lesser lines."""
    paper: str
    empty: str
    """Places without data."""
    grid: str
    hatch: str
    dark_data: str
    """Data drawn in (nearly) black on white paper: diverged trials."""


LIGHT = Theme(
    template="plotly_white",
    ink=INK,
    quiet=QUIET,
    paper=PAPER,
    empty=EMPTY,
    grid="#EDEDED",
    hatch="#BDBDBD",
    dark_data=OUTCOME_COLOURS["diverged"],
)
DARK = Theme(
    template="plotly_dark",
    ink="#E8E8E8",
    quiet="#A3A3A3",
    paper="#15181C",
    empty="#22262B",
    grid="#2C3138",
    hatch="#4A5058",
    dark_data="#D9D9D9",
)
_DATA = frozenset(
    ("x", "y", "z", "text", "ids", "values", "customdata", "meta", "template", "hovertemplate", "ticktext", "tickvals")
)
"""Keys below which nothing is a colour, and which may be long."""


def themed(figure: go.Figure, *, dark: bool) -> go.Figure:
    """A copy of any figure of this package on light or dark paper.

    Ink, paper, grid and hatching change; the colours of data stay, so that a legend means the same on both, except
    black, which would vanish. A list of colours (one per point) was chosen against what lies under each point and
    keeps its black and white.
    """
    theme = DARK if dark else LIGHT
    plain = figure.to_dict()
    if dark:
        swaps = dark_colours()
        plain = {key: _repainted(key, part, swaps) for key, part in plain.items()}
    drawn = go.Figure(plain)
    drawn.update_layout(template=_template(theme), paper_bgcolor=theme.paper, plot_bgcolor=theme.paper)
    drawn.update_layout(font_color=theme.ink, hoverlabel={"bgcolor": theme.empty, "font": {"color": theme.ink}})
    return drawn


def _template(theme: Theme) -> go.layout.Template:
    template = go.layout.Template(pio.templates[theme.template])
    lines = {"gridcolor": theme.grid, "linecolor": theme.grid, "zerolinecolor": theme.grid}
    template.layout.update(xaxis=lines, yaxis=lines, paper_bgcolor=theme.paper, plot_bgcolor=theme.paper)
    return template


def dark_colours() -> dict[str, str]:
    """What each colour of LIGHT (in upper case) is on dark paper; lines between cells are of the grid's colour too."""
    names = [field.name for field in dataclasses.fields(Theme) if field.name != "template"]
    return {getattr(LIGHT, name).upper(): getattr(DARK, name) for name in names} | {"#E0E0E0": DARK.grid}


def _repainted(key: str, part: Any, swaps: Mapping[str, str]) -> Any:
    if key in _DATA:
        return part
    if isinstance(part, dict):
        return {name: _repainted(name, below, swaps) for name, below in part.items()}
    if isinstance(part, (list, tuple)):
        if any(isinstance(one, str) for one in part) and key == "color":
            return [swaps[QUIET.upper()] if one == QUIET else one for one in part]
        return [_repainted(key, below, swaps) for below in part]
    return _repainted_text(part, swaps) if isinstance(part, str) else part


def _repainted_text(text: str, swaps: Mapping[str, str]) -> str:
    """The colour that takes the place of `text`; `rgba(...)` of a swapped colour keeps its opacity."""
    if text.startswith("rgba("):
        *channels, opacity = (piece.strip() for piece in text[5:-1].split(","))
        if len(channels) == 3 and all(channel.isdigit() for channel in channels):
            swapped = swaps.get("#{:02X}{:02X}{:02X}".format(*map(int, channels)))
            return text if swapped is None else translucent(swapped, float(opacity))
        return text
    return swaps.get(text.upper(), text)


def translucent(colour: str, opacity: float) -> str:
    """`#RRGGBB` as plotly's rgba(...)."""
    red, green, blue = bytes.fromhex(colour[1:])
    return f"rgba({red}, {green}, {blue}, {opacity:g})"
