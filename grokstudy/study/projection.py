"""The study folder as MLflow shall show it. This module loads MLflow; `live.py`, which uses it while a study runs,
does not."""

from __future__ import annotations

import math
from collections.abc import Iterator

from grokstudy.spec.axes import is_seed
from grokstudy.spec.study import StudySpec
from grokstudy.store.folder import StudyFolder
from grokstudy.study.board import Board
from grokstudy.study.document import to_yaml
from grokstudy.study.projected import FolderTrials
from grokstudy.tracking import connection as mlflow_connection
from grokstudy.tracking.settings import resolved_uri
from grokstudy.tracking.source import StudyProjection, StudyState
from grokstudy.tracking.study_run import StudyRun, close_study, mark_stopped, open_study, update_study
from grokstudy.tracking.sync import SyncReport, syncing

REPORT_FILES = ("report.md", "phase.html", "phase.png", "trials.csv")


def opened(spec: StudySpec, folder: StudyFolder, board: Board) -> StudyRun:
    """The study's own MLflow run, created or found.

    Raises:
        TrackingUnavailable: MLflow does not answer.
    """
    uri = resolved_uri(spec.tracking, folder.storage.uri)
    return open_study(mlflow_connection.connect(spec.tracking, uri), _study(spec, board, "running", {}))


def updating(run: StudyRun, spec: StudySpec, folder: StudyFolder, board: Board) -> Iterator[SyncReport]:
    """Brings the study's progress up to date, then its trials, one run at a time: stop when you like."""
    update_study(run, _study(spec, board, "running", {}))
    yield from syncing(run, FolderTrials(folder), whole=False)


def close(run: StudyRun, spec: StudySpec, folder: StudyFolder, board: Board, state: StudyState) -> None:
    """Brings everything up to date, adds the report and gives the study's run its final status."""
    if state == "stopped":  # whoever stopped it may be about to end this process
        mark_stopped(run)
    for _ in syncing(run, FolderTrials(folder), whole=True):
        """One run after the other."""
    found = {name: folder.get_bytes(f"report/{name}") for name in REPORT_FILES}
    close_study(run, _study(spec, board, state, {name: data for name, data in found.items() if data is not None}))


def cells(spec: StudySpec, planned: int) -> int:
    """Cells of a study: points of its axes without the seeds, at most one for every planned trial."""
    axes = [axis for axis in spec.axes if not is_seed(axis.path)]
    if any(axis.is_interval for axis in axes):
        return planned
    return min(math.prod(len(axis.values) for axis in axes), planned)


def _study(spec: StudySpec, board: Board, state: StudyState, report: dict[str, bytes]) -> StudyProjection:
    return StudyProjection(
        name=spec.name,
        config_yaml=to_yaml(spec),
        varied=tuple(axis.path for axis in spec.axes),
        state=state,
        n_planned=board.planned,
        n_cells=cells(spec, board.planned),
        n_done=board.done,
        outcomes=dict(board.all_outcomes),
        report=report,
        note_markdown=f"**{spec.name}**\n\n{spec.source}",
    )
