"""A study held against its own settings: what its files must hold, what is lost, and what the next run brings back."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Mapping

from grokstudy.spec import bounded_yaml
from grokstudy.spec.decode import decode
from grokstudy.spec.errors import BadInput
from grokstudy.spec.settings import CheckpointSettings
from grokstudy.store.check import Findings, Kept, Lost, Seen, findings, read_files
from grokstudy.store.contents import ATTEMPTS, COPY, GONE, PARTS, SETTINGS
from grokstudy.store.file_check import FileCheck
from grokstudy.store.folder import StudyFolder
from grokstudy.store.promised import common, scheduled_steps
from grokstudy.store.whole_rows import WholeParts


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """What has to go so that the next run computes what is missing, and nothing else."""

    again: tuple[Lost, ...]
    """Trials that the next run trains again, or writes again from their last state."""
    for_good: tuple[Lost, ...]
    """Weights that no run of the study as it stands keeps again: what is left of these trials stays."""
    unasked: tuple[Lost, ...]
    """Trials that no proposal of an adaptive sampler asks for any more: what is left of them stays."""
    rows_from: Mapping[str, int]
    """By trial, steps from which its rows say more than is there."""
    states_after: Mapping[str, int]
    """By trial, the step after which a snapshot is too late to go on from."""
    settings_from: str | None
    """The attempt whose settings replace those of a damaged study.yaml."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A study after a check."""

    folder: StudyFolder
    findings: Findings
    repair: Repair
    settings_lost: bool
    """study.yaml is damaged or missing."""

    @property
    def is_whole(self) -> bool:
        """Whether nothing is damaged and nothing is missing."""
        return self.findings.is_whole and not self.settings_lost


def check_study(folder: StudyFolder) -> Generator[Seen, None, Checked]:
    """Reads the whole study, changing nothing; yields how far it is and returns what was found."""
    files = yield from read_files(folder)
    attempts = [name for name, file in files.items() if name.startswith(ATTEMPTS) and not file.damage]
    stands = files.get(SETTINGS)
    settings_lost = stands is None or stands.damage is not None
    newest = max(attempts, default=None)
    stated = newest if settings_lost else SETTINGS
    kept_by = {name: _checkpoint_settings(folder, name) for name in {*attempts, *([stated] if stated else [])}}
    kept = Kept(settings=common(list(kept_by.values())), chosen=GONE in files or COPY in files)
    found = findings(folder, files, kept)
    now = kept_by[stated] if stated else CheckpointSettings()
    return Checked(
        folder=folder,
        findings=found,
        repair=_repair(folder, found, now, newest if settings_lost else None),
        settings_lost=settings_lost,
    )


def _repair(folder: StudyFolder, found: Findings, settings: CheckpointSettings, newest: str | None) -> Repair:
    kinds = {(row.trial_id, row.step): row.kind for row in found.bad_rows}
    asked = _asked_for(folder, found.files)
    again: list[Lost] = []
    for_good: list[Lost] = []
    unasked: list[Lost] = []
    for lost in found.lost:
        if asked is not None and lost.trial_id not in asked:
            unasked.append(lost)
            continue
        back = tuple(
            step for step in lost.checkpoints if _comes_back(step, kinds.get((lost.trial_id, step)), lost, settings)
        )
        if back or lost.curve_from is not None:
            again.append(dataclasses.replace(lost, checkpoints=back))
        if len(back) < len(lost.checkpoints):
            gone = tuple(step for step in lost.checkpoints if step not in back)
            for_good.append(dataclasses.replace(lost, curve_from=None, checkpoints=gone))
    return Repair(
        again=tuple(again),
        for_good=tuple(for_good),
        unasked=tuple(unasked),
        rows_from={lost.trial_id: lost.first for lost in again},
        states_after={lost.trial_id: lost.checkpoints[0] for lost in again if lost.checkpoints},
        settings_from=newest,
    )


def _comes_back(step: int, kind: str | None, lost: Lost, settings: CheckpointSettings) -> bool:
    """Whether training again keeps these weights again."""
    if kind is None or lost.steps_run is None or step == lost.steps_run:  # what must be there is kept again
        return True
    return step in scheduled_steps(settings, step) or (kind == "ring" and settings.ring)


def _asked_for(folder: StudyFolder, files: Mapping[str, FileCheck]) -> set[str] | None:
    """Trials that an adaptive sampler asked for: no other trial of its study would be run again. None: all would."""
    if not any(file.kind in ("proposals", "ending") for file in files.values()):
        return None
    whole = tuple(name for name, file in files.items() if file.kind in PARTS and not file.damage)
    return WholeParts(folder=folder, names=whole).trial_ids("proposals")


def _checkpoint_settings(folder: StudyFolder, name: str) -> CheckpointSettings:
    """What a settings file says of checkpoints; the defaults if it says nothing that is understood."""
    document = bounded_yaml.load(folder.get_text(name) or "")
    try:
        found = decode(CheckpointSettings, document.get("checkpoint", {}), "checkpoint")
    except BadInput:
        return CheckpointSettings()
    assert isinstance(found, CheckpointSettings)
    return found
