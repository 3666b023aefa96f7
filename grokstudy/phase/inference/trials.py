"""The trials behind a fit: settings, seeds, and between which two evaluations a time lies, under any tau, rule or T."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import duckdb
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from grokstudy.phase import columns, times
from grokstudy.phase.inference.intervals import Intervals
from grokstudy.phase.inference.query import FitQuery
from grokstudy.phase.inference.words import count, fixed_words
from grokstudy.phase.query import trial_table
from grokstudy.spec.errors import BadInput
from grokstudy.spec.outcome import HOLD, TAU


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class TrialTimes:
    """Trials of a study with the time of one event. Rows are in the order of trial ids."""

    settings: pd.DataFrame
    """One column per x of the query, by its full name, in the order asked for."""
    seen: Intervals
    """Steps; a time that was not seen has no upper end."""
    cluster: Float[np.ndarray, " trials"]
    """Number of the group of trials that share the clustering column."""
    diverged: Bool[np.ndarray, " trials"]
    study: str
    budget: times.CommonBudget
    left_out: int
    """Trials without test rows: nothing is known of when they generalise."""
    query: FitQuery

    def __len__(self) -> int:
        return len(self.settings)

    @property
    def clusters(self) -> int:
        return len(np.unique(self.cluster))

    def take(self, rows: Bool[np.ndarray, " trials"]) -> TrialTimes:
        """Some of the trials."""
        return dataclasses.replace(
            self,
            settings=self.settings[rows].reset_index(drop=True),
            seen=self.seen.take(rows),
            cluster=self.cluster[rows],
            diverged=self.diverged[rows],
        )

    def sentences(self) -> tuple[str, ...]:
        """Trials, censoring and thresholds, as every fit of times must state them."""
        query, n, seen = self.query, len(self), int(self.seen.happened.sum())
        rule = query.rule if query.rule and query.event == "t_gen" else f"accuracy >= {query.tau:g}"
        others = f"{seen:,}, and the other {n - seen:,} are right-censored, neither dropped nor set to T"
        told = [
            f"{count(n, 'trial')} of {self.study}{fixed_words(query)}; {query.event} was seen in "
            f"{others if seen < n else 'all of them'}.",
            f"{query.event}: {rule}; T = {self.budget.steps:,} steps ({self.budget.source}). A crossing counts after "
            f"it has held for a fifth of its time, so a trial of S steps is censored at S / {HOLD:g}, at most at T.",
        ]
        if diverged := int(self.diverged.sum()):
            told.append(f"Diverged: {count(diverged, 'trial')}, taken as watched until T without getting there.")
        if self.left_out:
            told.append(f"Left out: {count(self.left_out, 'trial')} without test rows, or not watched at all.")
        return tuple(told)


def read_trials(connection: duckdb.DuckDBPyConnection, query: FitQuery) -> TrialTimes:
    """The trials that the query is about, their times read again from the curves where tau or a rule asks for it.

    Raises:
        BadInput: no trials, an unknown name, no x, a result given as x, a varying setting that is neither an x nor
            fixed, or a budget that no trial reached.
    """
    names = trial_columns(connection)
    if not query.x:
        raise BadInput(
            "x: name at least one setting that the time may depend on, e.g. --x regularization.weight_decay."
        )
    paths = tuple(setting("x", given, names) for given in query.x)
    if len(set(paths)) < len(paths):
        raise BadInput(f"x: the settings must differ, got {', '.join(paths)}.")
    fix = tuple((columns.resolve("fix", column, names), value) for column, value in query.fix)
    table = columns.fixed(trial_table(connection, names), fix).reset_index(drop=True)
    columns.refuse_silent_average(table, paths, [column for column, _ in fix])
    if query.tau != TAU or query.rule is not None:
        again = times.reread(connection, table["trial_id"], query.tau, query.parsed_rule())
        table = table.drop(columns=list(again.columns)).join(again, on="trial_id")
    budget = times.common_budget(table, query.budget)
    found = times.cut(table, budget, query.ratio)
    seen = _intervals(connection, found, query, budget.steps)
    known = seen.low < seen.high
    cluster = setting("cluster", query.cluster, names)
    whole = TrialTimes(
        settings=found[list(paths)],
        seen=seen,
        cluster=pd.factorize(found[cluster])[0].astype(float),
        diverged=(found["outcome"] == "diverged").to_numpy(),
        study=", ".join(sorted(found["study"].astype(str).unique())),
        budget=budget,
        left_out=int((~known).sum()),
        query=query,
    )
    return whole.take(known)


def trial_columns(connection: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
    """Columns of the study's trials. Raises BadInput if it has none yet."""
    names = columns.columns_of(connection, "trials")
    if not columns.config_paths(names):
        raise BadInput("The study has no trials yet; run it, or wait for its first pack to finish.")
    return names


def setting(key: str, given: str, names: Sequence[str]) -> str:
    """The column that is meant. Raises BadInput for an unknown one, and for what came out of a training."""
    path = columns.resolve(key, given, names)
    if path in columns.BASE_COLUMNS and path not in columns.CONDITIONS:
        raise BadInput(f"{key}: '{path}' is a result of trials, no setting.")
    return path


def _intervals(connection: duckdb.DuckDBPyConnection, trials: pd.DataFrame, query: FitQuery, budget: int) -> Intervals:
    """Between which steps each trial's time lies; low = high where nothing is known."""
    time = trials[query.event].to_numpy(dtype=float)
    steps = trials["steps_run"].to_numpy(dtype=float)
    diverged = (trials["outcome"] == "diverged").to_numpy()
    until = np.where(diverged, budget, np.minimum(steps / HOLD, budget))
    tested = trials["test_loss"].notna().to_numpy() | (query.event == "t_mem") | diverged
    happened = ~np.isnan(time) & (time <= until * (1 + 1e-9))
    before = _evaluation_before(connection, trials["trial_id"], time)
    high = np.where(happened, np.maximum(time, 1.0), np.inf)
    low = np.where(happened, np.minimum(before, high * (1 - 1e-9)), until)
    blind = ~happened & ~tested
    return Intervals(low=np.where(blind, np.inf, low), high=high)


def _evaluation_before(
    connection: duckdb.DuckDBPyConnection, trial_ids: pd.Series, time: Float[np.ndarray, " trials"]
) -> Float[np.ndarray, " trials"]:
    """The last evaluated step before the time; 0 if there is none or no time."""
    wanted = pd.DataFrame({"trial_id": trial_ids, "number": np.arange(len(time)), "time": time}).dropna()
    connection.register("_wanted_before", wanted)
    try:
        found = connection.execute(
            "SELECT number, max(step) AS before FROM curves JOIN _wanted_before USING (trial_id) "
            "WHERE step < time GROUP BY number"
        ).df()
    finally:
        connection.unregister("_wanted_before")
    before = np.zeros(len(time))
    before[found["number"].to_numpy(dtype=np.int64)] = found["before"].to_numpy(dtype=float)
    return before
