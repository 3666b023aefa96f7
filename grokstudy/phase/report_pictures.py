"""Pictures of a report that no other place draws: survival curves, and example runs side by side."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grokstudy.phase.circuit_figures_data import FIRST_STEP, Axis, Line, Panel, Rule, on_log_axis
from grokstudy.phase.circuit_figures_data import Picture as FigurePicture
from grokstudy.phase.circuit_figures_matplotlib import drawn
from grokstudy.phase.figure_data import FigureData
from grokstudy.phase.figures_matplotlib import STYLE, draw_line, empty_figure, outcome_legend, title_and_note
from grokstudy.phase.palette import INK, PAPER, SHARE_SCALE, TEST, TRAIN
from grokstudy.phase.report_document import Picture
from grokstudy.phase.report_trials import ReportTrials
from grokstudy.phase.survival import survival_curve

DPI = 140
SCREEN = 86
"""CSS pixels per inch on a page: text of 9 points is as large as the small print."""
MOST_LINES = 8
MOST_PANELS = 6
MOST_WITH_BANDS = 3
"""Curves of one panel that have their bands drawn; more would hide each other."""
_ACROSS = 3
_PANEL_WIDTH, _PANEL_HEIGHT, _LEGEND = 3.6, 2.8, 1.5
"""Inches."""


def as_picture(figure: Figure, name: str, alt: str, caption: str = "") -> Picture:
    """The figure as PNG, sharp enough for a page and small enough to mail."""
    data = io.BytesIO()
    with mpl.rc_context(STYLE):
        figure.savefig(data, format="png", dpi=DPI, facecolor=PAPER, metadata={"Software": None})
    width = round(figure.get_figwidth() * SCREEN)
    return Picture(name=name, data=data.getvalue(), width=width, alt=alt, caption=caption)


def survival_figure(
    panels: Sequence[tuple[str, Sequence[tuple[str, ReportTrials]]]], end: float, title: str, levels: str | None
) -> Figure:
    """Share of trials that have generalised by each step (Kaplan-Meier), one curve per level, one panel per slice.

    Args:
        panels: title and, per curve, its name and its trials.
        end: T.
        title: of the figure.
        levels: the setting that curves differ in; None = there is one curve.
    """
    with mpl.rc_context(STYLE):
        figure, flat = _small_panels(len(panels))
        for axes, (name, curves) in zip(flat, panels, strict=True):
            _draw_survival(axes, curves, end)
            axes.set_title(name)
        handles, labels = flat[0].get_legend_handles_labels()
        if levels is not None:
            leaf = levels.rpartition(".")[2]
            place: Any = {"loc": "outside right upper", "alignment": "left"}
            figure.legend(handles, labels, title=leaf, title_fontsize=8, frameon=False, fontsize=8, **place)
        note = "Kaplan-Meier, censored at T; small bars: trials no longer watched. Diverged trials never generalise."
        title_and_note(figure, title, note)
    return figure


def intervals_figure(data: FigureData) -> Figure:
    """Small panels of a diagram without y: values with their intervals, every trial as a dot."""
    with mpl.rc_context(STYLE):
        figure, flat = _small_panels(len(data.panels))
        for axes, panel in zip(flat, data.panels, strict=True):
            draw_line(axes, data, panel)
            axes.set_title(panel.title, pad=16)  # above the numbers of trials
            axes.label_outer()
        outcome_legend(figure, data)
        title_and_note(figure, data.title, data.note)
    return figure


def _small_panels(count: int) -> tuple[Figure, list[Axes]]:
    """Panels with common axes in rows of three, and room for a legend beside them."""
    across = min(count, _ACROSS)
    down = -(-count // across)
    figure = empty_figure(_PANEL_WIDTH * across + _LEGEND, _PANEL_HEIGHT * down + 0.7)
    flat = list(figure.subplots(down, across, squeeze=False, sharex=True, sharey=True).flat)
    for axes in flat[count:]:
        axes.set_axis_off()
    return figure, flat[:count]


def _draw_survival(axes: Axes, curves: Sequence[tuple[str, ReportTrials]], end: float) -> None:
    colours = mpl.colormaps[SHARE_SCALE](np.linspace(0.0, 0.85, max(len(curves), 1))) if len(curves) > 1 else [INK]
    for colour, (name, trials) in zip(colours, curves, strict=True):
        watched = trials.table[["t_gen", "censored_at"]]
        watched.attrs["cell"] = name
        curve = survival_curve(watched, "t_gen")
        at = on_log_axis(curve.step)
        steps = np.r_[FIRST_STEP, at, end]
        shares = 1 - np.r_[1.0, curve.waiting, curve.waiting[-1]]
        axes.step(steps, shares, where="post", color=colour, linewidth=1.6, label=name)
        early = curve.censored < end
        marks = on_log_axis(curve.censored[early])
        axes.plot(marks, 1 - curve.censored_waiting[early], "|", color=colour, markersize=6)
        if len(curves) <= MOST_WITH_BANDS:
            axes.fill_between(at, 1 - curve.high, 1 - curve.low, step="post", color=colour, alpha=0.15, linewidth=0)
    axes.set(xscale="log", xlim=(FIRST_STEP, end), ylim=(-0.03, 1.03), xlabel="steps", ylabel="share generalised")
    axes.label_outer()
    axes.grid(color="#EDEDED", linewidth=0.6)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def examples_figure(examples: Sequence[tuple[str, pd.Series, pd.DataFrame]], title: str) -> Figure:
    """Accuracy above loss against log steps, a column per run; dashed lines at its t_mem and t_gen.

    Args:
        examples: name, row of `trials` (t_mem, t_gen) and curve (step, train_loss, test_loss, train_acc, test_acc).
    """
    accuracies = tuple(_example(name, row, curve, "acc") for name, row, curve in examples)
    losses = tuple(_example("", row, curve, "loss") for _, row, curve in examples)
    note = "orange: train; blue: test; dashed: t_mem (orange) and t_gen (blue); step 0 stands at the left edge."
    return drawn(
        FigurePicture(
            title=title, note=note, panels=(*accuracies, *losses), across=len(examples), width=3.7, height=2.2
        )
    )


def _example(title: str, row: pd.Series, curve: pd.DataFrame, what: str) -> Panel:
    steps = on_log_axis(curve["step"].to_numpy(dtype=float))
    lines = tuple(
        Line(x=steps, y=curve[f"{split}_{what}"].to_numpy(dtype=float), colour=colour)
        for split, colour in (("train", TRAIN), ("test", TEST))
    )
    times = ((float(row["t_mem"]), TRAIN), (float(row["t_gen"]), TEST))
    rules = tuple(Rule(at=max(time, FIRST_STEP), colour=colour) for time, colour in times if np.isfinite(time))
    positive = any((line.y > 0).any() for line in lines)
    scale = Axis(label="accuracy", low=-0.03, high=1.03) if what == "acc" else Axis(label="loss", log=positive)
    bottom = Axis(
        label="steps" if what == "loss" else "", log=True, low=FIRST_STEP, high=max(float(steps.max(initial=2)), 2)
    )
    return Panel(x=bottom, y=scale, marks=lines, title=title, rules=rules)
