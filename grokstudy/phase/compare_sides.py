"""The sides of a comparison: what is asked, the trials of a side, and what is known of their values at one T."""

from __future__ import annotations

import dataclasses

import duckdb
import numpy as np
import pandas as pd

from grokstudy.phase import columns, times
from grokstudy.phase.axis import is_log
from grokstudy.phase.categories import category_names
from grokstudy.phase.paired import Known, difference, exactly, seen_or_later
from grokstudy.phase.query import SHARES, PhaseQuery, trial_table, trial_values
from grokstudy.phase.rule import RULE_COLUMNS
from grokstudy.spec.axes import Value
from grokstudy.spec.errors import BadInput
from grokstudy.spec.outcome import HOLD, RATIO, TAU

TIMES = ("t_mem", "t_gen")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CompareQuery:
    """A comparison in words. Column names are full config paths or unique leaves; see PhaseQuery for the thresholds."""

    value: str = "t_gen"
    """t_mem, t_gen, log10_delay_ratio, a numeric column of trials or curves, or a measure."""
    by: tuple[str, ...] = ()
    """Settings with a strip for each value; without any, every setting that varies from pair to pair."""
    fix: tuple[tuple[str, Value], ...] = ()
    tau: float = TAU
    ratio: float = RATIO
    budget: int | None = None
    rule: str | None = None
    at: str | None = None
    confidence: float = 0.95

    def __post_init__(self) -> None:
        self.reading(self.at)
        if self.value in (*SHARES, "retention") or category_names(self.value):
            raise BadInput(
                f"value: '{self.value}' is no amount of one trial. Compare t_gen: its table counts the pairs of which "
                "only one side generalised."
            )

    def reading(self, at: str | None) -> PhaseQuery:
        """The same thresholds for reading values; checks them."""
        return PhaseQuery(
            x="seed",
            value=self.value,
            tau=self.tau,
            ratio=self.ratio,
            budget=self.budget,
            rule=self.rule,
            at=at,
            confidence=self.confidence,
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A study, or those of its trials that have one value of a setting."""

    name: str
    connection: duckdb.DuckDBPyConnection
    level: tuple[str, Value] | None = None


def trials_of(side: Side, query: CompareQuery) -> pd.DataFrame:
    """The side's trials with the times that the query asks for."""
    names = columns.columns_of(side.connection, "trials")
    table = trial_table(side.connection, names)
    if table.empty:
        raise BadInput(f"{side.name} has no trials yet; run it, or wait for its first pack to finish.")
    given = [*query.fix, *([side.level] if side.level else [])]
    table = columns.fixed(table, [(columns.resolve("fix", name, names), value) for name, value in given])
    if query.tau != TAU or query.rule is not None:
        again = times.reread(side.connection, table["trial_id"], query.tau, query.reading(None).parsed_rule())
        table = table.drop(columns=list(again.columns)).join(again, on="trial_id")
    return table.reset_index(drop=True)


def stated_place(query: CompareQuery, together: pd.DataFrame, connection: duckdb.DuckDBPyConnection) -> str | None:
    """Where measures and losses are read: as asked, or the end if that is one step on all sides."""
    read_somewhere = {*RULE_COLUMNS, *columns.columns_of(connection, "measures")}
    if query.at is not None or query.value not in read_somewhere:
        return query.at
    if together["steps_run"].nunique() == 1:
        return "end"
    raise BadInput(
        f"at: these trials ran for different numbers of steps, so '{query.value}' needs a stated place: --at end, "
        "--at t_gen, --at 2*t_gen or --at step:S."
    )


def known_values(side: Side, table: pd.DataFrame, asked: PhaseQuery, budget: times.CommonBudget) -> Known:
    """What is known of the value of every trial at T."""
    if asked.value in TIMES:
        return _known_time(table, asked.value, budget)
    if asked.value == "log10_delay_ratio":
        delay = difference(_known_time(table, "t_mem", budget), _known_time(table, "t_gen", budget))
        return Known(delay.low / np.log(10), delay.high / np.log(10))
    names = columns.columns_of(side.connection, "trials")
    return exactly(trial_values(side.connection, asked, table, names).to_numpy(dtype=float))


def _known_time(table: pd.DataFrame, name: str, budget: times.CommonBudget) -> Known:
    return seen_or_later(table[name].to_numpy(dtype=float), _waited(table, name, budget))


def _waited(table: pd.DataFrame, name: str, budget: times.CommonBudget) -> np.ndarray:
    """Steps until which a time that is not there is known not to have come; NaN if nothing is known.

    A crossing counts once it has held for a fifth of its time, so that one late in the curve may just not be confirmed:
    a trial of S steps says nothing about the last sixth. A diverged trial never gets there.
    """
    confirmed = np.floor(table["steps_run"].to_numpy(dtype=float) / HOLD)
    waited = np.minimum(confirmed, table["censored_at"].to_numpy(dtype=float))
    diverged = (table["outcome"] == "diverged").to_numpy()
    tested = table["test_loss"].notna().to_numpy() | (name == "t_mem")
    waited = np.where(diverged, float(budget.steps), np.where(tested, waited, np.nan))
    return np.asarray(waited, dtype=float)


def spans_decades(value: str, numbers: np.ndarray) -> bool:
    """Whether ratios say more than differences: positive amounts that span more than ten times."""
    return value != "log10_delay_ratio" and bool(len(numbers)) and bool((numbers > 0).all()) and is_log(numbers)


def logarithms(ends: np.ndarray) -> np.ndarray:
    """Logarithms of positive ends; infinite ends stay."""
    return np.where(np.isfinite(ends), np.log(np.where(np.isfinite(ends), ends, 1.0)), ends)
