"""Where a run of a study begins: Ray starts while this process loads torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

from grokstudy.execution.executor import executor
from grokstudy.spec.study import StudySpec
from grokstudy.store.folder import StudyFolder
from grokstudy.study.board import Board

if TYPE_CHECKING:  # loads torch, which is what shall not be waited for
    from grokstudy.study.run import StudyResult


def begin_study(
    spec: StudySpec, board: Board, *, only_censored: bool = False, max_hours: float | None = None
) -> StudyResult:
    """`grokstudy.study.run.run_study`, without its seconds of waiting.

    Of a study that exists perhaps nothing is left to do: then Ray is started only when it is needed.

    Raises:
        BadInput: as `run_study`; and StorageUnavailable and StudyBusy.
    """
    with executor(spec.cluster) as execution:
        if not StudyFolder.open(spec.storage.root, spec.name).exists():
            execution.prepare()
        from grokstudy.study.run import run_study

        return run_study(spec, board, execution, only_censored=only_censored, max_hours=max_hours)
