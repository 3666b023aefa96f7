"""What a worker does with a pack: steps it and stores what comes out. The same code with and without Ray.

Order of writes, so that a kill at any moment loses no result and repeats as little as possible:
weights before the index that names them, index and curves before the rows that say "done", index before a snapshot.
"""

from __future__ import annotations

import dataclasses
import os
import time
import traceback
from collections import Counter
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from pathlib import Path

from grokstudy.engine.evaluate import COLUMNS
from grokstudy.engine.loop import Checkpoint, Leaving, Tick, Transition, run_pack
from grokstudy.engine.state import Lane, Member, PackState
from grokstudy.execution.job import PackJob, Progress
from grokstudy.execution.rows import curve_rows, failed_row, finished_row
from grokstudy.spec import plugins
from grokstudy.spec.decode import decode_trial
from grokstudy.spec.outcome import outcome
from grokstudy.spec.rows import CheckpointRow
from grokstudy.store.checkpoints import Kind, put_checkpoint, put_ring
from grokstudy.store.folder import StudyFolder
from grokstudy.store.snapshots import SnapshotMeta, delete_snapshot, get_snapshot, put_snapshot, snapshots

PROGRESS_SECONDS = 0.2


def work(job: PackJob) -> Generator[Progress]:
    """Runs a pack to its end, from its own snapshot if an earlier attempt left one.

    A pack that cannot be built or stepped (a plug-in raised) leaves rows with status `failed` and the message.
    """
    for path in job.plugin_files:
        plugins.add_file(Path(path))
    folder = StudyFolder.open(job.storage, job.study)
    members = [Member(trial_id=trial_id, spec=decode_trial(data)) for trial_id, data in job.trials]
    try:
        yield from _Pack(job, folder, members).run()
    except Exception as error:  # anything a plug-in may raise; the study goes on without this pack
        message = "".join(traceback.format_exception_only(error)).strip()
        if os.environ.get("GROKSTUDY_DEBUG"):
            raise
        folder.put_trials([failed_row(job, member, message) for member in members])
        yield Progress(pack_id=job.pack_id, members=0, step=0, updates=0, outcomes={"failed": len(members)})


@dataclasses.dataclass(slots=True, eq=False)
class _Pack:
    """One attempt at a pack: what is not yet durable, and when the last snapshot was."""

    job: PackJob
    folder: StudyFolder
    members: list[Member]
    index: list[CheckpointRow] = dataclasses.field(default_factory=list)
    outcomes: Counter[str] = dataclasses.field(default_factory=Counter)
    updates: int = 0
    last_step: int = 0
    started: float = dataclasses.field(default_factory=time.monotonic)
    snapshot_at: float = dataclasses.field(default_factory=time.monotonic)
    progress_at: float = 0.0

    def run(self) -> Iterator[Progress]:
        resume = self._resume()
        self.last_step = resume[0] if resume else 0
        state: PackState | None = None
        try:
            for event in run_pack(self.members, self.job.budget, self.job.engine, self.job.checkpoint, resume):
                if isinstance(event, Tick):
                    state, now = event.state, time.monotonic()
                    if now - self.progress_at > PROGRESS_SECONDS:
                        yield self._progress(state)
                        self.progress_at = now
                    if now - self.snapshot_at > self.job.snapshot_seconds:
                        self._snapshot(state)
                elif isinstance(event, Leaving):
                    state = None
                    self._leave(event)
                    yield self._progress(event.state)
                else:
                    self._store_weights(event)
        except GeneratorExit:  # told to stop; only ever raised at a yield, where the state is whole
            if state is not None:
                self._snapshot(state)
            raise

    def _store_weights(self, event: Checkpoint | Transition) -> None:
        pack_id = self.job.pack_id
        if isinstance(event, Transition):
            self.index += put_ring(self.folder, pack_id, event.trial_id, event.tensors, event.steps)
        else:
            kinds: list[Kind] = ["scheduled"] * len(event.trial_ids)
            self.index += put_checkpoint(self.folder, pack_id, event.step, event.tensors, event.trial_ids, kinds)

    def _resume(self) -> tuple[int, list[Lane]] | None:
        """The pack's own snapshot if there is one, else the lanes the job names."""
        job = self.job
        own = {meta.pack_id: meta for meta in snapshots(self.folder)}.get(job.pack_id)
        if own is not None and own.step > job.start_step:
            _, tensors = get_snapshot(self.folder, job.pack_id)
            # Members that are no longer in it diverged before it was taken and have their rows.
            self.members = [member for member in self.members if member.trial_id in own.trial_ids]
            lanes = [own.trial_ids.index(member.trial_id) for member in self.members]
            return own.step, [Lane(tensors=tensors, index=lane) for lane in lanes]
        if not job.lanes:
            return None
        stored = {ref.pack_id: get_snapshot(self.folder, ref.pack_id)[1] for ref in job.lanes}
        return job.start_step, [Lane(tensors=stored[ref.pack_id], index=ref.lane) for ref in job.lanes]

    def _progress(self, state: PackState) -> Progress:
        self.updates += (state.step - self.last_step) * len(state.members)
        self.last_step = state.step
        return Progress(
            pack_id=self.job.pack_id,
            members=len(state.members),
            step=state.step,
            updates=self.updates,
            outcomes=dict(self.outcomes),
            latest=dict(zip(COLUMNS, state.curves[-1][0].tolist(), strict=True)) if len(state.members) == 1 else None,
        )

    def _leave(self, event: Leaving) -> None:
        """Stores members that are done: weights, curves, state to extend from, and last the rows."""
        state, job = event.state, self.job
        kept = [lane for lane in event.lanes if lane not in event.diverged]
        if kept and not (self.index and self.index[-1].step == state.step and self.index[-1].kind == "scheduled"):
            weights = state.layout.views(state.params[kept])
            ids = [state.members[lane].trial_id for lane in kept]
            self.index += put_checkpoint(self.folder, job.pack_id, state.step, weights, ids, ["end"] * len(kept))
        self._flush_index()
        self.folder.put_curves([curve_rows(state, lane) for lane in event.lanes])
        if state.step >= job.budget:
            self._final_snapshot(state, kept)
        seconds = (time.monotonic() - self.started) / len(self.members)
        rows = [finished_row(job, state, lane, lane in event.diverged, seconds) for lane in event.lanes]
        self.folder.put_trials(rows)
        self.outcomes.update(outcome(row.t_mem, row.t_gen, diverged=row.diverged_step is not None) for row in rows)

    def _snapshot(self, state: PackState) -> None:
        self._flush_index()
        put_snapshot(self.folder, self.job.pack_id, state.tensors(), self._meta(state))
        self.snapshot_at = time.monotonic()

    def _final_snapshot(self, state: PackState, kept: list[int]) -> None:
        """The state that a larger budget goes on from."""
        if kept:
            ended = dataclasses.replace(state)
            ended.keep(kept)
            put_snapshot(self.folder, self.job.pack_id, ended.tensors(), self._meta(ended))
        else:
            delete_snapshot(self.folder, self.job.pack_id)

    def _meta(self, state: PackState) -> SnapshotMeta:
        return SnapshotMeta(
            pack_id=self.job.pack_id,
            step=state.step,
            trial_ids=tuple(member.trial_id for member in state.members),
            written_at=datetime.now(UTC).isoformat(),
            numerics=self.job.engine.numerics(),
        )

    def _flush_index(self) -> None:
        self.folder.put_index(self.index)
        self.index = []
