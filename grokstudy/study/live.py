"""Keeps MLflow up with the study folder while a study runs, and closes its run on every exit path."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Literal

from grokstudy.spec.errors import GrokstudyError
from grokstudy.spec.study import StudySpec
from grokstudy.store.folder import StudyFolder
from grokstudy.study.board import Board


class Projection:
    """`with Projection(...) as projection:`; `projection.due()` asks for a sync, leaving the block makes the last one.

    MLflow being away never ends a study: it is said once on the board, and the next run of the study catches up. Where
    packs are stepped in this very process everything is written at the end: a second thread would take their time.
    """

    def __init__(self, spec: StudySpec, folder: StudyFolder, board: Board) -> None:
        self._spec, self._folder, self._board = spec, folder, board
        self._wake, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="mlflow", daemon=True)
        self.state: Literal["running", "finished", "stopped", "failed"] = "running"

    def __enter__(self) -> Projection:
        if self._spec.tracking.enabled and self._spec.cluster.kind != "none":
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.state == "running":
            self.state = "finished" if kind is None else "stopped" if kind is KeyboardInterrupt else "failed"
        self._ended.set()
        self._wake.set()
        if self._thread.ident is not None:
            self._thread.join()
        elif self._spec.tracking.enabled:
            self._run()

    def due(self) -> None:
        """New rows are there."""
        self._wake.set()

    def _run(self) -> None:
        from grokstudy.study import projection  # loads MLflow: seconds that a study without tracking does not pay

        try:
            run = projection.opened(self._spec, self._folder, self._board)
            self._board.notices += run.warnings
            while not self._ended.is_set():
                self._wake.wait()
                self._wake.clear()
                if not self._ended.is_set():
                    projection.update(run, self._spec, self._folder, self._board)
            projection.close(run, self._spec, self._folder, self._board, self.state)
        except GrokstudyError as error:
            self._board.notices.append(f"MLflow: {error} Results are safe in the study folder; run again to catch up.")
