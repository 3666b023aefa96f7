"""Measures a study's checkpoints: what is missing, as tasks of the study's executor."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from grokstudy.execution.executor import Executor
from grokstudy.measure_jobs.phases import phase_rows
from grokstudy.measure_jobs.plan import missing_jobs
from grokstudy.measure_jobs.work import measure
from grokstudy.store.folder import StudyFolder
from grokstudy.store.views import connect

ROWS_PER_PART = 20_000


def measure_study(
    folder: StudyFolder,
    executor: Executor,
    names: Collection[str],
    rule: str,
    which: str,
) -> Iterator[tuple[int, int]]:
    """Computes and stores every missing measure; yields (checkpoints measured, checkpoints to measure) as it goes.

    Idempotent: what is stored in the current version is not computed again.
    """
    jobs = missing_jobs(folder, connect([folder]), names, rule, which)
    total = sum(len(trial.checkpoints) for job in jobs for trial in job.trials)
    yield 0, total
    if not jobs:
        return
    done, waiting = 0, []
    for rows in executor.map(measure, jobs):
        waiting += rows
        done += len({(row.trial_id, row.step) for row in rows})
        if len(waiting) >= ROWS_PER_PART:
            folder.put_measures(waiting)
            waiting = []
        yield done, total
    folder.put_measures(waiting)
    touched = {trial.trial_id for job in jobs for trial in job.trials}
    folder.put_measures(phase_rows(connect([folder]), touched, rule))
