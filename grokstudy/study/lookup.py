"""Finding one trial by a prefix of its id over all studies under a storage root."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from grokstudy.spec.errors import BadInput
from grokstudy.spec.rows import CheckpointRow
from grokstudy.store.checkpoints import checkpoints_of
from grokstudy.store.folder import StudyFolder
from grokstudy.store.gc import removal_note
from grokstudy.store.storage import Storage
from grokstudy.store.trial_configs import trial_configs
from grokstudy.store.views import connect
from grokstudy.study.listing import listed, nearest_steps


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StoredTrial:
    """A trial in one of the studies that have it."""

    trial_id: str
    folder: StudyFolder
    config: Mapping[str, Any]
    """Plain config that `decode_trial` reads."""
    checkpoints: Mapping[int, CheckpointRow]
    """By rising step."""


def find_trial(prefix: str, root: str) -> StoredTrial:
    """The trial whose id starts with `prefix`, in the study where it has come furthest.

    Raises:
        BadInput: no trial starts like this, or several do.
    """
    storage = Storage.open(root)
    found: dict[str, list[StudyFolder]] = {}
    for name in storage.studies():
        folder = StudyFolder(storage, name)
        with connect([folder]) as connection:
            rows = connection.execute("SELECT trial_id FROM trials WHERE starts_with(trial_id, ?)", [prefix])
            for (identity,) in rows.fetchall():
                found.setdefault(identity, []).append(folder)
    if not found:
        if prefix in storage.studies():
            raise BadInput(
                f"TRIAL: '{prefix}' is a study; give the start of one of its trials' ids: `grokstudy trials {prefix}`."
            )
        raise BadInput(
            f"TRIAL: got '{prefix}', but no trial under {storage.uri} starts like this. `grokstudy trials STUDY` lists "
            f"the trials of a study; studies here: {listed(storage.studies())}."
        )
    if len(found) > 1:
        raise BadInput(
            f"TRIAL: got '{prefix}', {len(found)} trials start like this: {listed(sorted(found))}. Give more digits."
        )
    ((identity, folders),) = found.items()
    return max((_stored(folder, identity) for folder in folders), key=lambda trial: max(trial.checkpoints, default=-1))


def checkpoint_at(trial: StoredTrial, step: int | None) -> CheckpointRow:
    """The trial's checkpoint at a step; None = its last one.

    Raises:
        BadInput: it has none there; names the nearest ones.
    """
    steps = list(trial.checkpoints)
    if not steps:
        raise BadInput(
            f"--step: trial {trial.trial_id} in {trial.folder.name} has no checkpoint.{removal_note(trial.folder)}"
        )
    if step is None:
        return trial.checkpoints[steps[-1]]
    if step not in trial.checkpoints:
        raise BadInput(
            f"--step: got {step}, trial {trial.trial_id} has no checkpoint there; nearest: "
            f"{nearest_steps(steps, step)}. Name one of them, or run it with checkpoint.steps=[{step}] under another "
            f"--name.{removal_note(trial.folder)}"
        )
    return trial.checkpoints[step]


def _stored(folder: StudyFolder, identity: str) -> StoredTrial:
    with connect([folder]) as connection:
        config = trial_configs(connection)[identity]
    return StoredTrial(trial_id=identity, folder=folder, config=config, checkpoints=checkpoints_of(folder, identity))
