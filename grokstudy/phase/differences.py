"""What differs between the settings of two trials, or of the trials of two cells; the rest is only counted."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import duckdb
import pandas as pd

from grokstudy.phase.cell import one_of
from grokstudy.phase.columns import columns_of, config_paths, quoted, shown
from grokstudy.phase.varied import SEEDS
from grokstudy.spec.errors import BadInput

_CONDITIONS = ("budget", "numerics")
"""No settings, but they explain differences: how long, and on what."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One setting whose values differ."""

    path: str
    a: str
    """Its value on side A; all its values, as a list, where the trials of a cell have several."""
    b: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """Only what differs, settings first, then seeds and conditions."""

    rows: tuple[Difference, ...]
    same: int
    """Settings that are the same everywhere."""
    n_a: int
    n_b: int


def differences(connection: duckdb.DuckDBPyConnection, a: Sequence[str], b: Sequence[str]) -> Differences:
    """What differs between two sets of trials, given by their ids: a cell's, or one trial.

    A setting that takes several values within a side differs if the sets of values do: two cells over the same
    seeds have the same seeds.

    Raises:
        BadInput: a side without trials, or a trial that is not here.
    """
    names = columns_of(connection, "trials")
    paths = [*config_paths(names), *SEEDS, *_CONDITIONS]
    columns = ", ".join(map(quoted, paths))
    sides = [_side(connection, columns, key, ids) for key, ids in (("A", a), ("B", b))]
    rows = [
        Difference(path=path, a=shown(sides[0][path]), b=shown(sides[1][path]))
        for path in paths
        if _values(sides[0][path]) != _values(sides[1][path])
    ]
    return Differences(rows=tuple(rows), same=len(paths) - len(rows), n_a=len(sides[0]), n_b=len(sides[1]))


def _side(connection: duckdb.DuckDBPyConnection, columns: str, key: str, ids: Sequence[str]) -> pd.DataFrame:
    wanted = pd.Series(list(dict.fromkeys(ids)), dtype=object)
    if wanted.empty:
        raise BadInput(f"differences: side {key} has no trials; choose a cell or a trial that has.")
    table = connection.execute(f"SELECT trial_id, {columns} FROM trials WHERE {one_of(wanted)}").df()
    lost = set(wanted) - set(table["trial_id"])
    if lost:
        raise BadInput(f"differences: side {key} has '{min(lost)}', which is not the id of a trial of this study.")
    return table


def _values(column: pd.Series) -> frozenset[object]:
    """The set of values; NULL is one of them, whatever pandas made of it."""
    return frozenset(None if pd.isna(value) else value for value in column.tolist())
