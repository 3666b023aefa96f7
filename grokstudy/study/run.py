"""The life of a study: propose, skip what is done, run, measure, project, report."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from types import FrameType

from grokstudy.circuits._measure import measures
from grokstudy.engine.device import check_device
from grokstudy.execution.executor import Executor, executor
from grokstudy.execution.job import PackJob
from grokstudy.execution.live_measures import check_while_training
from grokstudy.measure_jobs.run import measure_study
from grokstudy.spec.errors import BadInput, GrokstudyError
from grokstudy.spec.outcome import outcome
from grokstudy.spec.proposal import AdaptiveSampler
from grokstudy.spec.study import StudySpec
from grokstudy.store.compact import compact
from grokstudy.store.folder import StudyFolder
from grokstudy.store.lock import StudyLock
from grokstudy.store.snapshots import snapshots
from grokstudy.store.views import TrialState, connect, read_trials
from grokstudy.study.adaptive import Asker, adaptive_plan
from grokstudy.study.board import Board
from grokstudy.study.document import check_same_study, merged, record_attempt, stored_spec
from grokstudy.study.forks import Parents
from grokstudy.study.holding import held
from grokstudy.study.live import Projection
from grokstudy.study.mode import resolved_mode
from grokstudy.study.packs import AskedPacks, Packs
from grokstudy.study.plan import PlannedTrial, is_done, pack_jobs, planned_trials, start_refs, stored_states
from grokstudy.study.superseded import drop_superseded
from grokstudy.tracking.settings import resolved_uri

MANY_PARTS = 17
"""Of one kind, from which a run leaves one: every question opens all of them."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class StudyPlan:
    """What a run of the study would do."""

    spec: StudySpec
    folder: StudyFolder
    trials: tuple[PlannedTrial, ...]
    left: tuple[PlannedTrial, ...]
    jobs: tuple[PackJob, ...]
    asker: Asker | None = None
    """Asks an adaptive sampler for what comes after `jobs`; None = all trials are known."""
    over: str | None = None
    """Why an adaptive sampler will not be asked again."""

    @property
    def planned(self) -> int:
        """Trials of the study; at most so many if an adaptive sampler is not done."""
        sampler = self.spec.sampler
        more = sampler.n_trials if isinstance(sampler, AdaptiveSampler) and self.over is None else 0
        return max(len(self.trials), more)

    @property
    def updates(self) -> int:
        """Member updates to make."""
        return sum((job.budget - job.start_step) * len(job.trials) for job in self.jobs)


@dataclasses.dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class StudyResult:
    """What a run of the study did."""

    folder: StudyFolder
    planned: int
    ran: int
    outcomes: Mapping[str, int]
    report: tuple[str, ...]
    stopped: bool
    over: str | None = None
    """Why an adaptive sampler asked for no more; None for other samplers, and if it was not heard to the end."""

    @property
    def all_failed(self) -> bool:
        """Whether trials ran and none of them came to anything."""
        return 0 < self.ran == self.outcomes.get("failed", 0)


def plan_study(
    spec: StudySpec, slots: int, *, only_censored: bool = False, trials: Sequence[PlannedTrial] | None = None
) -> StudyPlan:
    """Which trials the study has and which are left, without changing anything.

    Args:
        spec: the study.
        slots: packs at a time.
        only_censored: extend only trials that have not generalised.
        trials: those that an earlier plan of this spec found; None = find them. An adaptive sampler is always asked.

    Raises:
        BadInput: a setting or value cannot be used, or the study exists with other fixed settings.
    """
    measures(spec.measures.names, spec.measures.key_freq_rule)
    check_while_training(spec.measures.while_training)
    check_device(spec.engine)
    folder = StudyFolder.open(spec.storage.root, spec.name)
    if spec.tracking.enabled:
        resolved_uri(spec.tracking, folder.storage.uri)  # refuses an address that cannot be used, before anything runs
    old = stored_spec(folder)
    states: dict[str, TrialState] = {}
    if old is not None:
        check_same_study(old, spec)
        states = {state.trial_id: state for state in read_trials(folder)}
    parents = Parents(folder.storage, spec.name)
    if isinstance(spec.sampler, AdaptiveSampler):
        return _adaptive(spec, folder, old, parents, slots)
    if trials is None:
        trials = planned_trials(spec, spec.sampler.propose(spec.axes, 0, ()) or [], parents)
    left = [
        trial
        for trial in trials
        if not is_done(states.get(trial.trial_id), spec.budget, spec.early_end, only_censored=only_censored)
    ]
    kept = None if old is None else old.engine
    spec = dataclasses.replace(spec, engine=resolved_mode(spec.engine, kept, [t.spec for t in left], spec.budget))
    stored = stored_states(snapshots(folder), spec.budget) if left and old is not None else {}
    starts = start_refs(left, stored, parents)
    jobs = pack_jobs(spec, folder.storage.uri, left, stored, starts, slots)
    return StudyPlan(spec=spec, folder=folder, trials=tuple(trials), left=tuple(left), jobs=tuple(jobs))


def _adaptive(spec: StudySpec, folder: StudyFolder, old: StudySpec | None, parents: Parents, slots: int) -> StudyPlan:
    """The plan of a study whose sampler is asked as it runs: what is open now, and who asks."""
    expected = [spec.trial({})] * spec.sampler.n_trials if isinstance(spec.sampler, AdaptiveSampler) else []
    kept = None if old is None else old.engine
    spec = dataclasses.replace(spec, engine=resolved_mode(spec.engine, kept, expected, spec.budget))
    found = adaptive_plan(spec, folder, slots, parents)
    asker = Asker(spec=spec, folder=folder, slots=slots, parents=parents)
    return StudyPlan(
        spec=spec, folder=folder, trials=found.trials, left=found.left, jobs=found.jobs, asker=asker, over=found.over
    )


def with_next_batch(plan: StudyPlan) -> StudyPlan:
    """The plan with the batch that its sampler would ask for next, if it is adaptive; nothing is stored.

    Raises:
        BadInput: the sampler, or a trial it asks for, cannot be.
    """
    if plan.asker is None or plan.left or plan.over is not None:
        return plan
    trials, jobs = plan.asker.preview()
    return dataclasses.replace(plan, trials=(*plan.trials, *trials), left=trials, jobs=jobs)


def run_study(
    spec: StudySpec,
    board: Board,
    execution: Executor | None = None,
    *,
    only_censored: bool = False,
    max_hours: float | None = None,
) -> StudyResult:
    """Runs what is missing of a study, to its report.

    A first SIGINT lets running packs take a snapshot and ends the study in order, a second one at once; SIGTERM ends
    the process within 3 s as `held` says. Running it again goes on.

    Args:
        spec: the study.
        board: where its progress is shown.
        execution: where packs run, which the caller closes; None = what `cluster` says, for this run.
        only_censored: extend only trials that have not generalised.
        max_hours: ends the study in order after so long.

    Raises:
        BadInput: as `plan_study`.
        StorageUnavailable: the storage is away or full.
        StudyBusy: another live process runs this study, or took it over from this one.
    """
    if max_hours is not None and not max_hours > 0:
        raise BadInput(f"--max-hours: got {max_hours}, must be > 0.")
    with executor(spec.cluster) if execution is None else contextlib.nullcontext(execution) as execution:
        plan = plan_study(spec, execution.slots(), only_censored=only_censored)
        board.where = plan.folder.where("")[:-1]
        with held(plan.folder, board) as lock:
            plan.folder.storage.sweep(plan.folder.name, 0)  # no pack runs: what is unfinished was left by the killed
            plan = plan_study(  # another may just have ended
                plan.spec, execution.slots(), only_censored=only_censored, trials=plan.trials
            )
            record_attempt(plan.folder, merged(stored_spec(plan.folder), plan.spec))
            return _run(plan, execution, board, max_hours, lock)


def _run(plan: StudyPlan, execution: Executor, board: Board, max_hours: float | None, lock: StudyLock) -> StudyResult:
    spec, folder = plan.spec, plan.folder
    board.planned, board.done_before = plan.planned, len(plan.trials) - len(plan.left)
    board.updates_planned = plan.updates
    board.outcomes = _outcomes_before(plan)
    deadline = None if max_hours is None else time.monotonic() + max_hours * 3600
    with _interruptible(lock) as interrupt:
        with Projection(spec, folder, board, lost=lock.lost) as projection, _hurried(projection, interrupt):
            over = plan.over
            if plan.jobs or (plan.asker is not None and over is None):
                board.stage = "training"
                with _packs(plan, board, projection, interrupt, deadline) as source:
                    execution.run_packs(source, f"{spec.name}-{os.getpid()}")
                over = source.over
                lock.refuse_if_lost()
                drop_superseded(folder, spec.budget)
            stopped = interrupt.is_set() or (deadline is not None and time.monotonic() > deadline)
            if not stopped and spec.measures.names:
                board.stage = "measuring"
                stopped = _measured_until(interrupt, spec, execution, board, folder)
            execution.release()
            lock.refuse_if_lost()
            projection.free()
            board.stage = "reporting"
            report = _report(
                folder, stored_spec(folder) or spec, changed=bool(plan.jobs or board.done_now or board.to_measure)
            )
            projection.state = "stopped" if stopped else "finished"
        with contextlib.suppress(GrokstudyError, OSError):  # a storage that is full or away: all rows are there
            lock.refuse_if_lost()
            compact(folder, at_least=MANY_PARTS)  # after everything that reads: no part is deleted under it
            folder.storage.sweep(folder.name, 0)  # nor does one now
    board.stage = "stopped" if stopped else "finished"
    return StudyResult(
        folder=folder,
        planned=board.planned,
        ran=board.done_now.total(),
        outcomes=dict(board.all_outcomes),
        report=tuple(report),
        stopped=stopped,
        over=over,
    )


def _packs(
    plan: StudyPlan, board: Board, projection: Projection, interrupt: threading.Event, deadline: float | None
) -> Packs:
    """What the executor is given: the plan's packs, and those that an adaptive sampler asks for after them."""
    if plan.asker is None:
        return Packs(plan.jobs, board, projection, interrupt, deadline)
    return AskedPacks(plan.jobs, board, projection, interrupt, deadline, plan.asker, over=plan.over)


def _measured_until(
    interrupt: threading.Event, spec: StudySpec, execution: Executor, board: Board, folder: StudyFolder
) -> bool:
    """Measures what is missing; True if it was interrupted before the end."""
    wanted = spec.measures
    for measured in measure_study(folder, execution, wanted.names, wanted.key_freq_rule, wanted.checkpoints):
        board.measuring(measured)
        if interrupt.is_set():
            return True
    return False


def _report(folder: StudyFolder, spec: StudySpec, *, changed: bool) -> list[str]:
    """Files of the report, written again only if there is something new to show."""
    stored = [name.rpartition("/")[2] for name in folder.names("report/")]
    if stored and not changed:
        return stored
    from grokstudy.study.report import write_report  # loads the figure libraries

    return write_report(folder, spec)


def _outcomes_before(plan: StudyPlan) -> Counter[str]:
    """Outcomes of the trials that need no run."""
    done = {trial.trial_id for trial in plan.trials} - {trial.trial_id for trial in plan.left}
    with connect([plan.folder]) as connection:
        rows = connection.execute("SELECT trial_id, t_mem, t_gen, status FROM trials").fetchall()
    counting = [row for row in rows if row[0] in done]
    return Counter(outcome(t_mem, t_gen, diverged=status == "diverged") for _, t_mem, t_gen, status in counting)


@contextlib.contextmanager
def _hurried(projection: Projection, interrupt: threading.Event) -> Iterator[None]:
    """Leaves MLflow little time when the block ends early."""
    try:
        yield
    finally:
        projection.hurried = interrupt.is_set()


@contextlib.contextmanager
def _interruptible(lock: StudyLock) -> Iterator[threading.Event]:
    """An event that the first SIGINT sets; the second one, or one because the lock is lost, is a KeyboardInterrupt."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return

    def on_signal(number: int, frame: FrameType | None) -> None:
        if event.is_set() or lock.lost.is_set():
            raise KeyboardInterrupt
        event.set()

    before = signal.signal(signal.SIGINT, on_signal)
    try:
        yield event
    finally:
        signal.signal(signal.SIGINT, before)
