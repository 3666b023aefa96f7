"""Bringing MLflow up to what the study folder holds: a second time writes nothing, a continued trial stays one run."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable

from grokstudy.tracking import names
from grokstudy.tracking.cells import cell_content, cell_digest
from grokstudy.tracking.content import trial_content, trial_digest
from grokstudy.tracking.runs import create_run, delete_run, update_run
from grokstudy.tracking.source import TrialProjection
from grokstudy.tracking.study_run import StudyRun
from grokstudy.tracking.thinning import thinned


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SyncReport:
    """What a sync did, in runs."""

    created: int = 0
    updated: int = 0
    skipped: int = 0
    """Already as they should be."""
    removed_duplicates: int = 0


def sync_trials(study_run: StudyRun, trials: Iterable[TrialProjection]) -> SyncReport:
    """Writes the runs of these trials (granularity `trial`) or of their cells (`cell`).

    Trials are taken one at a time, so a generator that reads curves as it goes keeps memory small. For granularity
    `cell` give all trials of every cell: a cell's run shows those given.

    Raises:
        TrackingUnavailable: MLflow does not answer. Runs written so far stay; open the study again and sync.
    """
    removed = 0
    while study_run.repeated:
        delete_run(study_run.connection, study_run.repeated[-1])
        study_run.repeated.pop()
        removed += 1
    report = _sync_each(study_run, trials) if study_run.granularity == "trial" else _sync_cells(study_run, trials)
    return dataclasses.replace(report, removed_duplicates=removed)


def _sync_each(study_run: StudyRun, trials: Iterable[TrialProjection]) -> SyncReport:
    created = updated = skipped = 0
    connection, known = study_run.connection, study_run.known
    for trial in trials:
        key, digest = trial.row.trial_id, trial_digest(trial)
        stored = known.get(key)
        if stored is not None and stored.is_current(digest, names.run_name(trial.row, study_run.varied)):
            skipped += 1
            continue
        content = trial_content(
            trial,
            varied=study_run.varied,
            base=study_run.base,
            curve_points=connection.settings.curve_points,
            digest=digest,
        )
        if stored is None:
            known[key] = create_run(connection, study_run.experiment_id, content)
            created += 1
        else:
            known[key] = update_run(connection, stored, content)
            updated += 1
    return SyncReport(created=created, updated=updated, skipped=skipped)


def _sync_cells(study_run: StudyRun, trials: Iterable[TrialProjection]) -> SyncReport:
    created = updated = skipped = 0
    connection, known = study_run.connection, study_run.known
    for key, members in _cells(trials, connection.settings.curve_points).items():
        digest = cell_digest([trial_digest(trial) for trial in members])
        stored = known.get(key)
        name = names.run_name(members[0].row, study_run.varied, seeds=False)
        if stored is not None and stored.is_current(digest, name):
            skipped += 1
            continue
        if stored is not None:
            # MLflow cannot take points back, and quantiles change with every seed: a new run takes the old one's place
            delete_run(connection, stored.run_id)
            del known[key]
        content = cell_content(members, varied=study_run.varied, base=study_run.base, digest=digest)
        known[key] = create_run(connection, study_run.experiment_id, content)
        created += stored is None
        updated += stored is not None
    return SyncReport(created=created, updated=updated, skipped=skipped)


def _cells(trials: Iterable[TrialProjection], curve_points: int) -> dict[str, list[TrialProjection]]:
    """Trials by cell with thinned curves, so that whole ones need not be held."""
    cells: dict[str, list[TrialProjection]] = defaultdict(list)
    for trial in trials:
        curve = None if trial.curve is None else thinned(trial.curve, curve_points)
        cells[names.cell_key(trial.row)].append(dataclasses.replace(trial, curve=curve))
    return dict(cells)
