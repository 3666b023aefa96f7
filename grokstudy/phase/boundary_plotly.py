"""A boundary over a phase diagram by plotly: the line, and the band in which it may lie."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float

from grokstudy.phase.boundary import Boundary
from grokstudy.phase.palette import INK, PAPER
from grokstudy.phase.theme import translucent


def add_boundary(figure: go.Figure, boundary: Boundary, panel: int = 0, *, legend: bool = True) -> None:
    """Draws on panel number `panel` of a figure made by `phase_figure`; hovering says how it was fitted."""
    axis = "" if panel == 0 else str(panel + 1)
    where = {"xaxis": f"x{axis}", "yaxis": f"y{axis}", "mode": "lines", "legendgroup": "boundary"}
    band_x, band_y = _joined(boundary.band)
    x, y = _joined(boundary.lines)
    edge = {"color": INK, "width": 1, "dash": "dot"}
    hover = f"{boundary.note}<extra></extra>"
    figure.add_traces(
        [
            go.Scatter(
                x=band_x,
                y=band_y,
                fill="toself",
                fillcolor=translucent(PAPER, 0.3),
                line=edge,
                hoverinfo="skip",
                name=f"{boundary.confidence:.0%} band",
                showlegend=legend and bool(boundary.band),
                **where,
            ),
            go.Scatter(x=x, y=y, line={"color": PAPER, "width": 5}, hoverinfo="skip", showlegend=False, **where),
            go.Scatter(
                x=x,
                y=y,
                line={"color": INK, "width": 2.5},
                name=f"p = {boundary.level:g}",
                hovertemplate=hover,
                showlegend=legend and bool(boundary.lines),
                **where,
            ),
        ]
    )


def _joined(
    pieces: Sequence[Float[np.ndarray, "points 2"]],
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """All pieces as one trace with gaps."""
    gap = np.full((1, 2), np.nan)
    joined = np.concatenate([part for piece in pieces for part in (piece, gap)]) if pieces else np.empty((0, 2))
    return joined[:, 0], joined[:, 1]
