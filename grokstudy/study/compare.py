"""Comparisons of stored studies: two studies with each other, or the values of one axis of a study."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import duckdb

from grokstudy.phase import columns
from grokstudy.phase.compare import Comparison, compare
from grokstudy.phase.compare_sides import CompareQuery, Side
from grokstudy.spec.axes import Value
from grokstudy.spec.errors import BadInput
from grokstudy.store.views import connect
from grokstudy.study.api import Study

MOST_LEVELS = 12


def compare_studies(baseline: Study, others: Sequence[Study], query: CompareQuery) -> tuple[Comparison, ...]:
    """Each of the other studies against the baseline, trial by trial at equal seeds.

    Raises:
        BadInput: see `grokstudy.phase.compare.compare`.
    """
    studies = [baseline, *others]
    if len({study.folder for study in studies}) < len(studies):
        raise BadInput(f"{baseline.name}: a study is not compared with itself; --axis SETTING compares its values.")
    names = [study.name for study in studies]
    if len(set(names)) < len(names):  # equal names under two roots
        names = [study.folder.where("")[:-1] for study in studies]
    with contextlib.ExitStack() as stack:
        sides = [
            Side(name=name, connection=stack.enter_context(connect([study.folder])))
            for name, study in zip(names, studies, strict=True)
        ]
        return compare(sides, query)


def compare_levels(study: Study, axis: str, query: CompareQuery, against: str | None = None) -> tuple[Comparison, ...]:
    """Every value of one axis of a study against its first one, or against the one named.

    Raises:
        BadInput: no such setting or value, fewer than two values, or as `compare_studies`.
    """
    with connect([study.folder]) as connection:
        path = columns.resolve("axis", axis, columns.columns_of(connection, "trials"))
        levels = _levels(connection, path, study)
        if against is not None:
            names = [columns.label(level) for level in levels]
            if against not in names:
                raise BadInput(f"against: {path} has no value '{against}' here; its values are {', '.join(names)}.")
            first = levels[names.index(against)]
            levels = [first, *(level for level in levels if level != first)]
        leaf = path.rpartition(".")[2]
        sides = [
            Side(name=f"{leaf}={columns.label(level)}", connection=connection, level=(path, level)) for level in levels
        ]
        return compare(sides, query)


def _levels(connection: duckdb.DuckDBPyConnection, path: str, study: Study) -> list[Value]:
    """Values of the axis that have trials: in the study's order, or sorted if the study does not vary it itself."""
    found = connection.execute(f"SELECT DISTINCT {columns.quoted(path)} FROM trials").fetchall()
    stored: list[Value] = [value for (value,) in found]
    if not 2 <= len(stored) <= MOST_LEVELS:
        shown = ", ".join(sorted(map(columns.label, stored))[:MOST_LEVELS])
        raise BadInput(f"axis: {path} has {len(stored)} values here ({shown}); 2 to {MOST_LEVELS} can be compared.")
    planned = [value for axis in study.spec.axes if axis.path == path for value in axis.values]
    rank = {columns.label(value): i for i, value in enumerate(planned)}
    return sorted(stored, key=lambda value: (rank.get(columns.label(value), len(rank)), str(value)))
