"""The study folder as MLflow shall show it. This module loads MLflow; `live.py`, which uses it while a study runs,
does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import duckdb
import numpy as np

from grokstudy.spec.rows import CURVE_COLUMNS, CurveRows, MeasureRow, MeasureValue
from grokstudy.spec.study import StudySpec
from grokstudy.store.folder import StudyFolder
from grokstudy.store.trial_rows import trial_rows
from grokstudy.store.views import connect
from grokstudy.study.board import Board
from grokstudy.study.document import to_yaml
from grokstudy.tracking import connection as mlflow_connection
from grokstudy.tracking.settings import resolved_uri
from grokstudy.tracking.source import StudyProjection, StudyState, TrialProjection
from grokstudy.tracking.study_run import StudyRun, close_study, open_study, update_study
from grokstudy.tracking.sync import SyncReport, sync_trials

REPORT_FILES = ("report.md", "phase.html", "phase.png", "trials.csv")


def opened(spec: StudySpec, folder: StudyFolder, board: Board) -> StudyRun:
    """The study's own MLflow run, created or found.

    Raises:
        TrackingUnavailable: MLflow does not answer.
    """
    uri = resolved_uri(spec.tracking, folder.storage.uri)
    return open_study(mlflow_connection.connect(spec.tracking, uri), _study(spec, board, "running", {}))


def update(run: StudyRun, spec: StudySpec, folder: StudyFolder, board: Board) -> None:
    """Brings trials and the study's progress up to date."""
    sync(run, folder)
    update_study(run, _study(spec, board, "running", {}))


def close(run: StudyRun, spec: StudySpec, folder: StudyFolder, board: Board, state: StudyState) -> None:
    """Brings everything up to date, adds the report and gives the study's run its final status."""
    sync(run, folder)
    found = {name: folder.get_bytes(f"report/{name}") for name in REPORT_FILES}
    close_study(run, _study(spec, board, state, {name: data for name, data in found.items() if data is not None}))


def sync(run: StudyRun, folder: StudyFolder) -> SyncReport:
    """Writes every trial that MLflow does not show as it stands in the folder."""
    with connect([folder]) as connection:
        return sync_trials(run, projections(connection))


def projections(connection: duckdb.DuckDBPyConnection) -> Iterator[TrialProjection]:
    """Every counting trial with its curve and its measures in the default protocol."""
    rows = trial_rows(connection)
    curves = _curves(connection)
    measures = _measures(connection)
    for row in rows:
        yield TrialProjection(row=row, curve=curves.get(row.trial_id), measures=measures.get(row.trial_id, ()))


def _curves(connection: duckdb.DuckDBPyConnection) -> dict[str, CurveRows]:
    table = connection.execute(f"SELECT {', '.join(CURVE_COLUMNS)} FROM curves ORDER BY trial_id, step").fetchnumpy()
    if len(table["trial_id"]) == 0:
        return {}
    ids, starts = np.unique(np.asarray(table["trial_id"], dtype=str), return_index=True)
    bounds = np.append(starts, len(table["trial_id"]))
    curves = {}
    for identity, start, end in zip(ids.tolist(), bounds[:-1], bounds[1:], strict=True):
        values: dict[str, Any] = {
            name: np.ma.filled(np.ma.asarray(table[name][start:end], dtype=float), np.nan)
            for name in CURVE_COLUMNS
            if name not in ("trial_id", "step")
        }
        curves[identity] = CurveRows(trial_id=identity, step=np.asarray(table["step"][start:end], dtype=int), **values)
    return curves


def _measures(connection: duckdb.DuckDBPyConnection) -> dict[str, list[MeasureRow]]:
    rows = connection.execute(
        "SELECT trial_id, step, measure, value, protocol, version, written_at FROM measures_long "
        "WHERE value IS NOT NULL ORDER BY trial_id, step, measure, protocol"
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


def _study(spec: StudySpec, board: Board, state: StudyState, report: dict[str, bytes]) -> StudyProjection:
    return StudyProjection(
        name=spec.name,
        config_yaml=to_yaml(spec),
        varied=tuple(axis.path for axis in spec.axes),
        state=state,
        n_planned=board.planned,
        n_done=board.done,
        outcomes=dict(board.all_outcomes),
        report=report,
        note_markdown=f"**{spec.name}**\n\n{spec.source}",
    )
