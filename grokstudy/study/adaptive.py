"""Asking an adaptive sampler: what it answers is stored before any of it is run."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from grokstudy.execution.job import PackJob
from grokstudy.spec.proposal import AdaptiveSampler, Answer, Check, Told
from grokstudy.spec.rows import ProposalRow
from grokstudy.spec.study import StudySpec
from grokstudy.store.compact import compact
from grokstudy.store.folder import StudyFolder
from grokstudy.store.snapshots import snapshots
from grokstudy.study.forks import Parents
from grokstudy.study.plan import PlannedTrial, is_done, pack_jobs, planned_trials, start_refs, stored_states
from grokstudy.study.proposals import Known, ending, new_rows, put_ending, question, target, trials_of

MANY_PARTS = 64
"""Of trials or proposals, from which they are made one: the sampler reads all of them each time it is asked."""
FRUITLESS = 3
"""Times in a row that a sampler may ask for nothing but trials that are there."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AdaptivePlan:
    """Where an adaptive study stands."""

    trials: tuple[PlannedTrial, ...]
    """Every trial proposed so far that is one of the study as it is now."""
    left: tuple[PlannedTrial, ...]
    """Those of them that are open."""
    jobs: tuple[PackJob, ...]
    over: str | None
    """Why the sampler will not be asked again; None = it will."""


def adaptive_plan(spec: StudySpec, folder: StudyFolder, slots: int, parents: Parents) -> AdaptivePlan:
    """What the study has proposed and what of it is open, without asking the sampler.

    Raises:
        BadInput: a fork's parent is not found.
    """
    if not folder.exists():
        return AdaptivePlan(trials=(), left=(), jobs=(), over=None)
    known = Known.read(folder)
    rows = known.open(spec)
    trials, left = (tuple(trials_of(spec, some, parents)) for some in (known.proposals, rows))
    found = ending(folder)
    over = found.reason if found is not None and found.question == question(spec) else None
    jobs = jobs_of(spec, folder, left, rows, slots, parents, going_on=True)
    return AdaptivePlan(trials=trials, left=left, jobs=tuple(jobs), over=over)


def jobs_of(
    spec: StudySpec,
    folder: StudyFolder,
    trials: Sequence[PlannedTrial],
    rows: Sequence[ProposalRow],
    slots: int,
    parents: Parents,
    *,
    going_on: bool,
) -> list[PackJob]:
    """Packs of proposed trials: as of any study, those of equal budget together.

    Args:
        going_on: whether some may have made steps already, so that stored states are looked up.
    """
    steps = {row.trial_id: target(spec, row) for row in rows}
    stored = stored_states(snapshots(folder), spec.budget) if trials and going_on else {}
    starts = start_refs(trials, stored, parents)
    jobs: list[PackJob] = []
    for budget in sorted(set(steps.values())):
        some = [trial for trial in trials if steps[trial.trial_id] == budget]
        jobs += pack_jobs(dataclasses.replace(spec, budget=budget), folder.storage.uri, some, stored, starts, slots)
    return jobs


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asked:
    """What came of asking."""

    answer: Answer
    jobs: tuple[PackJob, ...]
    proposed: int
    """Trials proposed so far."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Asker:
    """Asks a study's sampler with all that the study folder holds by now."""

    spec: StudySpec
    folder: StudyFolder
    slots: int
    parents: Parents

    def ask(self, ended: Collection[str]) -> Asked:
        """One batch, stored as proposals, as packs to run; or the sampler's last word, which is kept.

        Args:
            ended: trials whose packs ended in this run. What is missing of them has failed, and waits for the next run.

        Raises:
            BadInput: the sampler, or a trial it asks for, cannot be.
        """
        compact(self.folder, at_least=MANY_PARTS, kinds=("trials", "proposals"))
        for _ in range(FRUITLESS):
            known = Known.read(self.folder)
            told = known.told(self.spec, ended)
            answer = answered(self.spec, told)
            rows, trials = proposed(self.spec, answer, told, self.parents)
            self.folder.put_proposals(rows)
            new = self._new(trials, rows, known)
            if new or told.open or answer.over is not None:
                break
        else:
            answer = dataclasses.replace(answer, over="the sampler asks for nothing that is new")
        number = told.proposed + len(rows)
        if answer.over is not None:
            put_ending(self.folder, self.spec, answer, number)
        going_on = any(trial.trial_id in known.trials for trial in new)
        jobs = jobs_of(self.spec, self.folder, new, rows, self.slots, self.parents, going_on=going_on)
        ids = {*known.trial_ids, *(row.trial_id for row in rows)}
        return Asked(answer=answer, jobs=tuple(jobs), proposed=len(ids))

    def preview(self) -> tuple[tuple[PlannedTrial, ...], tuple[PackJob, ...]]:
        """The next batch, its trials and their packs, without storing anything."""
        told = Known.read(self.folder).told(self.spec)
        rows, trials = proposed(self.spec, answered(self.spec, told), told, self.parents)
        return tuple(trials), tuple(
            jobs_of(self.spec, self.folder, trials, rows, self.slots, self.parents, going_on=True)
        )

    def _new(self, trials: Sequence[PlannedTrial], rows: Sequence[ProposalRow], known: Known) -> list[PlannedTrial]:
        """Those of the proposed trials that are neither done nor open already."""
        steps = {row.trial_id: target(self.spec, row) for row in rows}
        waiting = {row.trial_id for row in known.open(self.spec)}
        return [
            trial
            for trial in trials
            if trial.trial_id not in waiting
            and not is_done(
                known.trials.get(trial.trial_id), steps[trial.trial_id], self.spec.early_end, only_censored=True
            )
        ]


def answered(spec: StudySpec, told: Told) -> Answer:
    """The sampler's answer, computed on one thread: the others belong to the packs."""
    assert isinstance(spec.sampler, AdaptiveSampler)
    with threadpool_limits(1):
        return spec.sampler.ask(told)


def proposed(
    spec: StudySpec, answer: Answer, told: Told, parents: Parents
) -> tuple[list[ProposalRow], list[PlannedTrial]]:
    """Rows of an answer and its trials, each trial once."""
    each = [planned_trials(spec, [proposal.point], parents)[0] for proposal in answer.proposals]
    rows = new_rows(spec, answer, told.proposed, len(told.finished), each)
    return rows, list({trial.trial_id: trial for trial in each}.values())


def in_words(check: Check | None) -> str:
    """What a sampler knows, for the line of progress; empty if it does not say."""
    if check is None:
        return ""
    band = "" if check.half_width is None else f", boundary ±{check.half_width:.3f} of an axis"
    return f"expected error {check.expected_error:.1%}{band}"
