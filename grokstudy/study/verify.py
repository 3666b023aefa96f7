"""Stored networks against the algorithm of their task: which trials and checkpoints, one comparison after another."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from grokstudy.circuits._formula import unless_known
from grokstudy.circuits._keys import rule_of
from grokstudy.circuits._verification import Disagreement, Verification, disagreements, fitted_margin, verify
from grokstudy.measure_jobs.plan import last_generalised
from grokstudy.measure_jobs.subjects import at_end, weights
from grokstudy.spec.decode import decode_trial
from grokstudy.spec.errors import BadInput, DamagedFile, nearest
from grokstudy.spec.measure import Subject
from grokstudy.spec.rows import CheckpointRow
from grokstudy.spec.trial import TrialSpec
from grokstudy.store.checkpoints import checkpoints
from grokstudy.store.folder import StudyFolder
from grokstudy.store.storage import Storage
from grokstudy.store.trial_configs import trial_configs
from grokstudy.store.views import connect
from grokstudy.study.api import open
from grokstudy.study.lookup import StoredTrial, checkpoint_at, find_trial

MOST_DISAGREEMENTS = 1000
"""Inputs that a verification lists."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Verified:
    """One network with what came out."""

    study: str | None
    """None for a weights file."""
    trial_id: str | None
    step: int | None
    subject: Subject
    found: Verification
    fitted_margin: float | None
    """Proved margin of the algorithm with the coefficients fitted to this network."""
    disagreements: tuple[Disagreement, ...]
    """The first of them."""

    @property
    def origin(self) -> str:
        """Where the network comes from, for people."""
        return "a weights file" if self.study is None else f"trial {self.trial_id} of {self.study} at step {self.step}"


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class TrialToVerify:
    """One trial with the checkpoints to look at."""

    trial: StoredTrial
    spec: TrialSpec
    checkpoints: tuple[CheckpointRow, ...]
    keys_from: CheckpointRow | None
    """The last generalised checkpoint, where key frequencies are read; None if there is none."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Plan:
    """What will be verified, and what not."""

    trials: tuple[TrialToVerify, ...]
    left_out: tuple[str, ...]
    """Messages about trials that are not."""

    @property
    def total(self) -> int:
        """Networks to verify."""
        return sum(len(trial.checkpoints) for trial in self.trials)


def plan(target: str, root: str, steps: Sequence[int], which: str) -> Plan:
    """Which networks to verify.

    Args:
        target: name of a study under the root, path of a study's folder, or a prefix of a trial_id that is unique
            under the root.
        root: storage root.
        steps: steps of checkpoints; none = as `which` says.
        which: "all" checkpoints, or "final": the start, the last generalised one and the end.

    Raises:
        BadInput: there is no such study or trial, no such step, or no algorithm is known for the task.
    """
    if "/" in target or "://" in target:
        return _planned(_trials(open(target).folder), steps, which)
    storage = Storage.open(root)
    names = storage.studies()
    if target in names:
        return _planned(_trials(StudyFolder(storage, target)), steps, which)
    if target.strip("0123456789abcdef"):
        raise BadInput(
            f"STUDY|TRIAL|FILE: got '{target}', which is no study, no start of a trial_id and no file"
            f"{nearest(target, names)} Studies here: {', '.join(names[:5]) or 'none'}. Storage root: {storage.uri}."
        )
    return _planned([find_trial(target, root)], steps, which)


def plan_trial(trial: StoredTrial, steps: Sequence[int]) -> Plan:
    """These checkpoints of one trial; none = the start, the last generalised one and the end. Errors as `plan`."""
    return _planned([trial], steps, "final")


def verified(planned: Plan, rule: str) -> Iterator[Verified | DamagedFile]:
    """Every network with what came out, trial by trial and step by step; a damaged checkpoint costs itself alone."""
    for trial in planned.trials:
        try:
            yield from _trial(trial, rule)
        except DamagedFile as error:  # the file that the trial's key frequencies come from
            yield error


def verified_subject(subject: Subject) -> Verified:
    """The network of a weights file.

    Raises:
        BadInput: no algorithm is known for its task.
    """
    if reason := unless_known(subject.spec):
        raise BadInput(f"verify: {reason}.")
    return _verified(subject, study=None, trial_id=None, step=None)


def is_file(target: str) -> bool:
    """Whether the words name a weights file."""
    return Path(target).is_file() or Path(target).suffix in (".safetensors", ".pt", ".pth")


def _trials(folder: StudyFolder) -> list[StoredTrial]:
    """The trials of a study that have checkpoints."""
    stored: dict[str, dict[int, CheckpointRow]] = defaultdict(dict)
    for row in checkpoints(folder):
        stored[row.trial_id][row.step] = row
    with connect([folder]) as connection:
        configs = trial_configs(connection)
    return [
        StoredTrial(trial_id=identity, folder=folder, config=configs[identity], checkpoints=rows)
        for identity, rows in stored.items()
        if identity in configs
    ]


def _planned(stored: Sequence[StoredTrial], steps: Sequence[int], which: str) -> Plan:
    chosen: list[TrialToVerify] = []
    left_out: list[str] = []
    for trial in stored:
        spec = decode_trial(trial.config)
        if reason := unless_known(spec):
            left_out.append(f"trial {trial.trial_id}: {reason}.")
            continue
        with connect([trial.folder]) as connection:
            keys_from = last_generalised(connection, {trial.trial_id: list(trial.checkpoints.values())}).get(
                trial.trial_id
            )
        try:
            rows = _chosen(trial, steps, which, keys_from)
        except BadInput as error:
            left_out.append(str(error))
            continue
        chosen.append(TrialToVerify(trial=trial, spec=spec, checkpoints=rows, keys_from=keys_from))
    if not chosen:
        raise BadInput(left_out[0] if left_out else "verify: the study holds no checkpoint yet; run it first.")
    return Plan(trials=tuple(chosen), left_out=tuple(left_out))


def _chosen(
    trial: StoredTrial, steps: Sequence[int], which: str, keys_from: CheckpointRow | None
) -> tuple[CheckpointRow, ...]:
    if steps:
        return tuple(checkpoint_at(trial, step) for step in sorted(set(steps)))
    last = checkpoint_at(trial, None)
    if which == "all":
        return tuple(trial.checkpoints.values())
    first = next(iter(trial.checkpoints.values()))
    ends = {row.step: row for row in (first, keys_from or last, last)}
    return tuple(ends[step] for step in sorted(ends))


def _trial(planned: TrialToVerify, rule: str) -> Iterator[Verified | DamagedFile]:
    trial, spec = planned.trial, planned.spec
    final = None if planned.keys_from is None else weights(trial.folder, planned.keys_from)
    needs_start = spec.model.subtract_start and 0 in trial.checkpoints
    start = weights(trial.folder, trial.checkpoints[0]) if needs_start else None
    end = at_end(spec, rule_of(rule), start=start, final=final, generalised=final is not None)
    for row in planned.checkpoints:
        try:
            subject = dataclasses.replace(end, params=weights(trial.folder, row))
        except DamagedFile as error:
            yield error
            continue
        yield _verified(subject, study=trial.folder.name, trial_id=trial.trial_id, step=row.step)


def _verified(subject: Subject, study: str | None, trial_id: str | None, step: int | None) -> Verified:
    found = verify(subject)
    return Verified(
        study=study,
        trial_id=trial_id,
        step=step,
        subject=subject,
        found=found,
        fitted_margin=fitted_margin(subject, found),
        disagreements=tuple(disagreements(subject, MOST_DISAGREEMENTS)),
    )
