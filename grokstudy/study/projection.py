"""Keeps MLflow up with the study folder while a study runs, from a thread of its own, and closes it on every exit path."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from types import TracebackType

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
from grokstudy.tracking.connection import TrackingUnavailable
from grokstudy.tracking.settings import resolved_uri
from grokstudy.tracking.source import StudyProjection, StudyState, TrialProjection
from grokstudy.tracking.study_run import StudyRun, close_study, open_study, update_study
from grokstudy.tracking.sync import SyncReport, sync_trials

REPORT_FILES = ("report.md", "phase.html", "phase.png", "trials.csv")


class Projection:
    """`with Projection(...) as projection:`; `projection.due()` asks for a sync, leaving the block makes the last one.

    MLflow being away never ends a study: it is said once on the board, and the next run of the study catches up.
    """

    def __init__(self, spec: StudySpec, folder: StudyFolder, board: Board) -> None:
        self._spec, self._folder, self._board = spec, folder, board
        self._wake, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="mlflow", daemon=True)
        self._run_of_study: StudyRun | None = None
        self.state: StudyState = "running"

    def __enter__(self) -> Projection:
        if self._spec.tracking.enabled:
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if self.state == "running":
            self.state = "finished" if kind is None else "stopped" if kind is KeyboardInterrupt else "failed"
        if self._thread.is_alive() or self._ended.is_set():
            self._ended.set()
            self._wake.set()
            self._thread.join()

    def due(self) -> None:
        """New rows are there."""
        self._wake.set()

    def _run(self) -> None:
        try:
            self._open()
            while not self._ended.is_set():
                self._wake.wait()
                self._wake.clear()
                if not self._ended.is_set():
                    sync(self._require(), self._folder)
                    update_study(self._require(), self._projection(with_report=False))
            sync(self._require(), self._folder)
            close_study(self._require(), self._projection(with_report=True))
        except TrackingUnavailable as error:
            self._board.notices.append(f"MLflow: {error} Results are safe in the study folder; run again to catch up.")
            self._ended.wait()

    def _open(self) -> None:
        uri = resolved_uri(self._spec.tracking, self._folder.storage.uri)
        connected = mlflow_connection.connect(self._spec.tracking, uri)
        self._run_of_study = open_study(connected, self._projection(with_report=False))
        self._board.notices += self._run_of_study.warnings

    def _require(self) -> StudyRun:
        assert self._run_of_study is not None
        return self._run_of_study

    def _projection(self, *, with_report: bool) -> StudyProjection:
        report = {}
        if with_report:
            found = {name: self._folder.get_bytes(f"report/{name}") for name in REPORT_FILES}
            report = {name: data for name, data in found.items() if data is not None}
        outcomes: Mapping[str, int] = dict(self._board.all_outcomes)
        return StudyProjection(
            name=self._spec.name,
            config_yaml=to_yaml(self._spec),
            varied=tuple(axis.path for axis in self._spec.axes),
            state=self.state,
            n_planned=self._board.planned,
            n_done=self._board.done,
            outcomes=outcomes,
            report=report,
            note_markdown=f"**{self._spec.name}**\n\n{self._spec.source}",
        )


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
        values = {
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
        measured = MeasureValue(
            measure=name, value=value, values=None, protocol=protocol, version=version, reason=None
        )
        found.setdefault(identity, []).append(
            MeasureRow(trial_id=identity, step=step, value=measured, written_at=str(written))
        )
    return found


