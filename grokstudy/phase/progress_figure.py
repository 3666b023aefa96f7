"""The progress-measure picture of one trial: losses, weights and sparsity over steps, with the three phases."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grokstudy.phase.figures_matplotlib import STYLE, empty_figure
from grokstudy.phase.palette import INK, QUIET, TEST, TRAIN
from grokstudy.phase.progress import TrialProgress

RESTRICTED, EXCLUDED = "#009E73", "#CC79A7"
_FIRST_STEP = 0.7
"""Where step 0 is drawn on the log axis."""
_BANDS = ("#FBF3E4", "#E9F2F8", "#E8F4F0")
_BAND_NAMES = ("memorization", "circuit formation", "cleanup")
_LINES = (
    (("restricted_loss.all", "restricted loss", RESTRICTED), ("excluded_loss.train", "excluded loss", EXCLUDED)),
    (("gini_W_E", "Gini of W_E", RESTRICTED), ("gini_W_L", "Gini of W_L", EXCLUDED), ("fve", "FVE of logits", INK)),
)


def progress_figure(progress: TrialProgress, title: str) -> Figure:
    """Three panels over log steps: losses with restricted and excluded loss, sparsity and FVE, size of the weights."""
    curves, measures = progress.curves, progress.measures
    with mpl.rc_context(STYLE):
        figure = empty_figure(7.2, 8.4)
        losses, shares, norms = figure.subplots(3, 1, sharex=True, height_ratios=(3, 2, 1.4))
        _line(losses, curves, "train_loss", "train loss", TRAIN)
        _line(losses, curves, "test_loss", "test loss", TEST)
        for axes, lines in zip((losses, shares), _LINES, strict=True):
            for name, label, colour in lines:
                if name in measures and measures[name].notna().any():
                    _line(axes, measures, name, label, colour, marker="o")
        _line(norms, curves, "sum_sq_weights", "sum of squared weights", QUIET)
        losses.set(yscale="log", ylabel="loss (nats)", title=title)
        shares.set(ylabel="share", ylim=(0, 1))
        norms.set(yscale="log", xscale="log", ylabel="Σ w²", xlabel="steps")
        for axes in (losses, shares, norms):
            _dress(axes, progress)
        for name, (start, end) in zip(_BAND_NAMES, _bands(progress), strict=True):
            if end > start:
                middle = float(np.sqrt(start * end))
                losses.annotate(
                    name,
                    (middle, 0.985),
                    xycoords=("data", "axes fraction"),
                    ha="center",
                    va="top",
                    color=QUIET,
                    size=8,
                )
    return figure


def _bands(progress: TrialProgress) -> list[tuple[float, float]]:
    """Start and end of every phase; of no length where it is undefined."""
    last = float(progress.curves["step"].max())
    ends = [min(end, last) if np.isfinite(end) else np.nan for end in progress.phases]
    starts = [_FIRST_STEP, *ends[:-1]]
    return [
        (start, end) if np.isfinite(start) and np.isfinite(end) else (_FIRST_STEP, _FIRST_STEP)
        for start, end in zip(starts, ends, strict=True)
    ]


def _line(axes: Axes, table: pd.DataFrame, name: str, label: str, colour: str, marker: str = "") -> None:
    known = table[table[name].notna()]
    steps = np.maximum(known["step"].to_numpy(dtype=float), _FIRST_STEP)
    values = known[name].to_numpy(dtype=float)
    axes.plot(steps, values, color=colour, label=label, linewidth=1.5, marker=marker, markersize=3)


def _dress(axes: Axes, progress: TrialProgress) -> None:
    for colour, (start, end) in zip(_BANDS, _bands(progress), strict=True):
        if end > start:
            axes.axvspan(start, end, color=colour, linewidth=0, zorder=0)
    for time, colour in ((progress.t_mem, TRAIN), (progress.t_gen, TEST)):
        if np.isfinite(time):
            axes.axvline(max(time, _FIRST_STEP), color=colour, linewidth=0.8, linestyle=(0, (3, 3)))
    axes.legend(frameon=False, fontsize=8, loc="best")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
