"""What a worker does with a job: runs its pack, and when that fails finds out whose fault it was.

A member that cannot be built fails alone. A pack that fails later is halved, and both halves go on from its last
snapshot, until it runs or a trial is alone with its error: one trial never costs another more than time, and a pack
that is too large for the memory becomes smaller ones. A storage that is away is nobody's fault: the pack waits and
goes on from its last snapshot. The same code with and without Ray.
"""

from __future__ import annotations

import dataclasses
import gc
import os
import random
import time
import traceback
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

from grokstudy.engine.state import Member, start_params
from grokstudy.execution.job import LaneRef, PackJob, Progress
from grokstudy.execution.memory import is_out_of_memory, memory_remedy
from grokstudy.execution.pack import Pack, Tally, own_snapshot
from grokstudy.execution.rows import failed_row
from grokstudy.execution.starts import load_start
from grokstudy.spec import plugins
from grokstudy.spec.decode import decode_trial
from grokstudy.spec.errors import StorageUnavailable
from grokstudy.store.folder import StudyFolder
from grokstudy.store.snapshots import SnapshotMeta

PAUSES = (2.0, 4.0, 8.0, 16.0, 30.0)
"""Seconds before a pack tries again that found the storage away, each a quarter longer or shorter: packs that were
interrupted together do not come back together."""


def work(job: PackJob) -> Generator[Progress]:
    """Runs the trials of a job to their end, from the pack's own snapshot if an earlier attempt left one.

    Trials that cannot be built or stepped (a plug-in raised, memory is short) leave rows with status `failed` and the
    message.

    Raises:
        StorageUnavailable: the storage stays away; what is stored stays, and the same job goes on from there.
    """
    for path in job.plugin_files:
        plugins.add_file(Path(path))
    folder = StudyFolder.open(job.storage, job.study)
    tally = Tally(pack_id=job.pack_id)
    waiting = [job]
    while waiting:
        part = waiting.pop(0)
        waiting[:0] = yield from _patiently(part, folder, tally)


def _patiently(job: PackJob, folder: StudyFolder, tally: Tally) -> Generator[Progress, None, list[PackJob]]:
    """As `_run`; while the storage is away it waits and tries again, anew after every success.

    Raises:
        StorageUnavailable: it stays away.
    """
    tries, stored = 0, (0, 0)
    while True:
        try:
            return (yield from _run(job, folder, tally))
        except StorageUnavailable:
            got_on = (tally.snapshots, len(tally.outcomes))
            tries, stored = (tries if got_on == stored else 0), got_on
            if tries == len(PAUSES):
                raise
        gc.collect()  # what the pack held, before it is built again
        end = time.monotonic() + PAUSES[tries] * random.SystemRandom().uniform(0.75, 1.25)
        tries += 1
        while time.monotonic() < end:
            yield tally.progress(members=len(job.trials), step=job.start_step)  # where it can be told to stop
            time.sleep(min(0.5, max(0.0, end - time.monotonic())))


def _run(job: PackJob, folder: StudyFolder, tally: Tally) -> Generator[Progress, None, list[PackJob]]:
    """Runs one pack; the smaller ones that are left of it if it failed."""
    failure = yield from _attempt(job, folder, tally)
    if failure is None:
        return []
    gc.collect()  # what the failed pack held must be gone before a smaller one is built
    smaller = _smaller(job, folder, tally, failure)
    yield tally.progress(members=sum(len(left.trials) for left in smaller), step=job.start_step)
    return smaller


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Failure:
    """What a pack raised, as text: the exception itself would keep the pack's memory alive."""

    message: str
    out_of_memory: bool
    stepped: bool
    """Whether the pack had been built by then."""


NOT_ITS_FAULT = (KeyboardInterrupt, SystemExit, GeneratorExit, StorageUnavailable)


def _attempt(job: PackJob, folder: StudyFolder, tally: Tally) -> Generator[Progress, None, _Failure | None]:
    """Runs one pack; None if it came to its end."""
    own = own_snapshot(folder, job)
    if own is not None:
        tally.resumed(own)
    ids = [trial_id for trial_id, _ in job.trials if own is None or trial_id in own.trial_ids]
    pack: Pack | None = None
    try:
        members = [_member(job, trial_id, resumed=own is not None or job.start_step > 0) for trial_id in ids]
        pack = Pack(job=job, folder=folder, members=members, own=own, tally=tally)
        yield from pack.run()
    except BaseException as error:  # anything a plug-in may raise; a panic of safetensors is no Exception
        if os.environ.get("GROKSTUDY_DEBUG") or isinstance(error, NOT_ITS_FAULT):
            raise
        return _Failure(
            message=_message(error),
            out_of_memory=is_out_of_memory(error),
            stepped=pack is not None and pack.stepped,
        )
    return None


def _member(job: PackJob, trial_id: str, *, resumed: bool) -> Member:
    """One trial of the job with, if it is a fork, the weights it starts from.

    Raises:
        DamagedFile: the parent's weights cannot be read.
    """
    at = [identity for identity, _ in job.trials].index(trial_id)
    spec, ref = decode_trial(job.trials[at][1]), job.starts[at] if job.starts else None
    start = None if ref is None else load_start(job.storage, ref, spec, resumed=resumed)
    return Member(trial_id=trial_id, spec=spec, start=start)


def _smaller(job: PackJob, folder: StudyFolder, tally: Tally, failure: _Failure) -> list[PackJob]:
    """The jobs that are left of a pack that failed; trials that are done for have their rows."""
    own = own_snapshot(folder, job)
    left = [
        trial_id
        for trial_id, _ in job.trials
        if trial_id not in tally.outcomes and (own is None or trial_id in own.trial_ids)
    ]
    if not left:  # all had their rows when it failed
        return []
    if len(left) == 1:
        _fail(job, folder, tally, {left[0]: _alone(job, left[0], failure)})
        return []
    if not failure.stepped:
        broken = _broken(job, left, resumed=own is not None or job.start_step > 0)
        _fail(job, folder, tally, broken)
        if broken:
            rest = [trial_id for trial_id in left if trial_id not in broken]
            return [_continued(job, rest, own)] if rest else []
    half = (len(left) + 1) // 2
    return [_continued(job, part, own) for part in (left[:half], left[half:])]


def _continued(job: PackJob, trial_ids: Sequence[str], own: SnapshotMeta | None) -> PackJob:
    """The job of some of its trials, going on from the pack's snapshot if it left one."""
    if own is None:
        return job.part(trial_ids)
    in_order = [trial_id for trial_id, _ in job.trials if trial_id in trial_ids]
    lanes = tuple(LaneRef(pack_id=own.pack_id, lane=own.trial_ids.index(trial_id)) for trial_id in in_order)
    return dataclasses.replace(job.part(trial_ids), start_step=own.step, lanes=lanes)


def _broken(job: PackJob, trial_ids: Sequence[str], *, resumed: bool) -> dict[str, str]:
    """Messages of the trials that cannot be built even alone."""
    found = {}
    for trial_id in trial_ids:
        try:
            member = _member(job, trial_id, resumed=resumed)
            member.spec.task.data(member.spec.seeds)
            start_params(member)
        except Exception as error:  # anything a plug-in may raise
            found[trial_id] = _message(error)
    return found


def _fail(job: PackJob, folder: StudyFolder, tally: Tally, messages: Mapping[str, str]) -> None:
    rows = [
        failed_row(job, Member(trial_id=trial_id, spec=decode_trial(data)), messages[trial_id])
        for trial_id, data in job.trials
        if trial_id in messages
    ]
    folder.put_trials(rows)
    for row in rows:
        tally.ended(row.trial_id, "failed")


def _alone(job: PackJob, trial_id: str, failure: _Failure) -> str:
    if not failure.out_of_memory:
        return failure.message
    return f"{memory_remedy(decode_trial(dict(job.trials)[trial_id]))} ({failure.message})"


def _message(error: BaseException) -> str:
    return "".join(traceback.format_exception_only(error)).strip()
