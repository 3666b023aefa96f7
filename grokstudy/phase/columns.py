"""Names of columns: what a user may write, which settings vary, and the refusal to average in silence."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence

import duckdb
import numpy as np
import pandas as pd

from grokstudy.phase.kept import Kept
from grokstudy.spec.axes import Value
from grokstudy.spec.errors import BadInput, unknown
from grokstudy.spec.rows import TrialRow

BASE_COLUMNS: tuple[str, ...] = tuple(f.name for f in dataclasses.fields(TrialRow) if f.name != "config")
"""Columns that every trial has besides its settings."""
CONDITIONS: tuple[str, ...] = (
    *("study", "seed", "seed_data", "seed_init", "seed_batch", "seed_noise", "lr_wd"),
    *("budget", "numerics", "status", "parent_trial", "parent_step"),
)
"""Those among them that may be axes: given before a training, or how it was run."""
DERIVED_COLUMNS: tuple[str, ...] = ("censored", "delay_ratio", "outcome")
"""Columns that the view computes."""
_LR_WD = ("optimizer.lr", "regularization.weight_decay")
_MOST_SHOWN = 8
_VARYING = Kept[tuple[str, ...]](len)


def quoted(name: str) -> str:
    """The name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def columns_of(connection: duckdb.DuckDBPyConnection, view: str) -> tuple[str, ...]:
    """Column names of a view; empty if the study has no such view (nothing was measured yet)."""
    try:
        return tuple(row[0] for row in connection.execute(f"DESCRIBE {quoted(view)}").fetchall())
    except duckdb.CatalogException:
        return ()


def config_paths(columns: Collection[str]) -> tuple[str, ...]:
    """The settings among the columns of `trials`: dotted paths, and undotted ones that are no leaf alias."""
    dotted = [name for name in columns if "." in name]
    other = {name.rpartition(".")[2] for name in dotted} | {*BASE_COLUMNS, *DERIVED_COLUMNS}
    return tuple(name for name in columns if "." in name or name not in other)


def resolve(key: str, given: str, columns: Collection[str]) -> str:
    """The column that `given` means: a column, a full config path or a unique leaf.

    Raises:
        BadInput: no such column, or several settings end in this leaf.
    """
    if given.startswith("seeds."):
        given = given.replace("seeds.", "seed_", 1)
    settings = config_paths(columns)
    if given in columns and (given in settings or given in BASE_COLUMNS):
        return given
    ends = [path for path in settings if path.rpartition(".")[2] == given]
    if len(ends) > 1:
        raise BadInput(f"{key}: '{given}' is the end of several settings; write one of: {', '.join(ends)}.")
    if not ends:
        known = {*settings, *(path.rpartition(".")[2] for path in settings), *BASE_COLUMNS} & set(columns)
        raise unknown(key, given, known)
    return ends[0]


def fixed(frame: pd.DataFrame, fix: Sequence[tuple[str, Value]]) -> pd.DataFrame:
    """The trials in which every column of `fix` (already resolved) has its value; floats to 12 significant digits.

    Raises:
        BadInput: no trial has the value; the message lists those that exist.
    """
    for column, value in fix:
        chosen = frame[_equal(frame[column], value)]
        if chosen.empty:
            raise BadInput(f"fix {column}: no trial has {value!r} here; its values are {shown(frame[column])}.")
        frame = chosen
    return frame


def varying(connection: duckdb.DuckDBPyConnection, view: str, names: Sequence[str]) -> tuple[str, ...]:
    """Those of the columns that have more than one value (NULL is one).

    One number is compared for each row first, as most settings of a study are equal in all of its trials.
    """
    question = f"{view}: {', '.join(map(quoted, names))}"
    return _VARYING.answer(connection, question, lambda: _varying(connection, view, names)) if names else ()


def _varying(connection: duckdb.DuckDBPyConnection, view: str, names: Sequence[str]) -> tuple[str, ...]:
    all_ = ", ".join(map(quoted, names))
    mixed = f"SELECT min(key) IS DISTINCT FROM max(key) FROM (SELECT hash({all_}) AS key FROM {view})"
    if not connection.execute(mixed).fetchall()[0][0]:
        return ()
    each = (f"min({c}) IS DISTINCT FROM max({c}) OR count({c}) NOT IN (0, count(*))" for c in map(quoted, names))
    found = connection.execute(f"SELECT {', '.join(each)} FROM {view}").fetchall()[0]
    return tuple(name for name, differs in zip(names, found, strict=True) if differs)


def refuse_silent_average(frame: pd.DataFrame, drawn: Collection[str], held: Collection[str]) -> None:
    """A setting that varies must be drawn, faceted or fixed, or follow from a drawn axis.

    It follows from an axis if every value of that axis has several trials and one value of the setting (the depth of
    a model when the axis is the model's name, a setting interpolated from another). Seeds are columns of their own
    and are what a cell averages over.

    Raises:
        BadInput: names the settings and their values.
    """
    covered = {*drawn, *held}
    if "lr_wd" in covered and covered & set(_LR_WD):
        covered |= set(_LR_WD)  # the product and one factor say the other
    loose = [
        path
        for path in config_paths(tuple(frame.columns))
        if path not in covered
        and frame[path].nunique(dropna=False) > 1
        and not any(_follows(frame, path, axis) for axis in drawn)
    ]
    if loose:
        told = "; ".join(f"{path} = {shown(frame[path])}" for path in loose)
        remedy = " ".join(f"--fix {path}={label(frame[path].iloc[0])}" for path in loose)
        raise BadInput(
            f"These settings vary but are neither drawn nor fixed: {told}. Averaging over them would hide their "
            f"effect: fix each ({remedy}), or draw one with --x, --y or --facet."
        )


def label(value: object) -> str:
    """A cell of a column as text: `null`, `true`, short numbers."""
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return "null"
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value)).lower()
    return f"{value:g}" if isinstance(value, (float, np.floating)) else str(value)


def shown(column: pd.Series) -> str:
    """The distinct values of a column as text, the first few of many."""
    values = sorted(column.drop_duplicates().tolist(), key=lambda value: (isinstance(value, str), str(value)))
    if all(isinstance(value, (int, float)) for value in values):
        values = sorted(values)
    text = ", ".join(label(value) for value in values[:_MOST_SHOWN])
    return text if len(values) <= _MOST_SHOWN else f"{text}, ... ({len(values)} values)"


def is_numeric(column: pd.Series) -> bool:
    """True for numbers; truth values are not."""
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _equal(column: pd.Series, value: Value) -> pd.Series:
    if value is None or value == "null":
        return column.isna()
    if is_numeric(column):
        try:
            wanted = float(value)
        except ValueError:
            return pd.Series(False, index=column.index)
        return pd.Series(np.isclose(column.to_numpy(dtype=float), wanted, rtol=1e-11, atol=0.0), index=column.index)
    codes, given = pd.factorize(column.astype(object), use_na_sentinel=False)
    return pd.Series(np.array([label(one) == label(value) for one in given], dtype=bool)[codes], index=column.index)


def _follows(frame: pd.DataFrame, path: str, axis: str) -> bool:
    groups = frame.groupby(axis, dropna=False)[path]
    return bool(groups.size().min() > 1 and groups.nunique(dropna=False).max() == 1)
