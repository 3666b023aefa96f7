"""What MLflow shall show, as plain values that the caller reads from the study folder."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal

from grokstudy.spec.rows import CurveRows, MeasureRow, TrialRow

StudyState = Literal["running", "finished", "stopped", "failed"]


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class TrialProjection:
    """One trial: the row that counts, its curve and its measures in the default protocol."""

    row: TrialRow
    curve: CurveRows | None = None
    """Evaluations by rising step; None only if the trial has none."""
    measures: Sequence[MeasureRow] = ()


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
