"""What a study can do without, by policy: weights that nobody will measure again, states that nobody goes on from."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

from grokstudy.measure_jobs.plan import last_generalised
from grokstudy.spec.errors import BadInput, DamagedFile, unknown
from grokstudy.spec.rows import FINAL, CheckpointRow
from grokstudy.store import gc
from grokstudy.store.checkpoints import checkpoints
from grokstudy.store.damage import damaged_parts
from grokstudy.store.folder import StudyFolder
from grokstudy.store.snapshots import snapshots
from grokstudy.store.views import connect
from grokstudy.study.superseded import superseded

Weights = Literal["all", "scheduled", "transition", "final"]
States = Literal["keep", "superseded", "all"]
DAYS = 30.0
"""A damaged file stays in quarantine so long: its owner may find a backup to compare it with."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What goes.

    Raises:
        BadInput: a word that is none of these, or a negative time.
    """

    checkpoints: str = "all"
    """Which weights stay: all; scheduled: all but the dense windows; transition: start, t_mem to t_gen, last
    generalised, end; final: start, last generalised, end."""
    snapshots: str = "superseded"
    """Which states go: keep: none; superseded: those that no trial would go on from; all."""
    older_than: float = DAYS
    """Days that a damaged file stays in quarantine."""

    def __post_init__(self) -> None:
        if self.checkpoints not in get_args(Weights):
            raise unknown("--checkpoints", self.checkpoints, get_args(Weights))
        if self.snapshots not in get_args(States):
            raise unknown("--snapshots", self.snapshots, get_args(States))
        if not self.older_than >= 0:
            raise BadInput(f"--older-than: got {self.older_than}, must be >= 0 days.")


def planned_gc(folder: StudyFolder, policy: Policy) -> tuple[gc.Waste, ...]:
    """What would go; nothing is deleted.

    Raises:
        DamagedFile: a part cannot be read that says what is needed.
    """
    for part in damaged_parts(folder):
        raise DamagedFile(f"{part} Nothing is deleted from a study with a damaged part.")
    metas = snapshots(folder)
    states = {"keep": (), "superseded": superseded(metas, 0), "all": tuple(metas)}[policy.snapshots]
    return (
        gc.weighed(folder, "checkpoints", _weights(folder, policy.checkpoints)),
        gc.weighed(folder, "snapshots", [f"snapshots/{meta.pack_id}.safetensors" for meta in states]),
        gc.weighed(folder, "unreferenced", gc.unreferenced(folder)),
        gc.weighed(folder, "quarantine", gc.old_quarantine(folder, policy.older_than)),
        gc.left_unfinished(folder),
    )


def collect(folder: StudyFolder, policy: Policy) -> tuple[gc.Waste, ...]:
    """Deletes what `planned_gc` names; call it with the study's lock held, so that nobody is just writing it.

    Raises:
        DamagedFile: as `planned_gc`.
    """
    waste = planned_gc(folder, policy)
    for some in waste:
        if some.group == "checkpoints":
            gc.delete_checkpoints(folder, some.names, policy.checkpoints)
        elif some.group == "unfinished":
            folder.storage.sweep(folder.name, 0.0)
        else:
            folder.delete(some.names)
    return waste


def _weights(folder: StudyFolder, choice: str) -> list[str]:
    """Checkpoint files of which no lane is to stay: a file holds a pack, so that with one trial's stay those beside
    it."""
    if choice == "all":
        return []
    stored: dict[str, list[CheckpointRow]] = {}
    for row in checkpoints(folder):
        stored.setdefault(row.trial_id, []).append(row)
    staying = {row.file for row in _staying(folder, stored, choice)}
    return sorted({row.file for row in gc.index_rows(folder)} - staying)


def _staying(folder: StudyFolder, stored: Mapping[str, Sequence[CheckpointRow]], choice: str) -> list[CheckpointRow]:
    wanted = ", ".join(f"'{status}'" for status in FINAL)
    with connect([folder]) as connection:
        times = {
            trial_id: (t_mem, t_gen)
            for trial_id, t_mem, t_gen in connection.execute(
                f"SELECT trial_id, t_mem, t_gen FROM trials WHERE status IN ({wanted})"
            ).fetchall()
        }
        generalised = last_generalised(connection, stored)
    parents = _parents(folder)
    stay: list[CheckpointRow] = []
    for trial_id, rows in stored.items():
        if trial_id not in times:  # it goes on: nobody knows yet which of its weights matter
            stay += rows
            continue
        stay += [rows[0], rows[-1], *([generalised[trial_id]] if trial_id in generalised else [])]
        stay += [row for row in rows if (trial_id, row.step) in parents or _is_chosen(row, choice, *times[trial_id])]
    return stay


def _is_chosen(row: CheckpointRow, choice: str, t_mem: int | None, t_gen: int | None) -> bool:
    if choice == "scheduled":
        return row.kind != "ring"
    return choice == "transition" and t_mem is not None and t_gen is not None and t_mem <= row.step <= t_gen


def _parents(folder: StudyFolder) -> set[tuple[str, int]]:
    """(trial, step) that a fork in any study under this storage root starts from: it needs them to be run again."""
    found: set[tuple[str, int]] = set()
    for name in folder.storage.studies():
        with contextlib.closing(connect([StudyFolder(folder.storage, name)])) as connection:
            found |= set(
                connection.execute(
                    "SELECT DISTINCT parent_trial, parent_step FROM trials WHERE parent_trial IS NOT NULL"
                ).fetchall()
            )
    return found
