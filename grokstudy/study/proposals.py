"""What is known of an adaptive study, from its folder alone: proposals, outcomes, what is open, why it ended."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from grokstudy.spec.axes import Axis, Point, Value
from grokstudy.spec.proposal import EXTEND, AdaptiveSampler, Answer, Proposal, Told
from grokstudy.spec.rows import FINAL, PREDICTED, Outcome, ProposalRow, TrialRow
from grokstudy.spec.study import StudySpec
from grokstudy.spec.trial import plugin_name
from grokstudy.store.folder import StudyFolder
from grokstudy.store.proposal_rows import proposal_rows
from grokstudy.store.trial_rows import trial_rows
from grokstudy.store.views import asked
from grokstudy.study.forks import Parents
from grokstudy.study.plan import PlannedTrial, is_done, planned_trials

ENDING = "proposals/end.json"
STREAMS = ("data", "init", "batch", "noise")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Known:
    """The rows of a study as they stand."""

    proposals: tuple[ProposalRow, ...]
    trials: Mapping[str, TrialRow]

    @classmethod
    def read(cls, folder: StudyFolder) -> Known:
        """Reads the study; proposals first, as a trial's row is never there before its proposal."""
        proposals = tuple(proposal_rows(folder))
        rows = asked([folder], trial_rows, ("trials",))
        return cls(proposals=proposals, trials={row.trial_id: row for row in rows})

    @property
    def proposed(self) -> int:
        """Number of the next proposal."""
        return self.proposals[-1].number + 1 if self.proposals else 0

    @property
    def trial_ids(self) -> list[str]:
        """Trials that were proposed, in order."""
        return list(dict.fromkeys(row.trial_id for row in self.proposals))

    def open(self, spec: StudySpec, ended: Collection[str] = ()) -> list[ProposalRow]:
        """The latest proposal of every trial that has not come as far as it asks, in order.

        Those in `ended` are left out: their packs ended in this run, so that what is missing has failed.
        """
        latest = {row.trial_id: row for row in self.proposals}
        return [
            row
            for row in latest.values()
            if row.trial_id not in ended
            and _is_within(json.loads(row.point), spec.axes)
            and not is_done(self.trials.get(row.trial_id), target(spec, row), spec.early_end, only_censored=True)
        ]

    def told(self, spec: StudySpec, ended: Collection[str] = ()) -> Told:
        """What the study's sampler is told. Arguments as of `open`."""
        first: dict[str, ProposalRow] = {}
        for row in self.proposals:
            first.setdefault(row.trial_id, row)
        others = [identity for identity in self.trials if identity not in first]
        rows = [self.trials[identity] for identity in (*first, *others) if identity in self.trials]
        outcomes = [_outcome(row, first.get(row.trial_id), spec.axes) for row in rows if row.status in FINAL]
        return Told(
            axes=spec.axes,
            budget=spec.budget,
            finished=tuple(outcome for outcome in outcomes if _is_within(outcome.point, spec.axes)),
            open=tuple(_proposal(row, spec) for row in self.open(spec, ended)),
            proposed=self.proposed,
            trials=sum(row.source != EXTEND for row in self.proposals),
        )


def target(spec: StudySpec, row: ProposalRow) -> int:
    """Steps to which a proposal's trial is trained when the study's budget is that of `spec`."""
    assert isinstance(spec.sampler, AdaptiveSampler)
    return min(row.budget, spec.budget) if spec.sampler.extends else spec.budget


def trials_of(spec: StudySpec, rows: Sequence[ProposalRow], parents: Parents) -> list[PlannedTrial]:
    """The trials that stored proposals ask for, without those that today's settings would make another trial."""
    wanted = {row.trial_id for row in rows}
    trials = planned_trials(spec, [json.loads(row.point) for row in rows], parents)
    return [trial for trial in trials if trial.trial_id in wanted]


def new_rows(
    spec: StudySpec, answer: Answer, number: int, finished: int, trials: Sequence[PlannedTrial]
) -> list[ProposalRow]:
    """Rows of an answer's proposals, which ask for `trials`, one each."""
    now = datetime.now(UTC).isoformat()
    check = answer.check
    return [
        ProposalRow(
            number=number + i,
            trial_id=trial.trial_id,
            source=proposal.source,
            reason=proposal.reason,
            point=json.dumps(dict(proposal.point)),
            budget=spec.budget if proposal.budget is None else min(proposal.budget, spec.budget),
            **_predictions(proposal),
            finished=finished,
            expected_error=None if check is None else check.expected_error,
            half_width=None if check is None else check.half_width,
            written_at=now,
        )
        for i, (proposal, trial) in enumerate(zip(answer.proposals, trials, strict=True))
    ]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Why the sampler of a study asked for no more."""

    reason: str
    proposed: int
    """Proposals made."""
    expected_error: float | None
    half_width: float | None
    question: Mapping[str, Any]
    """The sampler's settings, axes and budget that it ended with: with others, it goes on."""
    written_at: str


def ending(folder: StudyFolder) -> Ending | None:
    """Why an adaptive study ended; None if it has not."""
    text = folder.get_text(ENDING)
    return None if text is None else Ending(**json.loads(text))


def put_ending(folder: StudyFolder, spec: StudySpec, answer: Answer, proposed: int) -> None:
    """Keeps why the sampler is done."""
    assert answer.over is not None
    check = answer.check
    found = Ending(
        reason=answer.over,
        proposed=proposed,
        expected_error=None if check is None else check.expected_error,
        half_width=None if check is None else check.half_width,
        question=question(spec),
        written_at=datetime.now(UTC).isoformat(),
    )
    folder.put_text(ENDING, json.dumps(dataclasses.asdict(found), indent=2))


def question(spec: StudySpec) -> dict[str, Any]:
    """What a sampler's end depends on besides the trials, as plain data."""
    sampler = {"name": plugin_name(spec.sampler), **dataclasses.asdict(spec.sampler)}
    plain = {"sampler": sampler, "axes": [dataclasses.asdict(axis) for axis in spec.axes], "budget": spec.budget}
    read: dict[str, Any] = json.loads(json.dumps(plain))
    return read


def _outcome(row: TrialRow, proposal: ProposalRow | None, axes: Sequence[Axis]) -> Outcome:
    return Outcome(
        trial_id=row.trial_id,
        point=_point(row, axes),
        t_mem=row.t_mem,
        t_gen=row.t_gen,
        steps_run=row.steps_run,
        budget=row.budget,
        diverged=row.status == "diverged",
        seconds=row.seconds,
        train_loss=row.train_loss,
        test_loss=row.test_loss,
        train_acc=row.train_acc,
        test_acc=row.test_acc,
        source=None if proposal is None else proposal.source,
        predicted=None if proposal is None else _predicted(proposal),
        asked=None if proposal is None else proposal.budget,
    )


def _point(row: TrialRow, axes: Sequence[Axis]) -> Point:
    """Values of the axes that a trial was trained with, and its master seed."""
    columns = {"seed": row.seed, **{f"seeds.{name}": getattr(row, f"seed_{name}") for name in STREAMS}}
    return {axis.path: {**row.config, **columns}.get(axis.path) for axis in axes} | {"seed": row.seed}


def _is_within(point: Point, axes: Sequence[Axis]) -> bool:
    """Whether a point lies on these axes: one of an interval that is now narrower may not."""
    return all(axis.path in point and _is_on(point[axis.path], axis) for axis in axes)


def _is_on(value: Value, axis: Axis) -> bool:
    if not axis.is_interval:
        return value in axis.values
    assert axis.low is not None
    assert axis.high is not None
    return isinstance(value, (int, float)) and axis.low <= value <= axis.high


def _proposal(row: ProposalRow, spec: StudySpec) -> Proposal:
    return Proposal(
        point=json.loads(row.point),
        source=row.source,
        reason=row.reason,
        budget=target(spec, row),
        predicted=_predicted(row),
    )


def _predicted(row: ProposalRow) -> tuple[float, ...] | None:
    values = [getattr(row, name) for name in PREDICTED]
    return None if None in values else tuple(values)


def _predictions(proposal: Proposal) -> dict[str, float | None]:
    if proposal.predicted is None:
        return dict.fromkeys(PREDICTED)
    return dict(zip(PREDICTED, map(float, proposal.predicted), strict=True))
