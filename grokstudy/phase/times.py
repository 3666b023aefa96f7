"""Times of trials: stored ones, or read again from the curves under another threshold or rule; then cut at one T."""

from __future__ import annotations

import dataclasses
from typing import TypeAlias

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Bool, Float, Int

from grokstudy.phase.columns import quoted
from grokstudy.phase.crossings import crossings
from grokstudy.phase.rule import Rule
from grokstudy.spec.errors import BadInput
from grokstudy.spec.outcome import LABELS, RETENTION_FACTOR

UNDETERMINED = "undetermined"
"""Outcome of a trial that was not watched until T and did not generalise before."""
OUTCOMES: tuple[str, ...] = (*LABELS, UNDETERMINED)
Times: TypeAlias = Float[np.ndarray, " trials"]
Truth: TypeAlias = Bool[np.ndarray, " trials"]
Rows: TypeAlias = Int[np.ndarray, " rows"]
_STEP_BITS = 40
"""Of a key that holds a trial's number and a step."""
_MOST_PIECES = 100_000
RETENTIONS = ("kept", "lost", "unknown")


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
    memorised = Rule(column="train_acc", comparison=">=", bound=tau)
    generalised = rule or Rule(column="test_acc", comparison=">=", bound=tau)
    ids = pd.unique(trial_ids)
    wanted = pa.table({"trial_id": pa.array(ids, pa.string()), "number": np.arange(len(ids), dtype=np.int32)})
    connection.register("_wanted_trials", wanted)
    try:
        # Both conditions are computed where the curves are read: little leaves DuckDB for each row.
        curves = connection.sql(
            f"SELECT number, step, {_holds(memorised)} + 2 * {_holds(generalised)} AS held "
            "FROM curves JOIN _wanted_trials USING (trial_id)"
        ).to_arrow_table()
    finally:
        connection.unregister("_wanted_trials")
    number, step, held = _rising(*(curves[name].to_numpy() for name in ("number", "step", "held")))
    found = [crossings(number, step, held & bit > 0, len(ids)) for bit in (1, 2)]
    times = {"t_mem": found[0].time, "t_gen": found[1].time, "t_lose": found[1].lost}
    read = np.unique(number)
    return pd.DataFrame({name: own[read] for name, own in times.items()}, index=pd.Index(ids[read], name="trial_id"))


def common_budget(trials: pd.DataFrame, asked: int | None) -> CommonBudget:
    """T: the budget asked for, or the smallest number of steps that any finished, not diverged trial was watched.

    A trial that ended early because it had generalised is decided until its budget, however few steps it ran.

    Raises:
        BadInput: no trial was watched as long as the budget asked for.
    """
    longest = watched_until(trials)
    if asked is not None:
        if asked > longest.max():
            raise BadInput(
                f"budget: got {asked}, but the longest of these trials was watched for {int(longest.max())} steps; "
                "give a smaller one, or extend the study (run --steps)."
            )
        return CommonBudget(steps=asked, source="as asked")
    finished = longest[trials["status"].isin(["done", "ended_early"])]
    if len(finished):
        return CommonBudget(steps=int(finished.min()), source="fewest steps among finished trials")
    return CommonBudget(steps=max(int(longest.max()), 1), source="most steps so far: none finished without diverging")


def cut(trials: pd.DataFrame, budget: CommonBudget, ratio: float) -> pd.DataFrame:
    """The trials as they stood at T: t_mem, t_gen, retention, outcome, censored_at, determined. Labels are categorical.

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
    return trials.assign(
        t_mem=t_mem,
        t_gen=t_gen,
        retention=_labels(_retention(t_gen, t_lose, np.minimum(steps, end), end), RETENTIONS),
        outcome=_labels(_outcome(t_mem, t_gen, diverged, determined, ratio), OUTCOMES),
        censored_at=np.where(diverged | ~np.isnan(t_gen), end, np.minimum(steps, end)),
        determined=determined,
    )


def _labels(codes: Int[np.ndarray, " trials"], names: tuple[str, ...]) -> pd.Categorical:
    """A column of labels that is stored as codes."""
    return pd.Categorical.from_codes(codes, pd.Index(names, dtype=object))


def _outcome(
    t_mem: Times, t_gen: Times, diverged: Truth, determined: Truth, ratio: float
) -> Int[np.ndarray, " trials"]:
    """`spec.outcome.outcome` of every trial, as an index into OUTCOMES."""
    memorised, generalised = ~np.isnan(t_mem), ~np.isnan(t_gen)
    name_of = [
        (~determined, UNDETERMINED),
        (diverged, "diverged"),
        (generalised & ~memorised, "inversion"),
        (generalised & (t_gen / np.maximum(t_mem, 1) >= ratio), "grokking"),
        (generalised, "comprehension"),
        (memorised, "memorization"),
    ]
    codes = [OUTCOMES.index(name) for _, name in name_of]
    return np.select([where for where, _ in name_of], codes, default=OUTCOMES.index("confusion"))


def _retention(t_gen: Times, t_lose: Times, watched: Times, end: int) -> Int[np.ndarray, " trials"]:
    """Index into RETENTIONS; NaN compares as false."""
    lost = ~np.isnan(t_gen) & (t_lose <= end)
    kept = watched >= RETENTION_FACTOR * t_gen
    return np.select([lost, kept], [RETENTIONS.index("lost"), RETENTIONS.index("kept")], RETENTIONS.index("unknown"))


def _holds(rule: Rule) -> str:
    """The rule as SQL, 0 or 1: not known never satisfies it."""
    column = quoted(rule.column)
    return f"coalesce({column} {rule.comparison} '{rule.bound!r}'::DOUBLE AND NOT isnan({column}), false)::UTINYINT"


def _rising(number: Rows, step: Rows, held: Rows) -> tuple[Rows, Rows, Rows]:
    """The rows by trial, then step. Mostly they come in long pieces that are in this order: whole pieces move fast."""
    key = number.astype(np.int64) << _STEP_BITS | step
    starts = np.r_[0, np.flatnonzero(key[1:] <= key[:-1]) + 1] if len(key) else np.zeros(0, dtype=np.int64)
    ends = np.r_[starts[1:], len(key)]
    if len(starts) <= 1:
        return number, step, held
    by_key = np.argsort(key[starts])
    apart = (key[starts[by_key[1:]]] > key[ends[by_key[:-1]] - 1]).all()
    if not apart or len(starts) > _MOST_PIECES:
        order = np.argsort(key, kind="stable")
        return number[order], step[order], held[order]
    pieces = [slice(starts[k], ends[k]) for k in by_key]
    return tuple(np.concatenate([column[piece] for piece in pieces]) for column in (number, step, held))  # type: ignore[return-value]


def delay_ratio(t_mem: Float[np.ndarray, " n"], t_gen: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """t_gen / t_mem in steps, a time of 0 counted as 1; NaN where either was not seen."""
    ratio: np.ndarray = np.maximum(t_gen, 1) / np.maximum(t_mem, 1)
    return ratio


def watched_until(trials: pd.DataFrame) -> pd.Series:
    """Steps until which each trial is known: its last, or its budget if it ended early because it had generalised."""
    decided = (trials["status"] == "ended_early") & trials["t_gen"].notna()
    if not decided.any():
        return trials["steps_run"]
    return trials["steps_run"].where(~decided, trials[["steps_run", "budget"]].max(axis=1))
