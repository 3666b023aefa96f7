"""Trials of a study folder for MLflow: which have changed is seen without reading them, curves are read in batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import duckdb
import numpy as np

from grokstudy.spec.rows import CURVE_COLUMNS, CurveRows, MeasureRow, MeasureValue, TrialRow
from grokstudy.store.folder import StudyFolder
from grokstudy.store.trial_rows import among, trial_rows
from grokstudy.store.views import asked
from grokstudy.tracking.content import CURVES
from grokstudy.tracking.source import TrialMark, TrialProjection

MARKS = """
    SELECT trial_id, status, steps_run, trials.written_at, coalesce(n, 0), coalesce(versions, 0)::BIGINT, newest
    FROM trials LEFT JOIN (
        SELECT trial_id, count(*) AS n, sum(version) AS versions, max(written_at) AS newest
        FROM measures_long WHERE value IS NOT NULL GROUP BY trial_id
    ) USING (trial_id)
    ORDER BY trials.written_at, trial_id
"""
FIELDS = [field.name for field in dataclasses.fields(TrialMark)]
UNREAD = [name for name in CURVE_COLUMNS if name not in ("trial_id", "step", *CURVES)]
"""Curves that MLflow does not get."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class FolderTrials:
    """The counting trials of a study folder, as they stand at every question."""

    folder: StudyFolder

    def marks(self) -> Sequence[TrialMark]:
        """Every trial, in the order in which they ended."""
        views = ("trials", "measures_long")
        found = asked([self.folder], lambda connection: connection.execute(MARKS).fetchall(), views)
        return [TrialMark(**dict(zip(FIELDS, row, strict=True))) for row in found]

    def rows(self, trial_ids: Sequence[str]) -> Sequence[TrialRow]:
        """The counting rows of these trials."""
        return asked([self.folder], lambda connection: trial_rows(connection, trial_ids), ("trials",))

    def read(self, trial_ids: Sequence[str]) -> Sequence[TrialProjection]:
        """These trials with their curves and their measures in the protocol that comes first."""
        views = ("trials", "curves", "measures_long")
        return asked([self.folder], lambda connection: _read(connection, trial_ids), views)


def _read(connection: duckdb.DuckDBPyConnection, trial_ids: Sequence[str]) -> list[TrialProjection]:
    curves, measures = _curves(connection, trial_ids), _measures(connection, trial_ids)
    rows = {row.trial_id: row for row in trial_rows(connection, trial_ids)}
    return [
        TrialProjection(row=rows[key], curve=curves.get(key), measures=measures.get(key, ()))
        for key in trial_ids
        if key in rows
    ]


def _curves(connection: duckdb.DuckDBPyConnection, trial_ids: Sequence[str]) -> dict[str, CurveRows]:
    wanted = ", ".join(("trial_id", "step", *CURVES))
    sql = f"SELECT {wanted} FROM curves WHERE {among(trial_ids)} ORDER BY trial_id, step"
    table = connection.execute(sql).fetchnumpy()
    ids, starts = np.unique(np.asarray(table["trial_id"], dtype=str), return_index=True)
    bounds = [*starts.tolist(), len(table["trial_id"])]
    curves = {}
    for identity, start, end in zip(ids.tolist(), bounds[:-1], bounds[1:], strict=True):
        nothing = np.broadcast_to(np.nan, end - start)
        values = {
            name: np.ma.filled(np.ma.asarray(table[name][start:end], dtype=float), np.nan) for name in CURVES
        } | dict.fromkeys(UNREAD, nothing)
        curves[identity] = CurveRows(trial_id=identity, step=np.asarray(table["step"][start:end], dtype=int), **values)
    return curves


def _measures(connection: duckdb.DuckDBPyConnection, trial_ids: Sequence[str]) -> dict[str, list[MeasureRow]]:
    rows = connection.execute(
        "SELECT trial_id, step, measure, value, protocol, version, written_at FROM measures_long "
        f"WHERE value IS NOT NULL AND {among(trial_ids)} ORDER BY trial_id, step, measure, protocol"
    ).fetchall()
    found: dict[str, list[MeasureRow]] = {}
    seen: set[tuple[str, int, str]] = set()
    for identity, step, name, value, protocol, version, written in rows:
        if (identity, step, name) in seen:
            continue
        seen.add((identity, step, name))
        measured = MeasureValue(measure=name, value=value, values=None, protocol=protocol, version=version, reason=None)
        found.setdefault(identity, []).append(
            MeasureRow(trial_id=identity, step=step, value=measured, written_at=str(written))
        )
    return found
