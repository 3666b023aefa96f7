"""Measuring a study from Python: a measure by name, which is stored, or a plain function, which is not."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pandas as pd
import torch

from grokstudy.circuits._function import Function, as_plugin
from grokstudy.circuits._measure import measures
from grokstudy.execution.inline import Inline
from grokstudy.measure_jobs.plan import missing_jobs
from grokstudy.measure_jobs.run import measure_study
from grokstudy.measure_jobs.work import measure
from grokstudy.spec import plugins
from grokstudy.spec.errors import DamagedFile, unknown
from grokstudy.spec.rows import MeasureRow
from grokstudy.store.folder import StudyFolder
from grokstudy.store.lock import study_lock
from grokstudy.store.views import connect

COLUMNS = ("trial_id", "step", "measure", "value", "values", "protocol", "reason")
CHECKPOINTS = ("final", "all")


def measured(folder: StudyFolder, what: str | Function, checkpoints: str, rule: str) -> pd.DataFrame:
    """One row per checkpoint and value, as `Study.measure` explains."""
    if checkpoints not in CHECKPOINTS:
        raise unknown("checkpoints", checkpoints, CHECKPOINTS)
    threads = torch.get_num_threads()
    try:
        if isinstance(what, str):
            return _stored(folder, what, checkpoints, rule)
        return _of(folder, what, checkpoints, rule)
    finally:  # measuring sets it to 1
        torch.set_num_threads(threads)


def _stored(folder: StudyFolder, name: str, checkpoints: str, rule: str) -> pd.DataFrame:
    """Computes what is missing, stores it and reads it all."""
    ((_, found),) = measures([name], rule)
    with study_lock(folder):
        for progress in measure_study(folder, Inline(), [name], rule, checkpoints):
            damaged = progress.damaged
    if damaged:
        raise DamagedFile(f"{folder.name}: {len(damaged)} checkpoints could not be measured: {damaged[0]}")
    with connect([folder]) as connection:
        frame: pd.DataFrame = connection.execute(
            f"SELECT {', '.join(COLUMNS)} FROM measures_long WHERE list_contains(?, measure) AND version = ? "
            "ORDER BY trial_id, step, measure, protocol",
            [[name, *found.names], found.version],
        ).df()
    return frame


def _of(folder: StudyFolder, function: Function, checkpoints: str, rule: str) -> pd.DataFrame:
    """Values of the function at every checkpoint, on the same path as stored measures."""
    # No file has such a name, so that nothing stored stands in its place.
    name = f"{getattr(function, '__name__', type(function).__name__)}()"
    kind = as_plugin(function, name)
    rows: list[MeasureRow] = []
    with plugins.lent("circuits", name, kind), connect([folder]) as connection:
        for job in missing_jobs(folder, connection, [name], rule, checkpoints):
            found = measure(job)
            if found.damaged:
                raise DamagedFile(f"{folder.name}: {found.damaged[0]}")
            rows += found.rows
    return _frame(rows)


def _frame(rows: Sequence[MeasureRow]) -> pd.DataFrame:
    records = [{"trial_id": row.trial_id, "step": row.step, **dataclasses.asdict(row.value)} for row in rows]
    frame = pd.DataFrame.from_records(records, columns=list(COLUMNS))
    frame["measure"] = frame["measure"].str.removesuffix("()")
    return frame.sort_values(["trial_id", "step"], ignore_index=True)
