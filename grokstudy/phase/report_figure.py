"""The figure of a study's report: outcomes of every trial beside the delay between memorising and generalising."""

from __future__ import annotations

from pathlib import Path
from typing import IO

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grokstudy.phase.figure_data import FigureData, figure_data
from grokstudy.phase.figures_matplotlib import (
    STYLE,
    colour_bar,
    draw_heat,
    draw_mosaic,
    dress,
    empty_figure,
    outcome_legend,
    title_and_note,
    write_figure,
)
from grokstudy.phase.palette import PAPER, TEST, TRAIN

_WIDTH, _HEIGHT = 12.6, 5.0


def report_figure(diagram: xr.Dataset) -> Figure:
    """Two panels (a row per facet): outcomes, one tile per trial; and median log10(t_gen / t_mem).

    In the right panel, cells in which more than half of the trials never generalised (or nothing did) are hatched.
    Without a y axis the right panel shows t_mem and t_gen of every trial against x.
    """
    delays = figure_data(_with_delays(diagram))
    with mpl.rc_context(STYLE):
        figure = empty_figure(_WIDTH, _HEIGHT * len(delays.panels) if delays.y else 4.2)
        grid = figure.subplots(len(delays.panels), 2, squeeze=False)
        outcomes = figure_data(diagram.assign(value=diagram["n"].where(diagram["n"] + diagram["n_undetermined"] > 0)))
        for number, (left, right) in enumerate(grid):
            draw_mosaic(left, outcomes.x, outcomes.y, outcomes.panels[number])
            left.set_title(_join("Outcome of every trial", delays.panels[number].title))
            if delays.y is None:
                _draw_times(right, diagram, delays, number)
                right.set_title("Memorisation and generalisation times")
            else:
                draw_heat(right, delays, delays.panels[number], dots=False)
                right.set_title("Delay of generalisation")
        if delays.y is not None:
            bar = colour_bar(figure, delays, list(grid[:, 1]))
            threshold = float(np.log10(diagram.attrs["ratio"]))
            if delays.low < threshold < delays.high:  # above this line, generalisation is called grokking
                bar.ax.axhline(threshold, color=PAPER, linewidth=2.2)
        title_and_note(figure, diagram.attrs["study"], delays.note)
        outcome_legend(figure, delays, tiles=True, across_top=True)
    return figure


def save_report_png(diagram: xr.Dataset, target: Path | str | IO[bytes]) -> None:
    """Writes the report figure as PNG to a path or an open file."""
    write_figure(report_figure(diagram), target, "png")


def _with_delays(diagram: xr.Dataset) -> xr.Dataset:
    shown = diagram.assign(value=diagram["log10_delay_ratio"])
    return shown.assign_attrs({**diagram.attrs, "value": "log10_delay_ratio", "at": None})


def _draw_times(axes: Axes, diagram: xr.Dataset, data: FigureData, number: int) -> None:
    dress(axes, data.x, None)
    by_id = dict(zip(diagram["trial_id"].to_numpy(), range(diagram.sizes["trial"]), strict=True))
    rows = np.array([by_id[dot.trial_id] for dot in data.panels[number].dots], dtype=np.int64)
    places = np.array([dot.x for dot in data.panels[number].dots])
    for name, colour in (("t_mem", TRAIN), ("t_gen", TEST)):
        times = np.maximum(diagram[f"trial_{name}"].to_numpy()[rows], 1)
        axes.scatter(places, times, s=10, color=colour, alpha=0.6, linewidths=0)
        median = diagram[f"{name}_median"]
        if diagram.attrs["facet_dim"]:
            median = median.isel({diagram.attrs["facet_dim"]: number})
        axes.plot(data.x.centres, np.maximum(median.to_numpy(), 1), color=colour, marker="o", markersize=4, label=name)
    seen = np.concatenate([diagram[f"trial_{name}"].to_numpy() for name in ("t_mem", "t_gen")])
    if np.isfinite(seen).any():  # a log axis needs something to show
        axes.set_yscale("log")
    axes.set_ylabel("steps (line: censored median)")
    axes.legend(frameon=False)


def _join(title: str, facet: str) -> str:
    return f"{title}  ({facet})" if facet else title
