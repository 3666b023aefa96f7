"""A copy of a study to hand on: rows, curves, measures, report and weights, without this machine's paths."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Literal, get_args

from grokstudy.measure_jobs.plan import last_generalised
from grokstudy.spec.errors import unknown
from grokstudy.spec.outcome import LABELS
from grokstudy.spec.rows import CheckpointRow
from grokstudy.store.checkpoints import checkpoints
from grokstudy.store.copy import copy_checkpoints, copy_rows
from grokstudy.store.folder import StudyFolder
from grokstudy.store.views import connect
from grokstudy.study.document import FILE, without_places
from grokstudy.study.new_folder import new_folder
from grokstudy.study.proposals import ENDING

Weights = Literal["none", "final", "all"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What was written."""

    folder: StudyFolder
    trials: int
    checkpoints: int
    size: int
    """Bytes."""


def share_study(source: StudyFolder, to: str, weights: str = "final") -> Shared:
    """Writes `to`/STUDY, a folder that opens like the study itself; snapshots are left out.

    Args:
        to: a directory or s3://BUCKET/PREFIX.
        weights: none; final: files with the start, the last generalised checkpoint and the end of a trial; all.

    Raises:
        BadInput: the folder exists, or another choice of weights.
        DamagedFile: a part or a checkpoint file of the study cannot be read.
    """
    if weights not in get_args(Weights):
        raise unknown("checkpoints", weights, get_args(Weights))
    target = StudyFolder.open(to, source.name)
    with new_folder(target, "Give another --to, or delete it first."):
        with connect([source]) as connection:
            outcomes = dict(connection.execute("SELECT outcome, count(*) FROM trials GROUP BY 1").fetchall())
            identities = [row[0] for row in connection.execute("SELECT trial_id FROM trials").fetchall()]
        copy_rows(source, target, "trials", identities)
        copy_rows(source, target, "curves", identities)
        copy_rows(source, target, "measures", identities)
        if source.parts("proposals"):
            copy_rows(source, target, "proposals", identities)
        if (over := source.get_text(ENDING)) is not None:
            target.put_text(ENDING, over)
        rows = _chosen(source, weights)
        copy_checkpoints(source, target, rows)
        for name in source.names("report"):
            target.put_bytes(name, source.get_bytes(name) or b"")
        for name in source.names("attempts"):
            target.put_text(name, without_places(source, name))
        target.put_text("README.md", _readme(source.name, outcomes, weights, len(rows)))
        target.put_text(FILE, without_places(source, FILE))
    return Shared(folder=target, trials=len(identities), checkpoints=len(rows), size=target.size())


def _chosen(source: StudyFolder, weights: str) -> Sequence[CheckpointRow]:
    """Rows of the files to copy: a file holds a pack, so that with one trial's weights come those beside it."""
    if weights == "none":
        return []
    rows = checkpoints(source)
    if weights == "all":
        return rows
    stored: dict[str, list[CheckpointRow]] = {}
    for row in rows:
        stored.setdefault(row.trial_id, []).append(row)
    with connect([source]) as connection:
        generalised = last_generalised(connection, stored)
    ends = [row for own in stored.values() for row in (own[0], own[-1])]
    files = {row.file for row in (*ends, *generalised.values())}
    return [row for row in rows if row.file in files]


def _readme(name: str, outcomes: dict[str, int], weights: str, rows: int) -> str:
    counts = ", ".join(f"{outcomes[label]} {label}" for label in LABELS if label in outcomes)
    kept = {
        "none": "Weights are left out; measures that were stored can be read, new ones cannot be computed.",
        "final": f"{rows:,} checkpoints: the start, the last generalised one and the end of every trial, and those "
        "that share a file with them.",
        "all": f"All {rows:,} checkpoints.",
    }[weights]
    return f"""# {name}

A study of grokstudy: {sum(outcomes.values()):,} trials ({counts or "none finished"}).

Keep the folder's name and put it into any directory DIR. Then

    grokstudy phases {name} --storage DIR --x SETTING --y SETTING
    grokstudy query {name} --storage DIR --tables

or, in Python,

    import grokstudy as gs
    study = gs.open("{name}", "DIR")
    study.trials(), study.curves(), study.measures()

| file | holds |
|---|---|
| `study.yaml`, `attempts/` | the settings, and the versions that ran it |
| `trials/ curves/ measures/ proposals/` | Parquet, readable by anything; NULL, never NaN |
| `checkpoints/` | safetensors and their index |
| `report/` | picture, page, text and table |

{kept} Snapshots are left out: trials can be measured and drawn, but going on with them starts them anew.
"""
