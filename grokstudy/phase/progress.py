"""Hidden progress: what measures say of a trial before its test accuracy does, and whether they foretell t_gen."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import duckdb
import numpy as np
import pandas as pd
import scipy.stats
from jaxtyping import Float

from grokstudy.phase.columns import columns_of, quoted
from grokstudy.spec.errors import BadInput, unknown

PHASES = ("phase.memorization_end", "phase.circuit_formation_end", "phase.cleanup_end")
LEAST_TRIALS = 5
"""A rank correlation of fewer trials is not worth a number."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class TrialProgress:
    """Curves and measures of one trial, each over its own steps; NaN where a measure is NULL."""

    trial_id: str
    t_mem: float
    t_gen: float
    """Steps; NaN if not seen."""
    phases: tuple[float, float, float]
    """Ends of memorization, circuit formation and cleanup; NaN if undefined."""
    curves: pd.DataFrame
    """step, train_loss, test_loss, train_acc, test_acc, sum_sq_weights."""
    measures: pd.DataFrame
    """step, then a column per measure."""


def trial_progress(connection: duckdb.DuckDBPyConnection, prefix: str | None) -> TrialProgress:
    """The trial whose id begins with `prefix`, or the one in the middle by t_gen among the measured ones.

    Raises:
        BadInput: nothing was measured yet, or no (or more than one) such trial.
    """
    if not columns_of(connection, "measures"):
        raise BadInput("nothing was measured yet; run `grokstudy measure STUDY --checkpoints all` first.")
    trials = connection.execute(
        "SELECT trial_id, t_mem::DOUBLE AS t_mem, t_gen::DOUBLE AS t_gen FROM trials "
        "WHERE trial_id IN (SELECT DISTINCT trial_id FROM measures) ORDER BY t_gen, trial_id"
    ).df()
    if trials.empty:
        raise BadInput("nothing was measured yet; run `grokstudy measure STUDY --checkpoints all` first.")
    chosen = _chosen(trials, prefix)
    measures = connection.execute("SELECT * FROM measures WHERE trial_id = ? ORDER BY step", [chosen["trial_id"]]).df()
    names = ("step", "train_loss", "test_loss", "train_acc", "test_acc", "sum_sq_weights")
    columns = ", ".join(f"{name}::DOUBLE AS {name}" for name in names)
    return TrialProgress(
        trial_id=chosen["trial_id"],
        t_mem=float(chosen["t_mem"]),
        t_gen=float(chosen["t_gen"]),
        phases=(_last(measures, PHASES[0]), _last(measures, PHASES[1]), _last(measures, PHASES[2])),
        curves=connection.execute(
            f"SELECT {columns} FROM curves WHERE trial_id = ? ORDER BY step", [chosen["trial_id"]]
        ).df(),
        measures=measures.drop(columns="trial_id").apply(pd.to_numeric, errors="coerce"),
    )


def foretelling(connection: duckdb.DuckDBPyConnection, at: int) -> pd.DataFrame:
    """How every measure at step `at` ranks the trials that generalise later: Spearman's rho with log t_gen.

    One row per measure, strongest first: measure, rho, p_value (two-sided, exact for few trials), n. Trials that had
    generalised by `at` or never did are left out, so nothing is foretold that is already there; trials may differ in
    their settings too: a rho then says how the measure orders settings and seeds together.

    Raises:
        BadInput: nothing was measured at this step, or fewer than `LEAST_TRIALS` trials generalise after it.
    """
    if not columns_of(connection, "measures"):
        raise BadInput("nothing was measured yet; run `grokstudy measure STUDY --checkpoints all` first.")
    steps = [row[0] for row in connection.execute("SELECT DISTINCT step FROM measures ORDER BY step").fetchall()]
    if at not in steps:
        near = sorted(sorted(steps, key=lambda step: abs(step - at))[:6])
        raise BadInput(f"--at: got {at}, nothing is measured there; the nearest measured steps are {_shown(near)}.")
    names = [name for name in columns_of(connection, "measures") if name not in ("trial_id", "step", *PHASES)]
    chosen = ", ".join(f"m.{quoted(name)}" for name in names)
    table = connection.execute(
        f"SELECT t.t_gen::DOUBLE AS t_gen, {chosen} FROM measures m JOIN trials t USING (trial_id) "
        "WHERE m.step = ? AND t.t_gen > m.step ORDER BY trial_id",
        [at],
    ).df()
    if len(table) < LEAST_TRIALS:
        raise BadInput(
            f"--at: {_trials(len(table))} after step {at}; a rank correlation needs at least "
            f"{LEAST_TRIALS}. {_remedy(connection)}"
        )
    rows = [
        (name, *_rank(pd.to_numeric(table[name], errors="coerce").to_numpy(dtype=float), table["t_gen"].to_numpy()))
        for name in names
    ]
    frame = pd.DataFrame(rows, columns=["measure", "rho", "p_value", "n"])
    return frame[frame["n"] >= LEAST_TRIALS].sort_values("rho", key=abs, ascending=False, ignore_index=True)


def _remedy(connection: duckdb.DuckDBPyConnection) -> str:
    """The steps after which enough measured trials generalise, or that there are none."""
    enough = connection.execute(
        "SELECT m.step FROM measures m JOIN trials t USING (trial_id) WHERE t.t_gen > m.step "
        "GROUP BY m.step HAVING count(*) >= ? ORDER BY m.step",
        [LEAST_TRIALS],
    ).fetchall()
    if enough:
        return f"Enough do after {_shown([step for (step,) in enough])}."
    return "No measured step has so many: run more seeds and measure them with --checkpoints all."


def _trials(count: int) -> str:
    return "1 measured trial generalises" if count == 1 else f"{count or 'no'} measured trials generalise"


def _rank(values: Float[np.ndarray, " trials"], t_gen: Float[np.ndarray, " trials"]) -> tuple[float, float, int]:
    known = np.isfinite(values)
    count = int(known.sum())
    if count < LEAST_TRIALS or np.ptp(values[known]) == 0 or np.ptp(t_gen[known]) == 0:
        return np.nan, np.nan, 0
    found = scipy.stats.spearmanr(values[known], t_gen[known])
    return float(found.statistic), float(found.pvalue), count


def _chosen(trials: pd.DataFrame, prefix: str | None) -> pd.Series:
    if prefix is None:
        generalised = trials[trials["t_gen"].notna()]
        pool = generalised if len(generalised) else trials
        return pool.iloc[len(pool) // 2]
    found = trials[trials["trial_id"].str.startswith(prefix)]
    if found.empty:
        raise unknown("--trial", prefix, trials["trial_id"], "It must be the beginning of a measured trial's id.")
    if len(found) > 1:
        raise BadInput(f"--trial: '{prefix}' begins {len(found)} ids: {_shown(found['trial_id'].tolist())}.")
    return found.iloc[0]


def _last(measures: pd.DataFrame, name: str) -> float:
    known = measures[name].dropna() if name in measures else pd.Series(dtype=float)
    return float(known.iloc[-1]) if len(known) else float("nan")


def _shown(values: Sequence[object]) -> str:
    text = ", ".join(map(str, values[:12]))
    return text if len(values) <= 12 else f"{text}, ... ({len(values)})"
