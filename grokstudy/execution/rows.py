"""Rows of finished and failed trials."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np

from grokstudy.engine.evaluate import COLUMNS, SLICE_COLUMNS, TEST_ACC, TRAIN_ACC
from grokstudy.engine.state import Member, PackState
from grokstudy.execution.job import PackJob
from grokstudy.spec.identity import config_columns
from grokstudy.spec.outcome import TAU, retention, sustained
from grokstudy.spec.rows import CurveRows, TrialRow
from grokstudy.spec.trial import TrialSpec

UNKNOWN_IF_FAILED = (
    *("t_mem", "t_mem_lo", "t_gen", "t_gen_lo", "retention", "t_lose", "diverged_step", "test_acc_at_t_mem"),
    *("train_loss", "test_loss", "train_acc", "test_acc", "sum_sq_weights"),
)


def curve_rows(state: PackState, lane: int) -> CurveRows:
    """The whole curve of one member."""
    steps, columns = state.curve(lane)
    values: dict[str, Any] = {name: columns[:, i] for i, name in enumerate(COLUMNS)}
    if columns.shape[1] > len(COLUMNS):
        values["slices"] = columns[:, len(COLUMNS) :].reshape(len(columns), -1, len(SLICE_COLUMNS))
    return CurveRows(trial_id=state.members[lane].trial_id, step=steps, **values)


def finished_row(
    job: PackJob, state: PackState, lane: int, status: Literal["done", "ended_early", "diverged"], seconds: float
) -> TrialRow:
    """The row of a member that reached the budget, diverged or ended early; times are at the default tau."""
    member = state.members[lane]
    steps, columns = state.curve(lane)
    mem = sustained(steps, columns[:, TRAIN_ACC] >= TAU)
    test_above = columns[:, TEST_ACC] >= TAU
    gen = sustained(steps, test_above)
    kept, t_lose = retention(steps, test_above, gen.t if gen else None)
    last = {name: _finite(columns[-1, i]) for i, name in enumerate(COLUMNS)}
    at_mem = _finite(columns[np.searchsorted(steps, mem.t), TEST_ACC]) if mem else None
    return TrialRow(
        **_shared(job, member),
        steps_run=state.step,
        status=status,
        stop_reason={"done": None, "diverged": "a loss is not finite", "ended_early": job.early_end.reason()}[status],
        t_mem=mem.t if mem else None,
        t_mem_lo=mem.lo if mem else None,
        t_gen=gen.t if gen else None,
        t_gen_lo=gen.lo if gen else None,
        retention=kept,
        t_lose=t_lose,
        diverged_step=state.step if status == "diverged" else None,
        test_acc_at_t_mem=at_mem,
        train_loss=last["train_loss"],
        test_loss=last["test_loss"],
        train_acc=last["train_acc"],
        test_acc=last["test_acc"],
        sum_sq_weights=last["sum_sq_weights"],
        error=None,
        seconds=seconds,
    )


def failed_row(job: PackJob, member: Member, message: str) -> TrialRow:
    """The row of a trial whose pack raised."""
    nothing: dict[str, Any] = dict.fromkeys(UNKNOWN_IF_FAILED)
    return TrialRow(
        **_shared(job, member),
        **nothing,
        steps_run=0,
        status="failed",
        stop_reason="the pack raised an error",
        error=message,
        seconds=0.0,
    )


def _shared(job: PackJob, member: Member) -> dict[str, Any]:
    spec: TrialSpec = member.spec
    return {
        "trial_id": member.trial_id,
        "study": job.study,
        "pack_id": job.pack_id,
        "seed": spec.seed,
        "seed_data": spec.seeds.data,
        "seed_init": spec.seeds.init,
        "seed_batch": spec.seeds.batch,
        "seed_noise": spec.seeds.noise,
        "budget": job.budget,
        "lr_wd": spec.lr * spec.strengths()["weight_decay"],
        "parent_trial": spec.init.parent[0] if spec.init.parent else None,
        "parent_step": spec.init.parent[1] if spec.init.parent else None,
        "slices": json.dumps(spec.task.slices()) if spec.task.slices() else None,
        "numerics": f"{job.engine.numerics()},{spec.engine.dtype}",
        "written_at": datetime.now(UTC).isoformat(),
        "config": config_columns(spec),
    }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
