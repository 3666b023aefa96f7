"""What the run of one trial holds: a pure function of its row, curve and measures."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Literal

from grokstudy.spec.outcome import outcome
from grokstudy.spec.rows import FINAL, Status, TrialRow
from grokstudy.tracking import names
from grokstudy.tracking.notes import trial_note
from grokstudy.tracking.source import TrialMark, TrialProjection
from grokstudy.tracking.thinning import thinned

RunStatus = Literal["FINISHED", "FAILED", "KILLED"]
STATUS: Mapping[Status, RunStatus] = {
    "done": "FINISHED",
    "ended_early": "FINISHED",
    "diverged": "FINISHED",  # an outcome, not a failure
    "failed": "FAILED",
    "stopped": "KILLED",
}
CURVES = ("train_loss", "test_loss", "train_acc", "test_acc", "sum_sq_weights")
"""Curves that become metrics with a history; the others stay in the study folder (a run costs as its points)."""
FACTS = ("t_mem", "t_gen", "t_lose", "diverged_step", "test_acc_at_t_mem", "budget", "steps_run", "seconds")
"""Columns of the row that become metrics with one value."""
LAYOUT = 3
"""Raised when the content of runs changes, so that the next sync writes them again."""


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    """One value of a metric; equal points written twice are one in MLflow."""

    key: str
    value: float
    step: int
    timestamp: int
    """Milliseconds; of two values at one step MLflow shows the later."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunContent:
    """One run as it shall be."""

    name: str
    identity: Mapping[str, str]
    """Tags that exist from the first moment."""
    tags: Mapping[str, str | None]
    """Tags that may change; None = not set."""
    params: Mapping[str, str]
    curves: tuple[Point, ...]
    """By metric, then by rising step."""
    facts: tuple[Point, ...]
    digest: str
    status: RunStatus
    started: int
    ended: int
    """Milliseconds since 1970, both from the row."""
    finished: int = 0
    """Trials of a cell that ran to an end."""

    @property
    def curve_end(self) -> int:
        """Last step with a curve point; -1 without a curve."""
        return max((point.step for point in self.curves), default=-1)


def trial_digest(mark: TrialMark, varied: tuple[str, ...]) -> str:
    """Digest of all that decides what a run is made of: a row that is written again has another `written_at`.

    Args:
        mark: of the trial.
        varied: config paths that name the run.
    """
    text = json.dumps([LAYOUT, varied, *dataclasses.astuple(mark)])
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def trial_content(
    trial: TrialProjection, *, varied: tuple[str, ...], base: int, curve_points: int, digest: str
) -> RunContent:
    """The run of one trial.

    Args:
        varied: config paths that name the run.
        base: milliseconds; curve points are stamped `base + step`, so that writing them again changes nothing.
        curve_points: see `thinning.kept`.
        digest: what `trial_digest` says.
    """
    row = trial.row
    ended = milliseconds(row.written_at)
    curve = tuple(curve_metrics(trial, base, curve_points))
    return RunContent(
        name=names.run_name(row, varied),
        identity={
            names.ROLE: "trial",
            names.STUDY: row.study,
            names.TRIAL: row.trial_id,
            names.CELL: names.cell_key(row),
        },
        tags={
            names.NOTE: trial_note(row, label(row)),
            "grokstudy.status": row.status,
            names.OUTCOME: label(row),
            "grokstudy.retention": row.retention,
            "grokstudy.stop_reason": row.stop_reason,
            "grokstudy.error": row.error,
            "grokstudy.numerics": row.numerics,
            "grokstudy.pack_id": row.pack_id,
            "grokstudy.steps_run": str(row.steps_run),
            "grokstudy.parent_trial": row.parent_trial,
            "grokstudy.parent_step": None if row.parent_step is None else str(row.parent_step),
        },
        params=names.params_of(row),
        curves=curve,
        facts=(*_facts(row, ended, with_finals=not curve), *_measures(trial)),
        digest=digest,
        status=STATUS[row.status],
        started=ended - round(1000 * row.seconds),
        ended=ended,
    )


def curve_metrics(trial: TrialProjection, base: int, curve_points: int) -> Iterator[Point]:
    """The thinned curves; values that are not finite are left out (MLflow would show NaN as 0)."""
    if trial.curve is None:
        return
    curve = thinned(trial.curve, curve_points)
    for key in CURVES:
        for step, value in zip(curve.step.tolist(), getattr(curve, key).tolist(), strict=True):
            if math.isfinite(value):
                yield Point(key, value, step, base + step)


def label(row: TrialRow) -> str | None:
    """Outcome at the default thresholds; None for a trial that did not run to an end."""
    return outcome(row.t_mem, row.t_gen, diverged=row.status == "diverged") if row.status in FINAL else None


def delay_ratio(row: TrialRow) -> float | None:
    """t_gen / t_mem (a t_mem of 0 counts as 1); None unless both were seen."""
    return None if row.t_mem is None or row.t_gen is None else row.t_gen / max(row.t_mem, 1)


def milliseconds(written_at: str) -> int:
    """ISO 8601 time as milliseconds since 1970; without a zone it is UTC."""
    moment = datetime.fromisoformat(written_at)
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)


def _facts(row: TrialRow, written: int, *, with_finals: bool) -> Iterator[Point]:
    values: dict[str, float | None] = {key: getattr(row, key) for key in FACTS}
    values["delay_ratio"] = delay_ratio(row)
    if with_finals:  # with a curve, its last point is the final value
        values |= {key: getattr(row, key) for key in CURVES}
    for key, value in values.items():
        if value is not None and math.isfinite(value):
            yield Point(key, float(value), row.steps_run, written)


def _measures(trial: TrialProjection) -> Iterator[Point]:
    for measure in trial.measures:
        value = measure.value.value
        if value is not None and math.isfinite(value):
            yield Point(measure_key(measure.value.measure), value, measure.step, milliseconds(measure.written_at))


def measure_key(measure: str) -> str:
    """Metric of a measure; the folder keeps measures apart from curves and groups their charts."""
    return names.metric_key(f"measures/{measure}")
