"""What MLflow shall show, as plain values that the caller reads from the study folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

from grokstudy.spec.rows import FINAL, CurveRows, MeasureRow, Status, TrialRow

StudyState = Literal["running", "finished", "stopped", "failed"]


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class TrialProjection:
    """One trial: the row that counts, its curve and its measures in the default protocol."""

    row: TrialRow
    curve: CurveRows | None = None
    """Evaluations by rising step; None only if the trial has none."""
    measures: Sequence[MeasureRow] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TrialMark:
    """What tells whether a trial has changed, without its row, curve and measures being read."""

    trial_id: str
    status: Status
    steps_run: int
    written_at: str
    """Of the row; its curve was stored before it."""
    measures: int
    """Measured values ..."""
    versions: int
    """... the sum of their versions ..."""
    measured_at: str | None
    """... and when the newest of them was written; None = there is none."""

    @property
    def is_final(self) -> bool:
        """Whether it ran to an end."""
        return self.status in FINAL


class Trials(Protocol):
    """The trials of a study, most of which a sync never has to read."""

    def marks(self) -> Sequence[TrialMark]:
        """Every counting trial, in the order in which they are to be shown."""

    def rows(self, trial_ids: Sequence[str]) -> Sequence[TrialRow]:
        """The counting rows of these trials."""

    def read(self, trial_ids: Sequence[str]) -> Sequence[TrialProjection]:
        """These trials with their curves and measures: a few hundred at a time."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Loaded:
    """`Trials` that are all in memory."""

    trials: Sequence[TrialProjection]

    def marks(self) -> Sequence[TrialMark]:
        return [_mark(trial) for trial in self.trials]

    def rows(self, trial_ids: Sequence[str]) -> Sequence[TrialRow]:
        return [trial.row for trial in self.read(trial_ids)]

    def read(self, trial_ids: Sequence[str]) -> Sequence[TrialProjection]:
        wanted = set(trial_ids)
        return [trial for trial in self.trials if trial.row.trial_id in wanted]


def _mark(trial: TrialProjection) -> TrialMark:
    measured = [measure for measure in trial.measures if measure.value.value is not None]
    return TrialMark(
        trial_id=trial.row.trial_id,
        status=trial.row.status,
        steps_run=trial.row.steps_run,
        written_at=trial.row.written_at,
        measures=len(measured),
        versions=sum(measure.value.version for measure in measured),
        measured_at=max((measure.written_at for measure in measured), default=None),
    )


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class StudyProjection:
    """One study as it stands now."""

    name: str
    config_yaml: str
    """The resolved study (study.yaml)."""
    varied: tuple[str, ...]
    """Config paths that vary, in the order of the axes; they name the runs (`wd=0.3 frac=0.4 s=2`)."""
    state: StudyState
    n_planned: int
    n_cells: int | None = None
    """Cells that these trials make, if that is known beforehand."""
    n_done: int
    """Trials with a final status."""
    outcomes: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """Trials by outcome, and by `failed` and `stopped`."""
    metrics: Mapping[str, float | None] = dataclasses.field(default_factory=dict)
    """Numbers of the study as a whole, e.g. of the fitted boundary."""
    report: Mapping[str, bytes] = dataclasses.field(default_factory=dict)
    """Files by name: report.md, phase.html, phase.png, trials.csv."""
    note_markdown: str = ""
    """Shown on top of the experiment: what the study is and how to repeat it."""
