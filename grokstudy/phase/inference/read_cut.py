"""Line cuts of a stored study, read under any threshold, rule and T."""

from __future__ import annotations

import duckdb
import numpy as np
import pandas as pd

from grokstudy.phase import columns
from grokstudy.phase.inference.line_cut import LineCut, PerTrial
from grokstudy.phase.inference.query import FitQuery
from grokstudy.phase.inference.trials import setting, trial_columns
from grokstudy.phase.inference.words import fixed_words
from grokstudy.phase.query import PhaseQuery, readings
from grokstudy.phase.rule import RULE_COLUMNS
from grokstudy.spec.errors import BadInput

DEFAULT_VALUE = "test_acc"


def read_cut(connection: duckdb.DuckDBPyConnection, query: FitQuery, what: str) -> LineCut:
    """The cut that the query of `fit WHAT` asks for. Without `value` it is the test accuracy at T.

    Raises:
        BadInput: as `value_table` and `line_cut`; or not one x.
    """
    return line_cut(value_table(connection, query, one_x(what, query), query.size), query)


def value_table(connection: duckdb.DuckDBPyConnection, query: FitQuery, x: str, y: str | None) -> pd.DataFrame:
    """`readings` with the query's value, cluster and p of every trial.

    A column of curves is read, without `at`, at the last evaluation up to T; trials that diverged or were stopped
    before T have none.

    Raises:
        BadInput: x and y are one setting, the value is a label, and as `readings`.
    """
    value = query.value or DEFAULT_VALUE
    _refuse(connection, query, x, y)
    on_curve = value in RULE_COLUMNS and query.at is None
    table = with_equal_settings(readings(connection, phase_query(query, x, y, "p_gen" if on_curve else value)))
    if on_curve:
        known = table["determined"] & (table["outcome"].astype(str) != "diverged")
        table["value"] = last_by(connection, table["trial_id"], value, int(table.attrs["budget"])).where(known)
    whole = table.join(_facts(connection, query.cluster), on="trial_id")
    whole.attrs = {**table.attrs, "value": value}
    return whole


def with_equal_settings(table: pd.DataFrame) -> pd.DataFrame:
    """The readings themselves, if all trials have the fixed settings.

    Raises:
        BadInput: a setting that was chosen from an interval is fixed; no two trials share a value of it.
    """
    for path, value in table.attrs.get("slices", {}).items():
        raise BadInput(
            f"fix {path}: its values were chosen from an interval, so no trials are equal in it and seeds cannot be "
            f"told from it. Run a study with {path}={value:g} for this question, or use `grokstudy phases`."
        )
    return table


def line_cut(table: pd.DataFrame, query: FitQuery) -> LineCut:
    """The trials of a value table that have the value, in its order; y, where there is one, is the size.

    Raises:
        BadInput: x or size is no number, or no trial has the value.
    """
    told = table.attrs
    known = table["value"].notna()
    if not known.any():
        diverged = int((table["outcome"].astype(str) == "diverged").sum())
        raise BadInput(
            f"value: none of {len(table)} trials has {told['value']} at T = {told['budget']} ({diverged} diverged); "
            "`grokstudy trials STUDY` shows what they have."
        )
    cut = table[known]
    return LineCut(
        x=_numbers("x", told["x"], cut["x"]),
        size=np.zeros(len(cut)) if told["y"] is None else _numbers("size", told["y"], cut["y"]),
        value=cut["value"].to_numpy(dtype=float),
        cluster=cut["cluster"].to_numpy(),
        sites=cut["p"].to_numpy(dtype=float) ** 2,
        x_name=told["x"],
        size_name=told["y"],
        value_name=told["value"],
        study=told["study"],
        budget=int(told["budget"]),
        left_out=int((~known).sum()),
        cluster_name=query.cluster,
        context=f"{fixed_words(query)}{'' if query.at is None else f', read at {query.at}'}",
    )


def phase_query(query: FitQuery, x: str, y: str | None = None, value: str = "p_gen") -> PhaseQuery:
    """The thresholds of a fit as those of a diagram."""
    return PhaseQuery(
        x=x,
        y=y,
        value=value,
        fix=query.fix,
        tau=query.tau,
        ratio=query.ratio,
        budget=query.budget,
        rule=query.rule,
        at=query.at,
        confidence=query.confidence,
    )


def one_x(what: str, query: FitQuery) -> str:
    """The single setting along which a cut runs. Raises BadInput for none or several."""
    if len(query.x) != 1:
        raise BadInput(
            f"x: `fit {what}` runs along one setting, got {', '.join(query.x) or 'none'}; give --x SETTING once and "
            "hold the others with --fix."
        )
    return query.x[0]


def last_by(connection: duckdb.DuckDBPyConnection, trial_ids: pd.Series, column: str, steps: int) -> pd.Series:
    """The column of every trial's curve at its last evaluation up to a step, in the order of `trial_ids`."""
    found = connection.execute(
        f"SELECT trial_id, arg_max({columns.quoted(column)}, step)::DOUBLE AS value FROM curves WHERE step <= ? "
        "GROUP BY trial_id",
        [steps],
    ).df()
    return trial_ids.map(found.set_index("trial_id")["value"]).astype(float)


def _facts(connection: duckdb.DuckDBPyConnection, cluster: str) -> pd.DataFrame:
    """Cluster and p (1 without one) of every trial, by trial_id."""
    names = columns.columns_of(connection, "trials")
    column = columns.quoted(columns.resolve("cluster", cluster, names))
    p = columns.quoted("task.p") if "task.p" in names else "1"
    frame = connection.sql(f"SELECT trial_id, {column} AS cluster, coalesce({p}, 1)::DOUBLE AS p FROM trials").df()
    indexed: pd.DataFrame = frame.set_index("trial_id")
    return indexed


def _refuse(connection: duckdb.DuckDBPyConnection, query: FitQuery, x: str, y: str | None) -> None:
    """Raises BadInput for what would be refused later in the words of a diagram, or not at all."""
    names = trial_columns(connection)
    if y is not None and setting("x", x, names) == setting("size", y, names):
        raise BadInput(f"x: got {x}, must differ from {y}; name the setting along which the cut runs.")
    setting("cluster", query.cluster, names)
    if query.value == "outcome":
        raise BadInput("value: outcome is a label, no number; ask for a share, e.g. --value p_grokking.")


def _numbers(key: str, path: str, column: pd.Series) -> PerTrial:
    if not columns.is_numeric(column):
        raise BadInput(f"{key}: {path} is not a number ({columns.shown(column)}); a cut runs along numbers.")
    return np.asarray(column, dtype=float)
