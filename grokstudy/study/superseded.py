"""Snapshots that no trial would go on from."""

from __future__ import annotations

from collections.abc import Sequence

from grokstudy.store.folder import StudyFolder
from grokstudy.store.snapshots import SnapshotMeta, delete_snapshot, snapshots
from grokstudy.study.plan import stored_states


def superseded(metas: Sequence[SnapshotMeta], budget: int) -> tuple[SnapshotMeta, ...]:
    """Those of the snapshots that hold no trial's furthest state.

    Args:
        metas: all snapshots of a study.
        budget: steps that trials may go to; further states count as well.
    """
    furthest = max([budget, *(meta.step for meta in metas)])
    used = {state.lane.pack_id for state in stored_states(metas, furthest).values()}
    return tuple(meta for meta in metas if meta.pack_id not in used)


def drop_superseded(folder: StudyFolder, budget: int) -> None:
    """Deletes them. With the study's lock held."""
    for meta in superseded(snapshots(folder), budget):
        delete_snapshot(folder, meta.pack_id)
