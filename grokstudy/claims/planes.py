"""Shares over a plane of settings, a small plane per series: the figure of claims about many cells."""

from __future__ import annotations

import math

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec

from grokstudy.claims.series import by_series
from grokstudy.claims.words import number
from grokstudy.phase.palette import EMPTY, INK, PAPER, SHARE_SCALE
from grokstudy.spec.claim import ClaimFigure

_MOST_ACROSS = 3
_DARK = 0.55
"""Shares from which a number is written in white."""


def draw_planes(figure: Figure, place: SubplotSpec, asked: ClaimFigure, rows: pd.DataFrame) -> None:
    """A cell per row in the colour of its share, which stands in it; cells without a trial stay grey."""
    series = by_series(rows)
    across = min(len(series), _MOST_ACROSS)
    grid = place.subgridspec(math.ceil(len(series) / across), across)
    axes = [figure.add_subplot(grid[i // across, i % across]) for i in range(len(series))]
    x, y = (sorted(set(rows[key].astype(float))) for key in ("x", "y"))
    for i, ((name, own), one) in enumerate(zip(series.items(), axes, strict=True)):
        _draw_plane(one, own, x, y)
        one.set_title(name, fontsize=8.5, pad=3)
        one.set_xticks(range(len(x)), [number(v) for v in x] if i + across >= len(series) else [], fontsize=7)
        one.set_yticks(range(len(y)), [number(v) for v in y] if i % across == 0 else [], fontsize=7)
    axes[0].set_ylabel(asked.y, fontsize=8)
    axes[(len(series) - 1) // across * across].set_xlabel(asked.x, fontsize=8)
    colours = ScalarMappable(Normalize(0, 1), mpl.colormaps[SHARE_SCALE])
    bar = figure.colorbar(colours, ax=axes, pad=0.01, fraction=0.04)
    bar.ax.tick_params(labelsize=7, length=2)
    bar.set_label(asked.value, fontsize=8)
    bar.outline.set_visible(False)


def _draw_plane(axes: Axes, rows: pd.DataFrame, x: list[float], y: list[float]) -> None:
    cells = rows.assign(x=rows["x"].astype(float), y=rows["y"].astype(float)).pivot_table("value", "y", "x")
    shares = cells.reindex(index=y, columns=x).to_numpy(dtype=float)
    axes.set_facecolor(EMPTY)
    axes.imshow(shares, cmap=SHARE_SCALE, vmin=0, vmax=1, origin="lower", aspect="auto")
    for j, row in enumerate(shares):
        for i, share in enumerate(row):
            if not math.isnan(share):
                ink = PAPER if share < _DARK else INK
                axes.text(i, j, f"{share:.2g}", fontsize=6, ha="center", va="center", color=ink)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
