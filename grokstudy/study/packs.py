"""A study's packs as the executors see them: all planned ahead, or asked for as slots free up."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from grokstudy.execution.job import Death, PackJob, Progress
from grokstudy.spec.errors import StorageUnavailable
from grokstudy.store.folder import StudyFolder
from grokstudy.store.snapshots import snapshot_meta
from grokstudy.study.adaptive import Asked, Asker, in_words
from grokstudy.study.board import Board
from grokstudy.study.live import Projection
from grokstudy.study.retries import Deaths, Reached


class Packs:
    """Packs that are all known before the first one runs. `with Packs(...) as packs:`.

    A pack that died is handed out again, and goes on from its snapshot, as long as it gets on. A storage that stays
    away ends the study in order: leaving the block raises StorageUnavailable.
    """

    def __init__(
        self,
        jobs: Sequence[PackJob],
        board: Board,
        projection: Projection,
        interrupt: threading.Event,
        deadline: float | None,
    ) -> None:
        self._jobs, self._board, self._projection = deque(jobs), board, projection
        self._interrupt, self._deadline = interrupt, deadline
        self._running: dict[str, PackJob] = {}
        self._deaths: dict[str, Deaths] = {}
        self._finished: dict[str, int] = {}
        self._storage_away: str | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._storage_away is not None:
            raise StorageUnavailable(self._storage_away)

    @property
    def over(self) -> str | None:
        """Why an adaptive sampler asks for no more; None for others, and if it was not heard to the end."""
        return None

    def next(self) -> PackJob | None:
        return self._handed_out() if self._jobs and not self.stopping else None

    def progress(self, progress: Progress) -> None:
        self._finished[progress.pack_id] = sum(progress.outcomes.values())
        self._board.pack(progress)

    def finished(self, job: PackJob, death: Death | None) -> None:
        del self._running[job.pack_id]
        if death is None or self.stopping:
            self._ended(job, None)
            return
        deaths = self._deaths.get(job.pack_id, Deaths()).after(self._reached(job))
        self._deaths[job.pack_id] = deaths
        if deaths.may_start_again(job.retries):
            self._jobs.appendleft(job)
        elif death.storage_away:
            self._storage_away = death.reason
        else:
            self._ended(job, f"{death.reason}, {deaths.in_vain} times in a row without getting on")

    def notice(self, text: str) -> None:
        self._board.notices.append(text)

    @property
    def exhausted(self) -> bool:
        """A pack that runs may still have to be handed out again."""
        return self.stopping or not (self._jobs or self._running)

    @property
    def stopping(self) -> bool:
        late = self._deadline is not None and time.monotonic() > self._deadline
        return late or self._interrupt.is_set() or self._storage_away is not None

    def _handed_out(self) -> PackJob:
        job = self._jobs.popleft()
        self._running[job.pack_id] = job
        return job

    def _ended(self, job: PackJob, error: str | None) -> None:
        """A pack that will not be handed out again; `error` if it was given up."""
        self._board.pack_finished(job, error)
        if error is not None:
            self.notice(f"A pack of {len(job.trials)} trials failed: {error}. Run again to retry them.")
        self._projection.due()

    def _reached(self, job: PackJob) -> Reached:
        """How far a pack that died has come; its snapshot counts for nothing while the storage is away."""
        step = job.start_step
        with contextlib.suppress(StorageUnavailable):
            meta = snapshot_meta(StudyFolder.open(job.storage, job.study), job.pack_id)
            step = max(step, 0 if meta is None else meta.step)
        return Reached(step=step, finished=self._finished.get(job.pack_id, 0))


class AskedPacks(Packs):
    """Open packs first, then those that an adaptive sampler asks for. `with AskedPacks(...) as packs:`.

    The sampler is asked when the queue holds less than a quarter of the members that are being stepped; it knows what
    is finished by then and what is running. It thinks in a thread of its own, and is waited for only while nothing
    runs. Where packs are stepped in this very process it is asked between packs: two threads would take each other's
    time, and so the same study proposes the same trials.
    """

    def __init__(
        self,
        jobs: Sequence[PackJob],
        board: Board,
        projection: Projection,
        interrupt: threading.Event,
        deadline: float | None,
        asker: Asker,
        *,
        over: str | None,
    ) -> None:
        super().__init__(jobs, board, projection, interrupt, deadline)
        self._asker, self._over = asker, over
        self._heard: set[str] = set()
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sampler")
        self._asking: Future[Asked] | None = None
        self._error: BaseException | None = None
        self._news = True
        self._alone = asker.spec.cluster.kind == "none"

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(cancel_futures=True)  # what it stores meanwhile is found by the next run
        if kind is None and self._error is not None:
            raise self._error
        super().__exit__(kind, value, trace)

    @property
    def over(self) -> str | None:
        return self._over

    def next(self) -> PackJob | None:
        while not self.stopping:
            self._collect()
            if self._is_low() and not (self._alone and self._jobs):
                self._ask()
            if self._jobs:
                return self._handed_out()
            if self._asking is None or (self._running and not self._alone):
                return None
            self._asking.exception()  # nothing runs that waiting could hold up
        return None

    @property
    def exhausted(self) -> bool:
        asks = self._over is None or self._asking is not None
        return self.stopping or not (asks or self._jobs or self._running)

    def _ended(self, job: PackJob, error: str | None) -> None:
        """What its trials showed is in the study folder, where the sampler looks."""
        self._heard.update(trial_id for trial_id, _ in job.trials)
        self._news = True
        super()._ended(job, error)

    def _is_low(self) -> bool:
        queued = sum(len(job.trials) for job in self._jobs)
        return 4 * queued < max(1, sum(len(job.trials) for job in self._running.values()))

    def _ask(self) -> None:
        """Asks unless it is thinking, is done, or has said that it waits and nothing has happened since."""
        if self._asking is None and self._over is None and self._news:
            self._news = False
            self._asking = self._thread.submit(self._asker.ask, frozenset(self._heard))

    def _collect(self) -> None:
        """Takes an answer that is there."""
        if self._asking is None or not self._asking.done():
            return
        thought, self._asking = self._asking, None
        if (error := thought.exception()) is not None:  # packs that run come to their end first
            self._error, self._over = error, "the sampler failed"
            return
        asked = thought.result()
        self._jobs += asked.jobs
        self._heard.difference_update(trial_id for job in asked.jobs for trial_id, _ in job.trials)
        # A batch that was all handed out at once leaves slots free: ask for the next without waiting for an outcome.
        self._news = self._news or bool(asked.jobs)
        self._over = asked.answer.over
        if self._over is None and not (self._news or self._jobs or self._running):
            self._over = "the sampler waits for trials that nobody runs"
        self._show(asked)

    def _show(self, asked: Asked) -> None:
        board, spec = self._board, self._asker.spec
        board.sampler_state = asked.answer.state or in_words(asked.answer.check)
        board.planned = asked.proposed if asked.answer.over else max(board.planned, asked.proposed)
        waiting = sum((job.budget - job.start_step) * len(job.trials) for job in (*self._jobs, *self._running.values()))
        left = 0 if asked.answer.over else max(board.planned - asked.proposed, 0)
        board.updates_planned = board.updates + waiting + left * spec.budget
