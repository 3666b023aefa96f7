"""What a study will cost, from timing a few updates of each kind of pack on this machine."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence

import torch

from grokstudy.engine.batch import PackData
from grokstudy.engine.filters import filter_state
from grokstudy.engine.loop import DTYPES
from grokstudy.engine.ring import CAPACITY
from grokstudy.engine.signature import signature
from grokstudy.engine.state import Member, PackState
from grokstudy.engine.step import Update
from grokstudy.execution.job import PackJob
from grokstudy.spec.schedule import is_checkpoint
from grokstudy.spec.settings import CheckpointSettings
from grokstudy.spec.trial import TrialSpec
from grokstudy.study.run import StudyPlan

TIMED_MEMBERS = 4
TIMED_SECONDS = 1.0
"""At most so long per distinct shape."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Rough cost of what is left to run."""

    seconds: float
    """Wall-clock time of stepping on this machine; evaluation, checkpoints and start-up add to it."""
    bytes: int
    """Upper bound for checkpoints and stored states."""


def estimate(plan: StudyPlan, slots: int) -> Estimate:
    """Times each distinct shape once and adds up the packs."""
    per_update: dict[str, tuple[float, int]] = {}
    specs = {trial.trial_id: trial.spec for trial in plan.left}
    seconds, size = 0.0, 0
    for job in plan.jobs:
        members = [specs[trial_id] for trial_id, _ in job.trials]
        key = signature(members[0])
        if key not in per_update:
            per_update[key] = _timed(members[:TIMED_MEMBERS], plan)
        cost, parameters = per_update[key]
        seconds += cost * len(members) * (job.budget - job.start_step)
        size += len(members) * _bytes(job, plan.spec.checkpoint, parameters, members[0])
    return Estimate(seconds=seconds / max(1, min(slots, len(plan.jobs))), bytes=size)


def multiplications(spec: TrialSpec) -> int:
    """Parameters times rows of an update: its size to within a small factor."""
    state = PackState.start([Member(trial_id="", spec=spec)], torch.float32, torch.device("cpu"))
    return state.layout.size * (spec.batch_size or spec.task.train_rows())


def _timed(specs: Sequence[TrialSpec], plan: StudyPlan) -> tuple[float, int]:
    """Seconds per member and update, and parameters per member."""
    device, dtype = torch.device(plan.spec.engine.device), DTYPES[specs[0].engine.dtype]
    threads = torch.get_num_threads()
    torch.set_num_threads(plan.spec.engine.threads)
    try:
        state = PackState.start([Member(trial_id=str(i), spec=spec) for i, spec in enumerate(specs)], dtype, device)
        data = PackData.build(specs, dtype, device, state.layout, state.params)
        update = Update(specs, state.layout, data.shape, state.params, state.params, compiled=False)
        update(state.params, state.optimizer, 0, data.batch(0))  # the first one allocates
        start, count = time.monotonic(), 0
        while count < 1 or (time.monotonic() - start < TIMED_SECONDS and count < 50):
            count += 1
            update(state.params, state.optimizer, count, data.batch(count))
        return (time.monotonic() - start) / count / len(specs), state.layout.size
    finally:
        torch.set_num_threads(threads)


def _bytes(job: PackJob, checkpoint: CheckpointSettings, parameters: int, spec: TrialSpec) -> int:
    scheduled = sum(is_checkpoint(step, checkpoint.steps) for step in range(job.start_step, job.budget + 1))
    whole = 1 + scheduled if checkpoint.schedule else 1
    stored_state = 1 + len(spec.optimizer.state_names()) + len(filter_state(spec.optimizer))
    kept = whole * (stored_state if checkpoint.state else 1) + (CAPACITY if checkpoint.ring else 0)
    return parameters * DTYPES[spec.engine.dtype].itemsize * (kept + stored_state)
