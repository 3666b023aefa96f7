"""Rows of those parts of a study that were found whole, and of no other."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence

import numpy as np

from grokstudy.spec.rows import FINAL, CheckpointRow
from grokstudy.store.contents import kind_of
from grokstudy.store.counting import PartFiles, database, literal
from grokstudy.store.folder import StudyFolder
from grokstudy.store.parts import Kind
from grokstudy.store.promised import Finished, first_missing_evaluation, transition_steps

TRIALS_AT_A_TIME = 500
"""Trials whose curves are in memory together."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WholeParts:
    """Names of the whole parts of a study."""

    folder: StudyFolder
    names: tuple[str, ...]

    def finished(self) -> list[Finished]:
        """Counting rows of trials that are not run again at their budget."""
        files = self._files("trials")
        wanted = ", ".join(literal(status) for status in FINAL)
        with database() as connection:
            rows = connection.execute(
                f"SELECT trial_id, steps_run, status, t_mem, t_gen FROM ({files.counting()}) "
                f"WHERE status IN ({wanted}) ORDER BY trial_id"
            ).fetchall()
        fields = [field.name for field in dataclasses.fields(Finished)]
        return [Finished(**dict(zip(fields, row, strict=True))) for row in rows]

    def index(self) -> list[CheckpointRow]:
        """Every row of the index of checkpoints, not only those that count."""
        files = self._files("checkpoints")
        fields = [field.name for field in dataclasses.fields(CheckpointRow)]
        with database() as connection:
            rows = connection.execute(f"SELECT {', '.join(fields)} FROM ({files.all_rows()})").fetchall()
        return [CheckpointRow(**dict(zip(fields, row, strict=True))) for row in rows]

    def trial_ids(self, kind: Kind) -> set[str]:
        """Trials that have a row."""
        with database() as connection:
            rows = connection.execute(f"SELECT DISTINCT trial_id FROM ({self._files(kind).all_rows()})").fetchall()
        return {trial_id for (trial_id,) in rows}

    def lost_evaluations(self, trials: Sequence[Finished]) -> dict[str, int]:
        """By trial whose curve has a hole, the first step that is missing."""
        steps_run = {trial.trial_id: trial.steps_run for trial in trials}
        lost = dict.fromkeys(steps_run, 0)  # until a row is found
        with database() as connection:
            counted = connection.execute(
                f"SELECT trial_id, list(DISTINCT step) FROM ({self._files('curves').all_rows()}) GROUP BY trial_id"
            )
            while some := counted.fetchmany(TRIALS_AT_A_TIME):
                for trial_id, steps in some:
                    if trial_id in steps_run:
                        first = first_missing_evaluation(steps_run[trial_id], steps)
                        lost.pop(trial_id)
                        lost |= {} if first is None else {trial_id: first}
        return lost

    def transitions(self, trial_ids: Collection[str]) -> dict[str, tuple[int, ...]]:
        """By trial, the steps of its dense window of checkpoints, worked out from its curve."""
        files = self._files("curves")
        found: dict[str, tuple[int, ...]] = {}
        wanted = sorted(trial_ids)
        with database() as connection:
            for start in range(0, len(wanted), TRIALS_AT_A_TIME):
                some = ", ".join(map(literal, wanted[start : start + TRIALS_AT_A_TIME]))
                rows = connection.execute(
                    f"SELECT trial_id, step, train_acc, test_acc FROM ({files.counting()}) WHERE trial_id IN ({some}) "
                    "ORDER BY trial_id, step"
                ).fetchnumpy()
                ids = np.asarray(rows["trial_id"], dtype=str)
                train, test = (np.ma.filled(rows[name].astype(float), np.nan) for name in ("train_acc", "test_acc"))
                for trial_id in np.unique(ids).tolist():
                    own = ids == trial_id
                    found[trial_id] = transition_steps(np.asarray(rows["step"])[own], train[own], test[own])
        return found

    def _files(self, kind: Kind) -> PartFiles:
        return PartFiles.read({self.folder: [name for name in self.names if kind_of(name) == kind]}, kind)
