"""What a study will cost, from timing a few updates of each kind of pack on this machine."""

from __future__ import annotations

import dataclasses

from grokstudy.engine.filters import filter_state
from grokstudy.engine.loop import DTYPES
from grokstudy.engine.memory import parameters
from grokstudy.engine.ring import CAPACITY
from grokstudy.engine.signature import signature
from grokstudy.execution.job import PackJob
from grokstudy.spec.schedule import is_checkpoint
from grokstudy.spec.settings import CheckpointSettings
from grokstudy.spec.trial import TrialSpec
from grokstudy.study.run import StudyPlan
from grokstudy.study.timing import seconds_per_update

TIMED_MEMBERS = 4


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
    engine = plan.spec.engine
    specs = {trial.trial_id: trial.spec for trial in plan.left}
    seconds, size = 0.0, 0
    for job in plan.jobs:
        members = [specs[trial_id] for trial_id, _ in job.trials]
        key = signature(members[0])
        if key not in per_update:
            # A compiled gradient is timed eagerly: compiling just to say how long it takes would take longest.
            seconds_each = seconds_per_update(members[:TIMED_MEMBERS], engine, compiled=False)
            per_update[key] = seconds_each, parameters(members[0])
        cost, numbers = per_update[key]
        seconds += cost * len(members) * (job.budget - job.start_step)
        size += len(members) * _bytes(job, plan.spec.checkpoint, numbers, members[0])
    return Estimate(seconds=seconds / max(1, min(slots, len(plan.jobs))), bytes=size)


def at_most(plan: StudyPlan, batch: Estimate, slots: int) -> Estimate:
    """What the study may cost at most: the same as `batch`, or for an adaptive one as many trials as are left."""
    left = plan.planned - (len(plan.trials) - len(plan.left))
    if plan.asker is None or not plan.left or left <= len(plan.left):
        return batch
    each = batch.seconds * max(1, min(slots, len(plan.jobs))) / len(plan.left)
    return Estimate(seconds=each * left / slots, bytes=round(batch.bytes * left / len(plan.left)))


def multiplications(spec: TrialSpec) -> int:
    """Parameters times rows of an update: its size to within a small factor."""
    return parameters(spec) * (spec.batch_size or spec.task.train_rows())


def _bytes(job: PackJob, checkpoint: CheckpointSettings, numbers: int, spec: TrialSpec) -> int:
    scheduled = sum(is_checkpoint(step, checkpoint.steps) for step in range(job.start_step, job.budget + 1))
    whole = 1 + scheduled if checkpoint.schedule else 1
    stored_state = 1 + len(spec.optimizer.state_names()) + len(filter_state(spec.optimizer))
    kept = whole * (stored_state if checkpoint.state else 1) + (CAPACITY if checkpoint.ring else 0)
    return numbers * DTYPES[spec.engine.dtype].itemsize * (kept + stored_state)
