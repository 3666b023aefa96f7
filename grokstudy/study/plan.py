"""Which trials a study has, which are left to do, and how they are packed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from grokstudy.engine.memory import member_bytes
from grokstudy.engine.signature import signature
from grokstudy.execution.job import LaneRef, PackJob, StartRef
from grokstudy.spec import plugins
from grokstudy.spec.axes import Point
from grokstudy.spec.decode import decode_trial
from grokstudy.spec.identity import trial_id
from grokstudy.spec.rows import TrialRow
from grokstudy.spec.settings import EarlyEndSettings
from grokstudy.spec.study import StudySpec, with_values
from grokstudy.spec.trial import TrialSpec
from grokstudy.store.snapshots import SnapshotMeta
from grokstudy.store.views import TrialState
from grokstudy.study.forks import Parents

NEVER = EarlyEndSettings()
RECORDS = ("task", "model", "optimizer", "regularization", "loss", "init", "noise", "engine")
"""Groups of a trial's config that become records."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class PlannedTrial:
    """One trial of the study."""

    trial_id: str
    point: Point
    config: Mapping[str, Any]
    spec: TrialSpec


def planned_trials(spec: StudySpec, points: Iterable[Point], parents: Parents) -> list[PlannedTrial]:
    """The trials at these points in their order, each trial once however many points lead to it.

    Raises:
        BadInput: a value cannot be used, or a fork's parent is not found.
    """
    base = spec.trial({})
    trials: dict[str, PlannedTrial] = {}
    for point in points:
        config = with_values(spec.base, point)
        trial = _decoded(config, point, base)
        start = parents.resolved(trial)
        if start is not None and start != trial.init.from_:
            config = with_values(config, {"init.from": start})
            trial = dataclasses.replace(trial, init=dataclasses.replace(trial.init, from_=start))
        identity = trial_id(trial)
        if identity not in trials:
            trials[identity] = PlannedTrial(trial_id=identity, point=point, config=config, spec=trial)
    return list(trials.values())


def _decoded(config: Mapping[str, Any], point: Point, base: TrialSpec) -> TrialSpec:
    """The trial of a config. Groups in which the point sets nothing are those of `base`, decoded once for all."""
    touched = {path.partition(".")[0] for path in point}
    return decode_trial({**config, **{group: getattr(base, group) for group in RECORDS if group not in touched}})


def is_done(
    state: TrialState | TrialRow | None,
    budget: int,
    early_end: EarlyEndSettings = NEVER,
    *,
    only_censored: bool = False,
) -> bool:
    """Whether nothing is left to do for a trial at this budget.

    A failed or stopped trial is never done, a diverged one always, one that ended early as long as the rule still lets
    it; `only_censored` leaves those with a t_gen alone too.
    """
    if state is None or state.status in ("failed", "stopped"):
        return False
    if state.status == "diverged" or early_end.is_due(state.steps_run, state.t_gen):
        return True
    return state.steps_run >= budget or (only_censored and state.t_gen is not None)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StoredState:
    """Where a trial can go on from."""

    lane: LaneRef
    step: int


def stored_states(metas: Sequence[SnapshotMeta], budget: int) -> dict[str, StoredState]:
    """The furthest stored state of every trial, not beyond the budget."""
    best: dict[str, StoredState] = {}
    for meta in metas:
        for lane, identity in enumerate(meta.trial_ids):
            if meta.step <= budget and (identity not in best or best[identity].step < meta.step):
                best[identity] = StoredState(lane=LaneRef(pack_id=meta.pack_id, lane=lane), step=meta.step)
    return best


def start_refs(
    trials: Sequence[PlannedTrial], stored: Mapping[str, StoredState], parents: Parents
) -> dict[str, StartRef]:
    """Where every fork among the trials starts from.

    Raises:
        BadInput: one of them cannot start from its parent.
    """
    return {
        trial.trial_id: parents.start(trial.spec, resumed=trial.trial_id in stored)
        for trial in trials
        if trial.spec.init.parent is not None
    }


def pack_jobs(
    spec: StudySpec,
    storage: str,
    trials: Sequence[PlannedTrial],
    stored: Mapping[str, StoredState],
    starts: Mapping[str, StartRef],
    slots: int,
) -> list[PackJob]:
    """Packs of trials with equal signature and equal step, in the order of their first trial.

    A group is cut so that every slot gets a part of it and none idles at the end, and so that a pack fits
    `cluster.pack_memory`.
    """
    groups: dict[tuple[str, int], list[PlannedTrial]] = {}
    for trial in trials:
        step = stored[trial.trial_id].step if trial.trial_id in stored else 0
        groups.setdefault((signature(trial.spec), step), []).append(trial)
    jobs = []
    for (_, step), members in groups.items():
        size = min(spec.cluster.pack_size, math.ceil(len(members) / slots))
        if size > 1:
            fit = int(spec.cluster.pack_memory * 1e9 / member_bytes(members[0].spec, ring=spec.checkpoint.ring))
            size = max(1, min(size, fit))
        for start in range(0, len(members), size):
            part = members[start : start + size]
            refs = tuple(starts.get(trial.trial_id) for trial in part)
            jobs.append(
                PackJob(
                    study=spec.name,
                    storage=storage,
                    trials=tuple((trial.trial_id, trial.config) for trial in part),
                    budget=spec.budget,
                    start_step=step,
                    lanes=tuple(stored[trial.trial_id].lane for trial in part) if step else (),
                    starts=refs if any(refs) else (),
                    engine=spec.engine,
                    checkpoint=spec.checkpoint,
                    early_end=spec.early_end,
                    snapshot_seconds=spec.cluster.snapshot_seconds,
                    retries=spec.cluster.retries,
                    plugin_files=tuple(plugins.files()),
                    measures=spec.measures.while_training,
                )
            )
    order = {trial.trial_id: i for i, trial in enumerate(trials)}
    return sorted(jobs, key=lambda job: order[job.trials[0][0]])
