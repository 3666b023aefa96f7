"""Checks against rows under any tau, R, T: effect, interval, verdict. Nothing is trained here."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from grokstudy.claims.estimates import Effect, estimated
from grokstudy.phase import times
from grokstudy.phase.columns import columns_of
from grokstudy.phase.query import FACTS, check_thresholds, trial_table
from grokstudy.phase.rule import parse_rule
from grokstudy.spec.claim import MAIN, ClaimCheck, ClaimRecord
from grokstudy.spec.errors import BadInput
from grokstudy.store.folder import StudyFolder
from grokstudy.store.sql_check import check
from grokstudy.store.views import VIEWS

Verdict = Literal["reproduced", "not reproduced", "undecided", "not run"]
_WORST: tuple[Verdict, ...] = ("reproduced", "undecided", "not reproduced")
_TIMES = ("t_mem", "t_gen", "t_lose", "delay_ratio", "retention", "outcome", "determined", "censored_at")
"""Columns of `trials` that are read again under the thresholds."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Thresholds:
    """What an outcome is read under: accuracy, ratio, steps, rule in place of the accuracy."""

    tau: float
    ratio: float
    budget: int | None = None
    rule: str | None = None

    def __post_init__(self) -> None:
        """Raises BadInput if one is outside its range, or the rule cannot be read."""
        check_thresholds(self.tau, self.ratio, self.budget)
        if self.rule is not None:
            parse_rule(self.rule)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A check and what came out."""

    check: ClaimCheck
    found: Effect

    @property
    def verdict(self) -> Verdict:
        """Reproduced if the whole interval is equivalent, not reproduced if none of it is."""
        low, high = self.check.equivalence
        if self.found.effect is None:
            return "undecided"
        ours = (_or(self.found.low, -np.inf), _or(self.found.high, np.inf))
        theirs = (_or(low, -np.inf), _or(high, np.inf))
        if theirs[0] <= ours[0] and ours[1] <= theirs[1]:
            return "reproduced"
        return "not reproduced" if ours[1] < theirs[0] or theirs[1] < ours[0] else "undecided"


def overall(judged: Sequence[Judged]) -> Verdict:
    """Of all checks, controls included: an effect that its control shows too is not shown.

    Not run if only controls have rows: trials of a study that claims share may say nothing about this one yet.
    """
    if all(one.found.units + one.found.unseen == 0 for one in judged if not one.check.control):
        return "not run"
    return max((one.verdict for one in judged), key=_WORST.index)


def judged_by(connection: duckdb.DuckDBPyConnection, record: ClaimRecord) -> tuple[Judged, ...]:
    """Every check of a claim, asked of a connection `with_arms`.

    Raises:
        BadInput: a SELECT cannot be answered, e.g. because an arm or a measure is missing.
    """
    return tuple(Judged(check=check, found=_found(connection, check)) for check in record.checks)


def _found(connection: duckdb.DuckDBPyConnection, check: ClaimCheck) -> Effect:
    rows = rows_of(connection, check.sql, check.name)
    return estimated(rows, check.estimate, rising=check.rising is not False).within(*check.within)


def rows_of(connection: duckdb.DuckDBPyConnection, sql: str, name: str) -> pd.DataFrame:
    """The rows of one SELECT of a claim, which reads the views and nothing else; sorted, so that equal rows give equal
    sums to the last bit.

    Raises:
        BadInput: it is something else, or fails; named after its check.
    """
    try:
        check(sql, VIEWS)
    except BadInput as error:
        raise BadInput(f"sql of '{name}': {error}") from error
    try:
        rows = connection.sql(sql).df()
    except (duckdb.ProgrammingError, duckdb.DataError) as error:  # what a reader of parts hits is tried again outside
        reason = str(error).partition("\n")[0]
        raise BadInput(f"sql of '{name}': {reason} Its arms must have been run and measured.") from error
    return rows.sort_values(list(rows.columns), ignore_index=True)


def with_arms(
    connection: duckdb.DuckDBPyConnection, folders: Mapping[str, StudyFolder], thresholds: Thresholds
) -> dict[str, int]:
    """Puts in the place of `trials` a view with a column `arm` and with times and outcomes under the thresholds.

    Returns T of every arm: the steps at which its trials are compared.

    Raises:
        BadInput: there are no trials, or the main study was not watched as long as asked for.
    """
    table = trial_table(connection, FACTS)
    arm = {folder.name: name for name, folder in folders.items()}
    read = {
        arm[str(study)]: _read(connection, own, thresholds, arm[str(study)]) for study, own in table.groupby("study")
    }
    if not read:
        raise BadInput("claim: there are no trials yet; `grokstudy claim run` makes them.")
    frame = pd.concat([own.trials for own in read.values()])
    frame["delay_ratio"] = times.delay_ratio(frame["t_mem"].to_numpy(), frame["t_gen"].to_numpy())
    frame["arm"] = frame["study"].map(arm)
    for name in ("retention", "outcome"):
        frame[name] = frame[name].astype(str)
    kept = frame[["trial_id", "study", "arm", *_TIMES]]
    connection.register("_claim_times", pa.Table.from_pandas(kept, preserve_index=False))
    schema = connection.execute("SELECT current_schema()").fetchall()[0][0]
    own = [name for name in columns_of(connection, "trials") if name not in _TIMES]
    columns = ", ".join(f'v."{name}"' for name in own)
    again = ", ".join(f"n.{name}" for name in ("arm", *_TIMES))
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW trials AS SELECT {columns}, {again} "
        f"FROM {schema}.trials v JOIN _claim_times n USING (trial_id, study)"
    )
    return {name: own.steps for name, own in read.items()}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Arm:
    """The trials of an arm as they stand at T."""

    trials: pd.DataFrame
    steps: int


def _read(connection: duckdb.DuckDBPyConnection, trials: pd.DataFrame, thresholds: Thresholds, arm: str) -> _Arm:
    """One study's trials as they stand at T; at its own end where an arm was planned shorter than the T asked for.

    A trial that was not watched until T is left out, whatever it had shown: to keep those that had generalised by then,
    or to count the others as never, would lean to one side. So is one that ended early by the study's tau and has not
    generalised by that of `thresholds`; it does not lower T for the others either.

    Raises:
        BadInput: the main study was not watched until T.
    """
    asked = thresholds.budget
    if asked is not None and arm != MAIN:
        asked = min(asked, int(trials["steps_run"].max()))
    rule = None if thresholds.rule is None else parse_rule(thresholds.rule)
    read = times.reread(connection, trials["trial_id"], thresholds.tau, rule)
    again = trials.drop(columns=list(read.columns)).merge(read, left_on="trial_id", right_index=True, how="left")
    open_end = (again["status"] == "ended_early") & again["t_gen"].isna()
    budget = times.common_budget(again if open_end.all() else again[~open_end], asked)
    over = (again["status"] == "diverged") | (times.watched_until(again) >= budget.steps)
    return _Arm(trials=times.cut(again[over], budget, thresholds.ratio), steps=budget.steps)


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value
