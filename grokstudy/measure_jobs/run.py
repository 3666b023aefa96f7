"""Measures a study's checkpoints: what is missing, as tasks of the study's executor."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Collection, Iterator

from grokstudy.execution.executor import Executor
from grokstudy.measure_jobs.phases import phase_rows, without_phases
from grokstudy.measure_jobs.plan import missing_jobs
from grokstudy.measure_jobs.work import measure
from grokstudy.spec.rows import MeasureRow
from grokstudy.store.folder import StudyFolder
from grokstudy.store.views import connect

ROWS_PER_PART = 20_000
KEPT_SECONDS = 60.0
"""Rows are stored at least so often: what a killed driver would have to compute again."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MeasureProgress:
    """How far measuring is."""

    done: int
    total: int
    damaged: tuple[str, ...] = ()
    """Messages about checkpoints that could not be read and were left out."""


def measure_study(
    folder: StudyFolder,
    executor: Executor,
    names: Collection[str],
    rule: str,
    which: str,
) -> Iterator[MeasureProgress]:
    """Computes and stores every missing measure; yields how far it is as it goes.

    Idempotent: what is stored in the current version is not computed again. A damaged checkpoint is left out and named.
    """
    connection = connect([folder])
    jobs = missing_jobs(folder, connection, names, rule, which)
    unphased = without_phases(connection, rule)  # lost, or a run ended before it had them
    total = sum(len(trial.checkpoints) for job in jobs for trial in job.trials)
    yield MeasureProgress(done=0, total=total)
    if not jobs and not unphased:
        return
    waiting: list[MeasureRow] = []
    damaged: list[str] = []
    done, stored_at = 0, time.monotonic()
    try:
        for measured in executor.map(measure, jobs):
            waiting += measured.rows
            damaged += measured.damaged
            done += len({(row.trial_id, row.step) for row in measured.rows})
            if len(waiting) >= ROWS_PER_PART or time.monotonic() - stored_at > KEPT_SECONDS:
                folder.put_measures(waiting)
                waiting, stored_at = [], time.monotonic()
            yield MeasureProgress(done=done, total=total, damaged=tuple(damaged))
    finally:  # interrupted, or a task failed: what is computed is kept
        folder.put_measures(waiting)
    touched = {trial.trial_id for job in jobs for trial in job.trials}
    folder.put_measures(phase_rows(connect([folder]), touched | unphased, rule))
