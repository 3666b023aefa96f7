"""Is a study whole? Every file read to its last byte, and every promise of a row looked up in the others.

Without a damaged file, too, something may be missing: a row says `done` and its curve is not there. What kills of
writers leave (weights that no index names yet, a curve without its row) is no damage: the next run completes it.
"""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Generator, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from grokstudy.spec.rows import CheckpointRow
from grokstudy.spec.settings import CheckpointSettings
from grokstudy.store.cache import DOWNLOADS
from grokstudy.store.checkpoints import Kind as CheckpointKind
from grokstudy.store.contents import PARTS, unfinished
from grokstudy.store.damage import ATTEMPTS
from grokstudy.store.file_check import CHANGED, FileCheck, check_file
from grokstudy.store.folder import StudyFolder
from grokstudy.store.promised import Finished, end_step, scheduled_steps
from grokstudy.store.snapshots import SnapshotMeta
from grokstudy.store.whole_rows import WholeParts

ORDER: tuple[CheckpointKind, ...] = ("scheduled", "end", "ring")
"""Reasons to keep weights; of several rows about one step the first of these counts."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """How far reading is."""

    files: int
    total: int
    size: int
    """Bytes read."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Which checkpoints a study keeps on purpose."""

    settings: CheckpointSettings
    """What every attempt kept."""
    chosen: bool = False
    """Some were deleted or left out since: only the end is sure to be there."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """What of one trial is not there although it must be."""

    trial_id: str
    steps_run: int | None
    """By the row that counts; None if the trial has none."""
    curve_from: int | None = None
    """First step whose evaluation is missing; None: its curve is whole."""
    checkpoints: tuple[int, ...] = ()
    """Steps whose weights are missing."""

    @property
    def first(self) -> int:
        """The earliest step of which something is missing."""
        return min([*self.checkpoints, *([] if self.curve_from is None else [self.curve_from])])


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a check found."""

    files: Mapping[str, FileCheck]
    missing: tuple[str, ...]
    """Checkpoint files that the index names and that are not there."""
    lost: tuple[Lost, ...]
    bad_rows: tuple[CheckpointRow, ...]
    """Rows of the index whose weights are damaged or missing."""
    relabelled: tuple[CheckpointRow, ...]
    """Rows to add: the same weights lie in another file, kept there for a lesser reason."""
    no_row: tuple[str, ...]
    """Trials with a curve but without a row: the next run completes them."""
    unreferenced: tuple[str, ...]
    """Checkpoint files that no row names."""
    unfinished: tuple[str, ...]
    """Files that were begun and never became whole."""

    @property
    def damaged(self) -> tuple[FileCheck, ...]:
        return tuple(file for file in self.files.values() if file.damage is not None)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is damaged and nothing is missing."""
        return not (self.damaged or self.missing or self.lost or self.relabelled)

    @property
    def snapshots(self) -> tuple[SnapshotMeta, ...]:
        """Those that are whole."""
        return tuple(file.snapshot for file in self.files.values() if file.snapshot and file.damage is None)

    def size_of(self, names: Iterable[str]) -> int:
        """Bytes of these files together."""
        return sum(self.files[name].size for name in names if name in self.files)


def read_files(folder: StudyFolder) -> Generator[Seen, None, dict[str, FileCheck]]:
    """Reads every file of the study, many at a time; yields how far it is and returns what was found, by name.

    Files that come or go meanwhile are listed again, so that rows are never held against an older listing.
    """
    checked: dict[str, FileCheck] = {}
    size = 0
    for _ in range(ATTEMPTS):
        new = [name for name in folder.names("") if name not in checked]
        if not new:
            break
        pool = ThreadPoolExecutor(DOWNLOADS)
        try:
            for found in pool.map(lambda name: check_file(folder, name), new):
                if found is not None:
                    checked[found.name] = found
                    size += found.size
                yield Seen(files=len(checked), total=len({*checked, *new}), size=size)
        finally:
            pool.shutdown(cancel_futures=True)
    there = set(folder.names(""))
    return {name: found for name, found in sorted(checked.items()) if name in there}


def findings(folder: StudyFolder, files: Mapping[str, FileCheck], kept: Kept) -> Findings:
    """What follows from the files as they were read."""
    whole = WholeParts(folder=folder, names=tuple(n for n, f in files.items() if f.kind in PARTS and not f.damage))
    rows, finished = whole.index(), whole.finished()
    files = {**files, **_not_as_indexed(files, rows)}
    bad = [row for row in rows if not _is_there(row, files)]
    good = [row for row in rows if _is_there(row, files)]
    named = {row.file for row in rows}
    unreferenced = tuple(name for name, file in files.items() if file.kind == "weights" and name not in named)
    index_lost = bool(unreferenced) or any(file.kind == "checkpoints" and file.damage for file in files.values())
    snapshots = [file.snapshot for file in files.values() if file.snapshot and not file.damage]
    curves = whole.lost_evaluations(finished)
    windows = whole.transitions(_with_window(finished, curves)) if index_lost and kept.settings.ring else {}
    scheduled = {} if kept.chosen else _scheduled(finished, snapshots, kept.settings)
    expected: dict[str, set[int]] = defaultdict(set, {trial_id: set(steps) for trial_id, steps in scheduled.items()})
    if not kept.chosen or index_lost or _keeps_ends(good, finished):
        for trial in finished:
            expected[trial.trial_id] |= end_step(trial)
    for trial_id, steps in ({} if kept.chosen else windows).items():
        expected[trial_id] |= set(steps)
    checkpoints = _lost_checkpoints(bad, good, expected)
    reach = {trial.trial_id: trial.steps_run for trial in finished}
    return Findings(
        files=files,
        missing=tuple(sorted({row.file for row in bad} - files.keys())),
        lost=tuple(
            Lost(
                trial_id=trial_id,
                steps_run=reach.get(trial_id),
                curve_from=curves.get(trial_id),
                checkpoints=tuple(sorted(checkpoints.get(trial_id, ()))),
            )
            for trial_id in sorted(curves.keys() | checkpoints.keys())
        ),
        bad_rows=tuple(bad),
        relabelled=tuple(_relabelled(bad, good, scheduled)),
        no_row=tuple(sorted(whole.trial_ids("curves") - whole.trial_ids("trials"))),
        unreferenced=unreferenced,
        unfinished=tuple(unfinished(folder)),
    )


def _not_as_indexed(files: Mapping[str, FileCheck], rows: Sequence[CheckpointRow]) -> dict[str, FileCheck]:
    """Checkpoint files that can be read and are others than those their rows were written for."""
    digests: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        digests[row.file].add(row.sha256)
    return {
        name: dataclasses.replace(files[name], damage=CHANGED)
        for name, wanted in digests.items()
        if name in files and files[name].damage is None and files[name].sha256 not in wanted
    }


def _is_there(row: CheckpointRow, files: Mapping[str, FileCheck]) -> bool:
    """Whether the file is what the row says, with a lane for it."""
    file = files.get(row.file)
    return file is not None and not file.damage and file.sha256 == row.sha256 and row.lane < (file.lanes or 0)


def _with_window(finished: Iterable[Finished], holes: Mapping[str, int]) -> list[str]:
    """Trials that may have a dense window and whose curve can tell."""
    return [t.trial_id for t in finished if None not in (t.t_mem, t.t_gen) and t.trial_id not in holes]


def _scheduled(
    finished: Iterable[Finished], snapshots: Iterable[SnapshotMeta], settings: CheckpointSettings
) -> dict[str, set[int]]:
    """Steps of the scheduled checkpoints of each trial: rows and snapshots are written after the index."""
    steps: dict[str, set[int]] = defaultdict(set)
    for trial in finished:
        steps[trial.trial_id] |= scheduled_steps(settings, trial.steps_run)
    for meta in snapshots:
        for trial_id in meta.trial_ids:
            steps[trial_id] |= scheduled_steps(settings, meta.step)
    return steps


def _keeps_ends(good: Iterable[CheckpointRow], finished: Iterable[Finished]) -> bool:
    """Whether weights were not left out altogether."""
    indexed = {row.trial_id for row in good}
    return any(trial.trial_id in indexed for trial in finished)


def _lost_checkpoints(
    bad: Iterable[CheckpointRow], good: Iterable[CheckpointRow], expected: Mapping[str, set[int]]
) -> dict[str, set[int]]:
    """By trial, steps whose weights are not in any whole file."""
    present: dict[str, set[int]] = defaultdict(set)
    for row in good:
        present[row.trial_id].add(row.step)
    wanted: dict[str, set[int]] = defaultdict(set, {trial_id: set(steps) for trial_id, steps in expected.items()})
    for row in bad:
        wanted[row.trial_id].add(row.step)
    lost = {trial_id: steps - present[trial_id] for trial_id, steps in wanted.items()}
    return {trial_id: steps for trial_id, steps in lost.items() if steps}


def _relabelled(
    bad: Iterable[CheckpointRow], good: Iterable[CheckpointRow], scheduled: Mapping[str, set[int]]
) -> list[CheckpointRow]:
    """Whole rows of lost weights, with the reason for which those were kept: it says which ones `gc` may delete."""
    wanted: dict[tuple[str, int], CheckpointKind] = {
        (trial_id, step): "scheduled" for trial_id, steps in scheduled.items() for step in steps
    }
    for row in bad:
        wanted[row.trial_id, row.step] = min(row.kind, wanted.get((row.trial_id, row.step), "ring"), key=ORDER.index)
    best: dict[tuple[str, int], CheckpointRow] = {}
    for row in good:
        best[row.trial_id, row.step] = min(row, best.get((row.trial_id, row.step), row), key=_rank)
    return [
        dataclasses.replace(best[key], kind=kind)
        for key, kind in wanted.items()
        if key in best and ORDER.index(kind) < _rank(best[key])
    ]


def _rank(row: CheckpointRow) -> int:
    return ORDER.index(row.kind)
