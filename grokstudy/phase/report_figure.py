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
from grokstudy.phase.log_ticks import log_ticks
from grokstudy.phase.overview import of_delays, of_outcomes
from grokstudy.phase.palette import PAPER, QUIET, TEST, TRAIN
from grokstudy.phase.posterior import is_posterior
from grokstudy.phase.posterior_matplotlib import report_posterior

_WIDTH, _HEIGHT = 12.6, 5.0


def report_figure(diagram: xr.Dataset) -> Figure:
    """Two panels (a row per facet): outcomes, one tile per trial; and median log10(t_gen / t_mem).

    In the right panel, cells in which more than half of the trials never generalised (or nothing did) are hatched.
    Without a y axis the right panel shows t_mem and t_gen of every trial against x. Over continuous axes the panels
    show a posterior and every trial over it.
    """
    if is_posterior(diagram):
        return report_posterior(diagram)
    outcomes, delays = figure_data(of_outcomes(diagram)), figure_data(of_delays(diagram))
    with mpl.rc_context(STYLE):
        figure = empty_figure(_WIDTH, _HEIGHT * len(delays.panels) if delays.y else 4.2)
        grid = figure.subplots(len(delays.panels), 2, squeeze=False)
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
    if not np.isfinite(seen).any():  # a log axis needs something to show
        axes.set_yticks([])
        axes.text(
            0.5, 0.5, "no trial memorised or generalised by T", transform=axes.transAxes, ha="center", color=QUIET
        )
        return
    low, high = max(float(np.nanmin(seen)), 1.0) / 1.2, max(float(np.nanmax(seen)), 1.0) * 1.2
    ticks = log_ticks(low, high)
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    axes.set_yticks([at for at, _ in ticks], [text for _, text in ticks])
    axes.set_yticks([], minor=True)
    axes.set_ylabel("steps (line: censored median)")
    axes.legend(frameon=False)


def _join(title: str, facet: str) -> str:
    return f"{title}  ({facet})" if facet else title
