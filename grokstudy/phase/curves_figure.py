"""Curves of a few example trials: what memorisation, grokking and comprehension look like in this study."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import duckdb
import matplotlib as mpl
import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from grokstudy.phase.figures_matplotlib import STYLE, empty_figure
from grokstudy.phase.palette import OUTCOME_COLOURS, QUIET, TEST, TRAIN

_SHOWN = ("grokking", "comprehension", "memorization", "confusion", "inversion")
_WIDTH, _HEIGHT = 3.6, 4.4
_FIRST_STEP = 0.7
"""Where step 0 is drawn on the log axis."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class ExampleCurves:
    """Curves of one trial, with its outcome and times (steps; NaN if not seen)."""

    trial_id: str
    outcome: str
    t_mem: float
    t_gen: float
    step: Float[np.ndarray, " evaluations"]
    train_loss: Float[np.ndarray, " evaluations"]
    test_loss: Float[np.ndarray, " evaluations"]
    train_acc: Float[np.ndarray, " evaluations"]
    test_acc: Float[np.ndarray, " evaluations"]


def example_curves(connection: duckdb.DuckDBPyConnection, diagram: xr.Dataset, count: int = 3) -> list[ExampleCurves]:
    """One trial per outcome that occurs, the one in the middle by t_gen (then by id), most telling outcomes first."""
    trials = pd.DataFrame({name: diagram[f"trial_{name}"].to_numpy() for name in ("id", "outcome", "t_mem", "t_gen")})
    chosen: list[pd.Series] = []
    for name in _SHOWN:
        own = trials[trials["outcome"] == name].sort_values(["t_gen", "id"])
        if len(own) and len(chosen) < count:
            chosen.append(own.iloc[len(own) // 2])
    return [_curves(connection, trial) for trial in chosen]


def curves_figure(examples: Sequence[ExampleCurves]) -> Figure:
    """Accuracy above, loss below, against log steps; one column per trial, its t_mem and t_gen as lines."""
    with mpl.rc_context(STYLE):
        figure = empty_figure(_WIDTH * max(len(examples), 1), _HEIGHT)
        grid = figure.subplots(2, max(len(examples), 1), squeeze=False, sharex="col", sharey="row")
        for (accuracy, loss), example in zip(grid.T, examples, strict=False):
            _draw(accuracy, example, example.train_acc, example.test_acc)
            _draw(loss, example, example.train_loss, example.test_loss)
            loss.set_yscale("log")
            loss.set_xlabel("steps")
            colour = OUTCOME_COLOURS[example.outcome] if example.outcome != "confusion" else QUIET
            accuracy.set_title(f"{example.outcome}  {example.trial_id[:8]}", color=colour)
        grid[0, 0].set_ylabel("accuracy")
        grid[1, 0].set_ylabel("loss")
        if examples:
            grid[0, 0].legend(frameon=False, fontsize=8, loc="center left")
    return figure


def _curves(connection: duckdb.DuckDBPyConnection, trial: pd.Series) -> ExampleCurves:
    names = ("step", "train_loss", "test_loss", "train_acc", "test_acc")
    columns = ", ".join(f"{name}::DOUBLE AS {name}" for name in names)
    table = connection.execute(f"SELECT {columns} FROM curves WHERE trial_id = ? ORDER BY step", [trial["id"]]).df()
    return ExampleCurves(
        trial_id=trial["id"],
        outcome=trial["outcome"],
        t_mem=float(trial["t_mem"]),
        t_gen=float(trial["t_gen"]),
        **{name: table[name].to_numpy(dtype=float) for name in names},
    )


def _draw(axes: Axes, example: ExampleCurves, train: Float[np.ndarray, " n"], test: Float[np.ndarray, " n"]) -> None:
    steps = np.maximum(example.step, _FIRST_STEP)
    axes.plot(steps, train, color=TRAIN, linewidth=1.5, label="train")
    axes.plot(steps, test, color=TEST, linewidth=1.5, label="test")
    for time, colour in ((example.t_mem, TRAIN), (example.t_gen, TEST)):
        if np.isfinite(time):
            axes.axvline(max(time, _FIRST_STEP), color=colour, linewidth=0.8, linestyle=(0, (3, 3)))
    axes.set_xscale("log")
    axes.grid(color="#EDEDED", linewidth=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
