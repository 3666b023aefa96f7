"""One pack as a worker runs it: what the loop yields is stored, and a snapshot taken by the clock.

Order of writes, so that a kill at any moment loses no result and repeats as little as possible:
weights before the index that names them, index and curves before the rows that say "done", index before a snapshot.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from grokstudy.engine.evaluate import COLUMNS
from grokstudy.engine.loop import Checkpoint, Leaving, Tick, Transition, run_pack
from grokstudy.engine.memory import member_bytes
from grokstudy.engine.state import Lane, Member, PackState
from grokstudy.execution.job import PackJob, Progress
from grokstudy.execution.live_measures import LiveMeasures
from grokstudy.execution.memory import claim
from grokstudy.execution.rows import curve_rows, finished_row
from grokstudy.spec.errors import StorageUnavailable
from grokstudy.spec.outcome import outcome
from grokstudy.spec.rows import CheckpointRow
from grokstudy.store.checkpoints import STATE, Kind, put_checkpoint, put_ring
from grokstudy.store.folder import StudyFolder
from grokstudy.store.snapshots import SnapshotMeta, delete_snapshot, get_snapshot, put_snapshot, snapshot_meta

PROGRESS_SECONDS = 0.2
HELD = 4
"""A pack's state is held so many times while a snapshot is written: the tensors, the file's text and two copies on its
way to the store."""


@dataclasses.dataclass(slots=True, eq=False, kw_only=True)
class Tally:
    """Counters of a job, over all the packs that its trials are stepped in."""

    pack_id: str
    """Of the job as it was handed out: the study knows it by this name."""
    updates: int = 0
    outcomes: dict[str, str] = dataclasses.field(default_factory=dict)
    """By trial: its outcome, or `failed`. A trial that is here has its row."""
    snapshots: int = 0
    """How many were written."""

    def ended(self, trial_id: str, outcome: str) -> None:
        """A trial's row was written."""
        self.outcomes[trial_id] = outcome

    def resumed(self, own: SnapshotMeta) -> None:
        """A pack goes on from a snapshot of an earlier start: what that had counted counts."""
        self.outcomes = {**own.ended, **self.outcomes}
        self.updates = max(self.updates, own.updates)

    def progress(self, *, members: int, step: int, latest: Mapping[str, float] | None = None) -> Progress:
        """How far the job is, with `members` being stepped now."""
        return Progress(
            pack_id=self.pack_id,
            members=members,
            step=step,
            updates=self.updates,
            outcomes=dict(Counter(self.outcomes.values())),
            latest=latest,
        )


def own_snapshot(folder: StudyFolder, job: PackJob) -> SnapshotMeta | None:
    """What an earlier attempt at this very pack has left. Members that are not in it diverged before it was taken."""
    found = snapshot_meta(folder, job.pack_id)
    return found if found is not None and found.step > job.start_step else None


@dataclasses.dataclass(slots=True, eq=False, kw_only=True)
class Pack:
    """One attempt at a pack: what is not yet durable, and when the last snapshot was."""

    job: PackJob
    folder: StudyFolder
    members: list[Member]
    """Those of the job that are still to be stepped."""
    own: SnapshotMeta | None
    """What `own_snapshot` found."""
    tally: Tally
    stepped: bool = False
    """Whether the pack could be built, so that its loop yielded anything."""
    index: list[CheckpointRow] = dataclasses.field(default_factory=list)
    measured: LiveMeasures = dataclasses.field(init=False)
    last_step: int = 0
    started: float = dataclasses.field(default_factory=time.monotonic)
    snapshot_at: float = dataclasses.field(default_factory=time.monotonic)
    progress_at: float = 0.0

    def __post_init__(self) -> None:
        self.measured = LiveMeasures(names=self.job.measures)

    def run(self) -> Iterator[Progress]:
        """Steps the pack to its end, from its own snapshot if an earlier attempt left one."""
        claim(HELD * len(self.members) * member_bytes(self.members[0].spec, ring=False))
        resume = self._resume()
        self.last_step = resume[0] if resume else 0
        state: PackState | None = None
        try:
            job = self.job
            for event in run_pack(self.members, job.budget, job.engine, job.checkpoint, resume, job.early_end):
                self.stepped = True
                if isinstance(event, Checkpoint):
                    self._store_weights(event.state, range(len(event.state.members)), "scheduled")
                    self.measured.look(event.state)
                elif isinstance(event, Transition):
                    self._store_transition(event)
                elif isinstance(event, Tick):
                    state, now = event.state, time.monotonic()
                    if now - self.progress_at > PROGRESS_SECONDS:
                        yield self._progress(state)
                        self.progress_at = now
                    if now - self.snapshot_at > self.job.snapshot_seconds:
                        self._snapshot(state)
                else:
                    state = None
                    self._leave(event)
                    yield self._progress(event.state)
        except GeneratorExit:  # told to stop; only ever raised at a yield, where the state is whole
            if state is not None:
                with contextlib.suppress(StorageUnavailable):  # an earlier snapshot, or a training again, must do
                    self._snapshot(state)
            raise

    def _store_weights(self, state: PackState, lanes: Sequence[int], kind: Kind) -> None:
        chosen = list(lanes)
        tensors = dict(state.layout.views(state.params[chosen]))
        if self.job.checkpoint.state:
            tensors |= {STATE + name: tensor[chosen] for name, tensor in state.optimizer.items()}
        ids = [state.members[lane].trial_id for lane in chosen]
        self.index += put_checkpoint(self.folder, self.job.pack_id, state.step, tensors, ids, [kind] * len(ids))

    def _store_transition(self, event: Transition) -> None:
        self.index += put_ring(self.folder, self.job.pack_id, event.trial_id, event.tensors, event.steps)

    def _resume(self) -> tuple[int, list[Lane]] | None:
        """The pack's own snapshot if there is one, else the lanes the job names."""
        job = self.job
        if self.own is not None:
            _, tensors = get_snapshot(self.folder, job.pack_id)
            lanes = [self.own.trial_ids.index(member.trial_id) for member in self.members]
            return self.own.step, [Lane(tensors=tensors, index=lane) for lane in lanes]
        if not job.lanes:
            return None
        stored = {ref.pack_id: get_snapshot(self.folder, ref.pack_id)[1] for ref in job.lanes}
        return job.start_step, [Lane(tensors=stored[ref.pack_id], index=ref.lane) for ref in job.lanes]

    def _progress(self, state: PackState) -> Progress:
        self.tally.updates += (state.step - self.last_step) * len(state.members)
        self.last_step = state.step
        return self.tally.progress(
            members=len(state.members),
            step=state.step,
            latest=dict(zip(COLUMNS, state.curves[-1][0].tolist(), strict=False)) if len(state.members) == 1 else None,
        )

    def _leave(self, event: Leaving) -> None:
        """Stores members that are done: weights, curves, state to extend from, and last the rows."""
        state, job = event.state, self.job
        kept = [lane for lane in event.lanes if lane not in event.diverged]
        if kept and not (self.index and self.index[-1].step == state.step and self.index[-1].kind == "scheduled"):
            self._store_weights(state, kept, "end")
        self._flush_index()
        self.folder.put_curves([curve_rows(state, lane) for lane in event.lanes])
        if state.step >= job.budget:
            self._final_snapshot(state, kept)
        seconds = (time.monotonic() - self.started) / len(self.members)
        rows = [finished_row(job, state, lane, event.why(lane), seconds) for lane in event.lanes]
        self.folder.put_trials(rows)
        for row in rows:
            self.tally.ended(row.trial_id, outcome(row.t_mem, row.t_gen, diverged=row.diverged_step is not None))

    def _snapshot(self, state: PackState) -> None:
        self._flush_index()
        put_snapshot(self.folder, self.job.pack_id, state.tensors(), self._meta(state))
        self.snapshot_at = time.monotonic()
        self.tally.snapshots += 1

    def _final_snapshot(self, state: PackState, kept: list[int]) -> None:
        """The state that a larger budget goes on from."""
        if kept:
            ended = dataclasses.replace(state)
            ended.keep(kept)
            put_snapshot(self.folder, self.job.pack_id, ended.tensors(), self._meta(ended))
        else:
            delete_snapshot(self.folder, self.job.pack_id)

    def _meta(self, state: PackState) -> SnapshotMeta:
        ended = self.tally.outcomes
        return SnapshotMeta(
            pack_id=self.job.pack_id,
            step=state.step,
            trial_ids=tuple(member.trial_id for member in state.members),
            written_at=datetime.now(UTC).isoformat(),
            numerics=self.job.engine.numerics(),
            updates=self.tally.updates + (state.step - self.last_step) * len(state.members),
            ended={trial_id: ended[trial_id] for trial_id, _ in self.job.trials if trial_id in ended},
        )

    def _flush_index(self) -> None:
        self.folder.put_index(self.index)
        self.index = []
        self.folder.put_measures(self.measured.taken())
