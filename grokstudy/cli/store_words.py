"""What a person reads about the files of a study: what is damaged, what that costs, what brings it back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from grokstudy.cli.live import at
from grokstudy.cli.show import size

if TYPE_CHECKING:
    from grokstudy.store.check import Lost
    from grokstudy.store.contents import FileKind
    from grokstudy.study.store_check import Checked

MOST = 8
"""Trials that a line names."""
COST: dict[FileKind, str] = {
    "trials": "Rows of trials are lost: `grokstudy run` of the study runs those that are recorded nowhere else",
    "curves": "Curves are lost: their trials are run again after --repair",
    "measures": "Measures are lost: `grokstudy measure` (or `run`) of the study computes them again",
    "checkpoints": "An index of checkpoints is lost: the trials whose weights it alone names are run again after "
    "--repair",
    "proposals": "Why trials were chosen is lost; the trials themselves stay",
    "ending": "Why the sampler asked for no more is lost: it is asked again",
    "gone": "When checkpoints were deleted on purpose is lost",
    "weights": "Weights are lost: their trials are run again after --repair",
    "snapshot": "Computing time only is lost: its trials start from an earlier state",
    "settings": "--repair restores study.yaml from its newest whole attempt; of an attempt, the record is lost",
}


def lines(checked: Checked, moved: Sequence[str] | None) -> list[str]:
    """The result of a check; `moved`: files that a repair moved aside, None without one."""
    found, name = checked.findings, checked.folder.name
    there = at(checked.folder.storage.uri)
    total = f"{len(found.files):,} files, {size(sum(file.size for file in found.files.values()))}"
    if checked.is_whole:
        head = f"{name}: whole ({total})."
    else:
        broken = len(found.damaged) + len(found.missing) + (checked.settings_lost and "study.yaml" not in found.files)
        head = f"{name}: {'repaired' if moved is not None else 'not whole'}, {broken:,} damaged or missing of {total}."
    told = [head]
    for file in found.damaged:
        told += [f"  damaged       {file.name}: {file.damage}", f"                {COST.get(file.kind, '')}."]
    told += [f"  missing       {missing}. {COST['weights']}." for missing in found.missing]
    told += _settings(checked, moved is not None)
    told += _trials(checked, moved is not None)
    told += _left(checked, there)
    if moved is None and "lock.json" in found.files:
        told.append(
            "  at work       lock.json is there: what a process just writes may look missing; check again later"
        )
    if not checked.is_whole:
        again = f"`grokstudy run` of {name}, with the same words as before"
        told.append(
            f"  next          {again if moved is not None else f'grokstudy store check {name} --repair{there}'}"
        )
    return told


def document(checked: Checked, moved: Sequence[str] | None) -> dict[str, Any]:
    """The same as one JSON document."""
    found, repair = checked.findings, checked.repair
    return {
        "study": checked.folder.name,
        "whole": checked.is_whole,
        "files": len(found.files),
        "bytes": sum(file.size for file in found.files.values()),
        "damaged": [{"file": file.name, "kind": file.kind, "reason": file.damage} for file in found.damaged],
        "missing": [*found.missing, *(["study.yaml"] if "study.yaml" not in found.files else [])],
        "settings_from": repair.settings_from,
        "again": [_lost(lost) for lost in repair.again],
        "lost_for_good": [_lost(lost) for lost in repair.for_good],
        "unasked": [_lost(lost) for lost in repair.unasked],
        "without_row": list(found.no_row),
        "unreferenced": list(found.unreferenced),
        "unknown": [file.name for file in found.files.values() if file.kind == "unknown"],
        "unfinished": list(found.unfinished),
        "quarantine": [file.name for file in found.files.values() if file.kind == "quarantine"],
        "repaired": moved is not None,
        "moved": list(moved or ()),
    }


def _lost(lost: Lost) -> dict[str, Any]:
    return {"trial_id": lost.trial_id, "curve_from": lost.curve_from, "checkpoints": list(lost.checkpoints)}


def _settings(checked: Checked, repaired: bool) -> list[str]:
    if not checked.settings_lost:
        return []
    source = checked.repair.settings_from
    if source is None:
        return ["  study.yaml    cannot be restored: no attempt is whole. Put back a copy of it."]
    return [f"  study.yaml    {'restored' if repaired else 'can be restored'} from {source}"]


def _trials(checked: Checked, repaired: bool) -> list[str]:
    found, repair = checked.findings, checked.repair
    told = []
    if repair.again:
        curves = sum(lost.curve_from is not None for lost in repair.again)
        steps = sum(len(lost.checkpoints) for lost in repair.again)
        what = " and ".join(
            text for text, n in ((f"{curves:,} curves", curves), (f"{steps:,} checkpoints", steps)) if n
        )
        when = "the next run" if repaired else "after --repair, the next run"
        told.append(f"  run again     {_named(lost.trial_id for lost in repair.again)}: {when} brings back {what}")
    if repair.for_good:
        steps_lost = sorted({step for lost in repair.for_good for step in lost.checkpoints})
        told.append(
            f"  for good      {_named(lost.trial_id for lost in repair.for_good)}: no run of this study keeps these "
            f"again; to have them, run it with 'checkpoint.steps={steps_lost}' under another --name"
        )
    if repair.unasked:
        told.append(
            f"  unasked       {_named(lost.trial_id for lost in repair.unasked)}: no proposal asks for them, "
            "so that no run would bring them back; what is left of them stays"
        )
    if found.no_row:
        told.append(
            f"  without row   {_named(found.no_row)}: they have a curve and no row; the next run completes them"
        )
    return told


def _left(checked: Checked, there: str) -> list[str]:
    """What is no damage."""
    found = checked.findings
    unknown = [file.name for file in found.files.values() if file.kind == "unknown"]
    aside = [file.name for file in found.files.values() if file.kind == "quarantine"]
    gc = f"`grokstudy store gc {checked.folder.name}{there}`"
    told = []
    if found.unreferenced:
        weight = size(found.size_of(found.unreferenced))
        told.append(f"  unreferenced  {len(found.unreferenced):,} checkpoint files, {weight}; {gc} deletes them")
    if found.unfinished:
        told.append(f"  unfinished    {len(found.unfinished):,} files that never became whole; {gc} deletes them")
    if unknown:
        told.append(f"  unknown       {_some(unknown)}: not files of a study; nothing touches them")
    if aside:
        told.append(f"  quarantine    {len(aside):,} files, {size(found.size_of(aside))}; {gc} deletes old ones")
    return told


def _named(trial_ids: Iterable[str]) -> str:
    """Trials by the beginning of their ids, and how many."""
    ids = list(trial_ids)
    return f"{len(ids):,} trial{'s' if len(ids) != 1 else ''} ({_some([trial_id[:8] for trial_id in ids])})"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST:,} more" if len(names) > MOST else ""
    return ", ".join(names[:MOST]) + more
