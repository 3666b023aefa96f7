"""Measuring: a pure reading of checkpoints, in this process or as a Ray task."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch
from torch import Tensor

from grokstudy.circuits._keys import Rule, rule_of
from grokstudy.circuits._measure import measures, values_of
from grokstudy.measure_jobs.job import MeasureJob, TrialToMeasure
from grokstudy.measure_jobs.subjects import at_end, weights
from grokstudy.spec import plugins
from grokstudy.spec.decode import decode_trial
from grokstudy.spec.errors import DamagedFile
from grokstudy.spec.measure import Measure
from grokstudy.spec.rows import CheckpointRow, MeasureRow
from grokstudy.store.folder import StudyFolder


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What came out of one job."""

    rows: list[MeasureRow]
    damaged: list[str]
    """Messages about files that could not be read; everything else was measured."""


def measure(job: MeasureJob) -> Measured:
    """All rows of one job. Key frequencies of a trial come from its last generalised checkpoint (a first pass)."""
    torch.set_num_threads(1)
    for path in job.plugin_files:
        plugins.add_file(Path(path))
    folder = StudyFolder.open(job.storage, job.study)
    chosen, rule = measures(job.measures, job.rule), rule_of(job.rule)
    measured = Measured(rows=[], damaged=[])
    for trial in job.trials:
        try:
            _trial(folder, trial, chosen, rule, measured)
        except DamagedFile as error:  # the file that the trial's key frequencies come from
            measured.damaged.append(str(error))
    return measured


def _trial(
    folder: StudyFolder, trial: TrialToMeasure, chosen: Sequence[tuple[str, Measure]], rule: Rule, measured: Measured
) -> None:
    spec = decode_trial(trial.config)
    generalised = trial.keys_from is not None
    final = _readable(folder, trial.last) if trial.keys_from is None else weights(folder, trial.keys_from)
    end = at_end(spec, rule, start=_readable(folder, trial.start), final=final, generalised=generalised)
    for checkpoint in trial.checkpoints:
        try:
            subject = dataclasses.replace(end, params=weights(folder, checkpoint))
        except DamagedFile as error:
            measured.damaged.append(str(error))
            continue
        written = datetime.now(UTC).isoformat()
        measured.rows.extend(
            MeasureRow(trial_id=trial.trial_id, step=checkpoint.step, value=value, written_at=written)
            for value in values_of(chosen, subject)
        )


def _readable(folder: StudyFolder, checkpoint: CheckpointRow | None) -> dict[str, Tensor] | None:
    """Weights that others are compared with; None if they are not there: what needs them says so."""
    try:
        return None if checkpoint is None else weights(folder, checkpoint)
    except DamagedFile:  # named where the checkpoint itself is measured
        return None
