"""Bringing MLflow up to what the study folder holds: a second time writes nothing, a continued trial stays one run."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from grokstudy.tracking import names
from grokstudy.tracking.cells import cell_content, cell_digest
from grokstudy.tracking.content import trial_content, trial_digest
from grokstudy.tracking.runs import StoredRun, create_run, delete_run, update_run
from grokstudy.tracking.source import Loaded, TrialMark, TrialProjection, Trials
from grokstudy.tracking.study_run import StudyRun
from grokstudy.tracking.thinning import thinned

Item = TypeVar("Item")
TOGETHER = 500
"""Trials whose curves are in memory at a time."""
ROWS_TOGETHER = 1000
"""Trials whose rows are."""
GROWTH = 4
"""While a study runs, a cell of which nobody knows how many trials it will have is written again once it has so many
times the trials it was written from."""
FEW_CELLS = 100
"""Above, the curves of cells have fewer points: a run costs as its points."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SyncReport:
    """What a sync did, in runs."""

    created: int = 0
    updated: int = 0
    skipped: int = 0
    """Already as they should be."""
    removed_duplicates: int = 0

    def wrote(self, stored: StoredRun | None) -> SyncReport:
        """And one run more: a new one, or one that `stored` says was there."""
        if stored is None:
            return dataclasses.replace(self, created=self.created + 1)
        return dataclasses.replace(self, updated=self.updated + 1)


def sync_trials(study_run: StudyRun, trials: Iterable[TrialProjection]) -> SyncReport:
    """Writes the runs of these trials (granularity `trial`) or of their cells (`cell`).

    For granularity `cell` give all trials of every cell: a cell's run shows those given.

    Raises:
        TrackingUnavailable: MLflow does not answer. Runs written so far stay; open the study again and sync.
    """
    *_, report = syncing(study_run, Loaded(list(trials)), whole=True)
    return report


def syncing(study_run: StudyRun, trials: Trials, *, whole: bool) -> Iterator[SyncReport]:
    """Removes repeated runs and writes those that are not as the trials are, one at a time: stop when you like.

    What is current costs a comparison: only trials that changed are read, some hundred at a time.

    Args:
        whole: write every cell that changed. Else one that is not complete waits, because MLflow cannot take points
            back and so a cell is written anew each time.

    Yields:
        What was done so far: at once, and after every run.

    Raises:
        TrackingUnavailable: as `sync_trials`.
    """
    report = SyncReport()
    yield report
    while study_run.repeated:
        delete_run(study_run.connection, study_run.repeated[-1])
        study_run.repeated.pop()
        report = dataclasses.replace(report, removed_duplicates=report.removed_duplicates + 1)
        yield report
    if study_run.granularity == "trial":
        yield from _trials(study_run, trials, report)
    elif study_run.granularity == "cell":
        yield from _cells(study_run, trials, report, whole=whole)


def _trials(study_run: StudyRun, trials: Trials, report: SyncReport) -> Iterator[SyncReport]:
    connection, known = study_run.connection, study_run.known
    digests = {mark.trial_id: trial_digest(mark, study_run.varied) for mark in trials.marks()}
    changed = [key for key, digest in digests.items() if not _is_current(known.get(key), digest)]
    report = dataclasses.replace(report, skipped=len(digests) - len(changed))
    yield report
    for some in _batches(changed, TOGETHER):
        for trial in trials.read(some):
            key = trial.row.trial_id
            stored = known.get(key)
            content = trial_content(
                trial,
                varied=study_run.varied,
                base=study_run.base,
                curve_points=connection.settings.curve_points,
                digest=digests[key],
            )
            if stored is None:
                known[key] = create_run(connection, study_run.experiment_id, content)
            else:
                known[key] = update_run(connection, stored, content)
            report = report.wrote(stored)
            yield report


def _cells(study_run: StudyRun, trials: Trials, report: SyncReport, *, whole: bool) -> Iterator[SyncReport]:
    connection, known = study_run.connection, study_run.known
    members = _members(study_run, trials)
    digests = {
        cell: cell_digest([trial_digest(mark, study_run.varied) for mark in marks]) for cell, marks in members.items()
    }
    changed = [cell for cell, digest in digests.items() if not _is_current(known.get(cell), digest)]
    report = dataclasses.replace(report, skipped=len(digests) - len(changed))
    yield report
    points = max(connection.settings.curve_points // (2 if len(members) <= FEW_CELLS else 5), 5)  # each becomes three
    due = [cell for cell in changed if whole or _is_due(known.get(cell), members[cell], study_run.seeds)]
    for some in _filled(due, members):
        read = _read(study_run, trials, [mark.trial_id for key in some for mark in members[key]], points)
        for cell, shown in read.items():
            stored = known.get(cell)
            if stored is not None:
                # MLflow cannot take points back, and quantiles change with every seed: a new run takes its place
                delete_run(connection, stored.run_id)
                del known[cell]
            content = cell_content(shown, varied=study_run.varied, base=study_run.base, digest=digests[cell])
            known[cell] = create_run(connection, study_run.experiment_id, content)
            report = report.wrote(stored)
            yield report


def _members(study_run: StudyRun, trials: Trials) -> dict[str, list[TrialMark]]:
    """Trials by cell; only the rows of those that were never looked at are read."""
    marks, cells = trials.marks(), study_run.cells
    for some in _batches([mark.trial_id for mark in marks if mark.trial_id not in cells], ROWS_TOGETHER):
        cells.update((row.trial_id, names.cell_key(row)) for row in trials.rows(some))
    members: dict[str, list[TrialMark]] = defaultdict(list)
    for mark in marks:
        if mark.trial_id in cells:  # else its part was damaged just now
            members[cells[mark.trial_id]].append(mark)
    return dict(members)


def _is_current(stored: StoredRun | None, digest: str) -> bool:
    return stored is not None and stored.is_current(digest)


def _is_due(stored: StoredRun | None, members: Sequence[TrialMark], seeds: int | None) -> bool:
    """Whether a cell is written before the study ends: when it is complete, or, if that is not known, has grown."""
    finished = sum(mark.is_final for mark in members)
    if seeds is not None:
        return finished >= seeds
    return finished >= GROWTH * (0 if stored is None else stored.finished)


def _filled(cells: Sequence[str], members: dict[str, list[TrialMark]]) -> Iterator[list[str]]:
    """Cells in batches of about as many trials as are read together; a larger cell is a batch of its own."""
    batch: list[str] = []
    count = 0
    for cell in cells:
        if batch and count + len(members[cell]) > TOGETHER:
            yield batch
            batch, count = [], 0
        batch.append(cell)
        count += len(members[cell])
    if batch:
        yield batch


def _read(
    study_run: StudyRun, trials: Trials, trial_ids: Sequence[str], points: int
) -> dict[str, list[TrialProjection]]:
    """Trials by cell with thinned curves, so that whole ones need not be held."""
    cells: dict[str, list[TrialProjection]] = defaultdict(list)
    for some in _batches(trial_ids, TOGETHER):
        for trial in trials.read(some):
            curve = None if trial.curve is None else thinned(trial.curve, points)
            cells[study_run.cells[trial.row.trial_id]].append(dataclasses.replace(trial, curve=curve))
    return dict(cells)


def _batches(items: Sequence[Item], size: int) -> Iterator[Sequence[Item]]:
    return (items[start : start + size] for start in range(0, len(items), size))
