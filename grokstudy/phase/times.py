"""Times of trials: stored ones, or read again from the curves under another threshold or rule; then cut at one T."""

from __future__ import annotations

import dataclasses

import duckdb
import numpy as np
import pandas as pd

from grokstudy.phase.columns import quoted
from grokstudy.phase.rule import Rule
from grokstudy.spec.errors import BadInput
from grokstudy.spec.outcome import RETENTION_FACTOR, Crossing, outcome, retention, sustained

UNDETERMINED = "undetermined"
"""Outcome of a trial that was not watched until T and did not generalise before."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CommonBudget:
    """The one T at which all trials of a diagram are compared."""

    steps: int
    source: str
    """Where it comes from, in words for the caption."""


def reread(connection: duckdb.DuckDBPyConnection, trial_ids: pd.Series, tau: float, rule: Rule | None) -> pd.DataFrame:
    """t_mem, t_gen and t_lose of the given trials from their curves: one row per trial that has a curve.

    A rule takes the place of `test_acc >= tau` in t_gen; t_mem is always the train accuracy's.
    """
    test = rule.column if rule else "test_acc"
    wanted = pd.DataFrame({"trial_id": trial_ids})
    connection.register("_wanted_trials", wanted)
    try:
        curves = connection.execute(
            f"SELECT trial_id, step, train_acc::DOUBLE AS train, {quoted(test)}::DOUBLE AS test "
            "FROM curves SEMI JOIN _wanted_trials USING (trial_id) ORDER BY trial_id, step"
        ).df()
    finally:
        connection.unregister("_wanted_trials")
    ids: list[str] = []
    times: list[tuple[float, float, float]] = []
    for trial_id, curve in curves.groupby("trial_id", sort=False):
        steps = curve["step"].to_numpy(dtype=np.int64)
        accuracy = curve["test"].to_numpy(dtype=float)
        generalised = rule.holds(accuracy) if rule else accuracy >= tau
        memorised = sustained(steps, curve["train"].to_numpy(dtype=float) >= tau)
        crossing = sustained(steps, generalised)
        _, lost = retention(steps, generalised, crossing.t if crossing else None)
        ids.append(str(trial_id))
        times.append((_start(memorised), _start(crossing), _float(lost)))
    return pd.DataFrame(times, columns=["t_mem", "t_gen", "t_lose"], index=pd.Index(ids, name="trial_id"), dtype=float)


def common_budget(trials: pd.DataFrame, asked: int | None) -> CommonBudget:
    """T: the budget asked for, or the smallest number of steps that any finished, not diverged trial was watched.

    A trial that ended early because it had generalised is decided until its budget, however few steps it ran.

    Raises:
        BadInput: no trial was watched as long as the budget asked for.
    """
    watched = _watched(trials)
    if asked is not None:
        if asked > watched.max():
            raise BadInput(
                f"budget: got {asked}, but the longest of these trials was watched for {int(watched.max())} steps; "
                "give a smaller one, or extend the study (run --steps)."
            )
        return CommonBudget(steps=asked, source="as asked")
    finished = watched[trials["status"].isin(["done", "ended_early"])]
    if len(finished):
        return CommonBudget(steps=int(finished.min()), source="fewest steps among finished trials")
    return CommonBudget(steps=max(int(watched.max()), 1), source="most steps so far: none finished without diverging")


def cut(trials: pd.DataFrame, budget: CommonBudget, ratio: float) -> pd.DataFrame:
    """The trials as they stood at T: t_mem, t_gen, retention, outcome, censored_at, determined.

    What happened after T is not seen, divergence included. A diverged trial counts as watched until T without
    memorising or generalising. A trial stopped before T without t_gen, or without test rows, is `undetermined`.
    """
    end = budget.steps
    steps = trials["steps_run"].to_numpy(dtype=float)
    diverged_step = trials["diverged_step"].to_numpy(dtype=float)
    step_of_status = np.where((trials["status"] == "diverged").to_numpy(), steps, np.nan)
    diverged_step = np.where(np.isnan(diverged_step), step_of_status, diverged_step)
    diverged = diverged_step <= end  # NaN: never
    t_mem, t_gen, t_lose = (trials[name].to_numpy(dtype=float) for name in ("t_mem", "t_gen", "t_lose"))
    t_mem = np.where(diverged | ~(t_mem <= end), np.nan, t_mem)
    t_gen = np.where(diverged | ~(t_gen <= end), np.nan, t_gen)
    tested = trials["test_loss"].notna().to_numpy()  # without test rows nothing is known of generalisation
    determined = diverged | ~np.isnan(t_gen) | ((steps >= end) & tested)
    labels = [
        outcome(_int(mem), _int(gen), diverged=bool(bad), ratio=ratio) if known else UNDETERMINED
        for mem, gen, bad, known in zip(t_mem, t_gen, diverged, determined, strict=True)
    ]
    kept = np.where(np.minimum(steps, end) >= RETENTION_FACTOR * t_gen, "kept", "unknown")
    return trials.assign(
        t_mem=t_mem,
        t_gen=t_gen,
        retention=np.where(~np.isnan(t_gen) & (t_lose <= end), "lost", kept),
        outcome=labels,
        censored_at=np.where(diverged | ~np.isnan(t_gen), end, np.minimum(steps, end)),
        determined=determined,
    )


def _watched(trials: pd.DataFrame) -> pd.Series:
    decided = (trials["status"] == "ended_early") & trials["t_gen"].notna()
    return trials["steps_run"].where(~decided, trials[["steps_run", "budget"]].max(axis=1))


def _start(crossing: Crossing | None) -> float:
    return float("nan") if crossing is None else float(crossing.t)


def _float(step: int | None) -> float:
    return float("nan") if step is None else float(step)


def _int(step: float) -> int | None:
    return None if np.isnan(step) else int(step)
