"""What a study left behind, in a form that can be compared: numbers of trials, never how or when they were run."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
from torch import Tensor

from grokstudy.store.checkpoints import checkpoints, load_lane
from grokstudy.store.folder import StudyFolder
from grokstudy.store.views import connect

HOW_IT_RAN = ["seconds", "written_at", "pack_id", "file", "lane", "sha256", "study"]


def tables(root: Path | os.PathLike[str], study: str) -> dict[str, pd.DataFrame]:
    """Trials, curves, measures and the list of checkpoints, in a fixed order, without how they were run."""
    orders = {
        "trials": "trial_id",
        "curves": "trial_id, step",
        "measures_long": "trial_id, step, measure, protocol",
        "checkpoints": "trial_id, step",
    }
    with connect([StudyFolder.open(str(root), study)]) as connection:
        frames = {
            view: connection.execute(f"SELECT * FROM {view} ORDER BY {order}").df() for view, order in orders.items()
        }
    return {view: frame.drop(columns=[c for c in HOW_IT_RAN if c in frame]) for view, frame in frames.items()}


def weights(root: Path | os.PathLike[str], study: str) -> dict[tuple[str, int], dict[str, Tensor]]:
    """Every kept network by (trial, step)."""
    folder = StudyFolder.open(str(root), study)
    return {(row.trial_id, row.step): load_lane(folder, row) for row in checkpoints(folder)}


def assert_equal(left: dict[str, pd.DataFrame], right: dict[str, pd.DataFrame]) -> None:
    """Bit for bit: no tolerance."""
    for view, frame in left.items():
        pd.testing.assert_frame_equal(frame, right[view], check_exact=True, obj=view)
