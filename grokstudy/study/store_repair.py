"""Making a damaged study fit to run: what is damaged goes aside, and what depended on it is left to the next run."""

from __future__ import annotations

from collections.abc import Mapping

from grokstudy.store.contents import SETTINGS
from grokstudy.store.quarantine import quarantine, without_lanes, without_trials, without_weights
from grokstudy.study.store_check import Checked


def repair_study(checked: Checked) -> list[str]:
    """Does what `checked.repair` says; names of the files that were moved aside. With the study's lock held.

    States go before rows, rows before the files they depend on: whenever it is killed, the next check still finds what
    is missing.
    """
    folder, found, repair = checked.folder, checked.findings, checked.repair
    for meta in found.snapshots:
        too_late = {id for id in meta.trial_ids if id in repair.states_after and meta.step > repair.states_after[id]}
        without_lanes(folder, meta, too_late)
    whole = {name: file.kind for name, file in found.files.items() if not file.damage}
    if repair.rows_from:
        without_trials(folder, [name for name, kind in whole.items() if kind == "trials"], repair.rows_from)
    if found.bad_rows:
        without_weights(folder, [name for name, kind in whole.items() if kind == "checkpoints"], found.bad_rows)
    folder.put_index(found.relabelled)
    text = None if repair.settings_from is None else folder.get_text(repair.settings_from)
    moved = quarantine(folder, _aside(checked))
    if text is not None:
        folder.put_text(SETTINGS, text)
    return moved


def _aside(checked: Checked) -> Mapping[str, str]:
    """Files to move, by why; study.yaml stays where nothing could replace it."""
    stays = {SETTINGS} if checked.repair.settings_from is None else set()
    return {file.name: file.damage for file in checked.findings.damaged if file.damage and file.name not in stays}
