"""Every curve of a cell: in a cell where half of the seeds grok a median describes none of them."""

from __future__ import annotations

import dataclasses
from typing import Any

import duckdb
import numpy as np
import pandas as pd
from jaxtyping import Float32, Int, Int32

from grokstudy.phase.cell import one_of
from grokstudy.phase.evenly import evenly

MOST_CURVES = 200
"""Trials drawn of a cell; of more, this many, evenly by outcome and t_gen."""
MOST_POINTS = 400
"""Points of a curve; of more, the lowest and highest test loss of as many log-spaced stretches."""
_AROUND = 10
"""Evaluations on either side of t_mem and t_gen that are always kept."""
_COLUMNS = ("train_loss", "test_loss", "train_acc", "test_acc")


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class TrialCurve:
    """One trial with what is drawn of it. Arrays are NaN where the value is NULL."""

    trial_id: str
    seed: int
    outcome: str
    t_mem: float
    """Steps; NaN if not seen by T."""
    t_gen: float
    step: Int32[np.ndarray, " points"]
    train_loss: Float32[np.ndarray, " points"]
    test_loss: Float32[np.ndarray, " points"]
    train_acc: Float32[np.ndarray, " points"]
    test_acc: Float32[np.ndarray, " points"]


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class CellCurves:
    """The curves of a cell, with its count as a title."""

    cell: str
    title: str
    note: str
    curves: tuple[TrialCurve, ...]
    """Trials without any evaluation are left out."""


def cell_curves(
    connection: duckdb.DuckDBPyConnection, trials: pd.DataFrame, most: int = MOST_CURVES, points: int = MOST_POINTS
) -> CellCurves:
    """The curves of the trials of a cell, as `cell_trials` returns them, read for these trials alone.

    Args:
        most: trials drawn; see `MOST_CURVES`.
        points: of each curve; see `MOST_POINTS`.
    """
    shown = trials.sort_values(["outcome", "t_gen", "trial_id"], ignore_index=True).iloc[evenly(len(trials), most)]
    columns = ", ".join(f"{name}::FLOAT AS {name}" for name in _COLUMNS)
    table = connection.execute(
        f"SELECT trial_id, step::INTEGER AS step, {columns} FROM curves WHERE {one_of(shown['trial_id'])} "
        "ORDER BY trial_id, step"
    ).df()
    curves = {str(trial_id): curve for trial_id, curve in table.groupby("trial_id", sort=False)}
    drawn = tuple(
        _curve(trial, curves[trial.trial_id], points) for trial in shown.itertuples() if trial.trial_id in curves
    )
    thinned = any(len(curve) > points for curve in curves.values())
    note = _note(trials, len(shown), len(drawn), thinned)
    return CellCurves(cell=trials.attrs["cell"], title=_title(trials), note=note, curves=drawn)


def kept_points(
    step: Int[np.ndarray, " evaluations"],
    loss: Float32[np.ndarray, " evaluations"],
    times: tuple[float, ...],
    points: int,
) -> Int[np.ndarray, " points"]:
    """Indices of the evaluations that are drawn, rising; all of them if there are at most `points`.

    Of each of points / 2 log-spaced stretches the lowest and the highest loss, so that a short spike is never thinned
    away; the first and the last evaluation; and those next to every time.
    """
    count = len(step)
    if count <= points:
        return np.arange(count)
    log = np.log(np.maximum(step, 1))
    stretch = np.minimum((log - log[0]) / (log[-1] - log[0]) * (points // 2), points // 2 - 1).astype(int)
    order = np.lexsort((loss, stretch))
    starts = np.flatnonzero(np.diff(stretch[order], prepend=-1))
    ends = np.append(starts[1:], count) - 1
    near = [np.arange(at - _AROUND, at + _AROUND + 1) for at in np.searchsorted(step, [t for t in times if t == t])]
    kept = np.concatenate([[0, count - 1], order[starts], order[ends], *near])
    return np.unique(np.clip(kept, 0, count - 1))


def _curve(trial: Any, table: pd.DataFrame, points: int) -> TrialCurve:
    t_mem, t_gen = float(trial.t_mem), float(trial.t_gen)
    kept = kept_points(table["step"].to_numpy(), table["test_loss"].to_numpy(), (t_mem, t_gen), points)
    return TrialCurve(
        trial_id=str(trial.trial_id),
        seed=int(trial.seed),
        outcome=str(trial.outcome),
        t_mem=t_mem,
        t_gen=t_gen,
        step=table["step"].to_numpy(dtype=np.int32)[kept],
        **{name: table[name].to_numpy(dtype=np.float32)[kept] for name in _COLUMNS},
    )


def _title(trials: pd.DataFrame) -> str:
    """`23/50 generalised by T`: the diagram's p_gen as a count, with the same denominator."""
    known = trials[trials["determined"]]
    undetermined = len(trials) - len(known)
    rest = f", {undetermined} undetermined" if undetermined else ""
    count = f"{int(known['t_gen'].notna().sum())}/{len(known)} generalised by T = {trials.attrs['budget']:,}{rest}"
    return count if len(trials) else "no trial yet"


def _note(trials: pd.DataFrame, shown: int, drawn: int, thinned: bool) -> str:
    parts = [f"generalised: {trials.attrs['rule'] or 'test accuracy ≥ ' + format(trials.attrs['tau'], 'g')}"]
    if shown < len(trials):
        parts.append(f"{shown} of {len(trials):,} trials shown, evenly by outcome and t_gen")
    if drawn < shown:
        parts.append(f"{shown - drawn} without curves")
    if thinned:
        parts.append("long curves thinned, spikes kept")
    return "   ·   ".join(parts)
