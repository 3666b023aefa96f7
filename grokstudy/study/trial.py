"""One stored trial from Python: its config, row, curves, weights, network and figures."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd
from torch import Tensor

from grokstudy.circuits._keys import rule_of
from grokstudy.measure_jobs.plan import last_generalised
from grokstudy.measure_jobs.subjects import at_end, weights
from grokstudy.phase.circuit_figures_weights import frequency_norms, residue_matrices
from grokstudy.phase.places import WIDEST_GAP, Place, parse_place
from grokstudy.spec.decode import decode_trial
from grokstudy.spec.errors import BadInput
from grokstudy.spec.interfaces import TaskData
from grokstudy.spec.measure import Subject
from grokstudy.spec.rows import CheckpointRow
from grokstudy.spec.trial import TrialSpec
from grokstudy.store.checkpoints import checkpoints_of, load_lane
from grokstudy.store.folder import StudyFolder
from grokstudy.store.trial_configs import trial_configs
from grokstudy.store.views import connect
from grokstudy.study.listing import listed
from grokstudy.study.lookup import StoredTrial, checkpoint_at
from grokstudy.study.trained_model import TrainedModel

if TYPE_CHECKING:
    from grokstudy.study.figures import Figures


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trial:
    """A stored trial. `step` is a checkpoint's step, "end" (the last one), "t_gen" or a multiple such as "2*t_gen".

    (A multiple of) t_gen is the first checkpoint at or after it, at most a factor of 5/3 later.
    """

    stored: StoredTrial

    @property
    def trial_id(self) -> str:
        return self.stored.trial_id

    @property
    def study(self) -> str:
        """Name of the study it is read from."""
        return self.stored.folder.name

    @property
    def config(self) -> Mapping[str, Any]:
        """Its settings as plain nested values."""
        return self.stored.config

    @property
    def spec(self) -> TrialSpec:
        """Its settings as typed records: `spec.task.p`, `spec.optimizer.lr`, `spec.seeds.data` ..."""
        return decode_trial(self.config)

    @property
    def row(self) -> pd.Series:
        """Its row of `trials`: outcome, t_mem, t_gen, status, last losses, one entry per setting ..."""
        return self._read("SELECT * FROM trials WHERE trial_id = ?").iloc[0]

    @property
    def steps(self) -> tuple[int, ...]:
        """Steps of its checkpoints, rising."""
        return tuple(self.stored.checkpoints)

    @property
    def data(self) -> TaskData:
        """Task and split: `inputs` [rows, positions], clean `labels` [rows, *answers], row numbers `train` and `test`,
        `train_labels` [train, *answers] as trained on. Row r of a modular task is the pair (r // p, r % p)."""
        spec = self.spec
        return spec.task.data(spec.seeds)

    def curves(self) -> pd.DataFrame:
        """One row per evaluation: step, train_loss, test_loss, train_acc, test_acc, sum_sq_weights ..."""
        return self._read("SELECT * EXCLUDE (trial_id) FROM curves WHERE trial_id = ? ORDER BY step")

    def measures(self) -> pd.DataFrame:
        """One row per measured checkpoint, a column per measure in its default protocol; empty if not measured."""
        return self._read("SELECT * EXCLUDE (trial_id) FROM measures WHERE trial_id = ? ORDER BY step")

    def measures_long(self) -> pd.DataFrame:
        """One row per measured checkpoint, measure and protocol: step, measure, protocol, value, values, reason ..."""
        return self._read("SELECT * EXCLUDE (trial_id) FROM measures_long WHERE trial_id = ? ORDER BY step, measure")

    def weights(self, step: int | str = "end") -> dict[str, Tensor]:
        """Parameters by the model's own names, in the precision they were trained in.

        Raises:
            BadInput: there is no checkpoint at `step`; names the nearest.
            DamagedFile: the checkpoint cannot be read.
        """
        return load_lane(self.stored.folder, self.checkpoint(step))

    def model(self, step: int | str = "end") -> TrainedModel:
        """The network with these weights; call it on inputs. Errors as `weights`."""
        found = self.checkpoint(step)
        params = load_lane(self.stored.folder, found)
        return TrainedModel(spec=self.spec, data=self.data, params=params, step=found.step)

    def spectrum(self, step: int | str = "end") -> pd.DataFrame:
        """Columns frequency (1 .. p // 2), W_E and W_L: Euclidean norm of each matrix's cosine and sine together.

        For mul and div modulo a prime these are frequencies of the discrete logarithms modulo p - 1.

        Raises:
            BadInput: as `weights`, or the task is not modular.
        """
        spec = self.spec
        found = residue_matrices(spec, self.weights(step), spec.task.shape())
        norms = {"W_E": frequency_norms(found.W_E).numpy(), "W_L": frequency_norms(found.W_L).numpy()}
        return pd.DataFrame({"frequency": range(1, found.p // 2 + 1), **norms})

    @property
    def key_freqs(self) -> tuple[int, ...]:
        """Key frequencies of its last generalised checkpoint (rule "neuron"), rising; empty if there are none."""
        return _end(self).key_freqs or ()

    @property
    def figures(self) -> Figures:
        """Its figures: `trial.figures.curves()`, `trial.figures.fourier_norms("t_gen")` ..."""
        from grokstudy.study.figures import Figures

        return Figures(trial=self)

    def subject(self, step: int | str = "end") -> Subject:
        """What a measure looks at: the network in float64 with its task, split and key frequencies."""
        return _subject(self, self.checkpoint(step).step)

    def checkpoint(self, step: int | str) -> CheckpointRow:
        """The stored checkpoint that `step` means.

        Raises:
            BadInput: there is none, or `step` says nothing that can be understood.
        """
        if isinstance(step, int):
            return checkpoint_at(self.stored, step)
        place = parse_place(step)
        if place.kind == "t_gen":
            return self._at_t_gen(place, step)
        return checkpoint_at(self.stored, None if place.kind == "end" else place.step)

    def _at_t_gen(self, place: Place, asked: str) -> CheckpointRow:
        t_gen = self.row["t_gen"]
        if pd.isna(t_gen):
            raise BadInput(f"step: got '{asked}', trial {self.trial_id} has not generalised. Give a step, or 'end'.")
        start = place.factor * float(t_gen)
        for step, found in self.stored.checkpoints.items():
            if start <= step <= start * WIDEST_GAP:
                return found
        raise BadInput(
            f"step: got '{asked}', trial {self.trial_id} has no checkpoint from step {start:g} to "
            f"{start * WIDEST_GAP:g}; its last one is at {max(self.steps, default=0)}."
        )

    def _read(self, sql: str) -> pd.DataFrame:
        with connect([self.stored.folder]) as connection:
            frame: pd.DataFrame = connection.execute(sql, [self.trial_id]).df()
        return frame

    def __repr__(self) -> str:
        row = self.row
        return f"Trial {self.trial_id} of {self.study}: {row['outcome']}, {row['steps_run']} steps"


def trial_of(folder: StudyFolder, prefix: str) -> Trial:
    """The trial of one study whose id starts with `prefix`.

    Raises:
        BadInput: no trial starts like this, or several do.
    """
    with connect([folder]) as connection:
        rows = connection.execute(
            "SELECT trial_id FROM trials WHERE starts_with(trial_id, ?) ORDER BY trial_id", [prefix]
        ).fetchall()
        configs = trial_configs(connection)
    found = [identity for (identity,) in rows]
    if not found:
        raise BadInput(
            f"trial: got '{prefix}', but no trial of {folder.name} starts like this; `study.trials()` lists them."
        )
    if len(found) > 1:
        raise BadInput(
            f"trial: got '{prefix}', {len(found)} trials start like this: {listed(found)}. Give more digits."
        )
    (identity,) = found
    checkpoints = checkpoints_of(folder, identity)
    return Trial(
        stored=StoredTrial(trial_id=identity, folder=folder, config=configs[identity], checkpoints=checkpoints)
    )


# Keyed by the Trial object: figures of one trial ask for the same network again and again.
@functools.lru_cache(maxsize=4)
def _subject(trial: Trial, step: int) -> Subject:
    stored = trial.stored
    return dataclasses.replace(_end(trial), params=weights(stored.folder, stored.checkpoints[step]))


@functools.lru_cache(maxsize=64)
def _end(trial: Trial) -> Subject:
    """What the networks of all its checkpoints share, with the key frequencies of the last generalised one."""
    stored = trial.stored
    with connect([stored.folder]) as connection:
        rows = list(stored.checkpoints.values())
        found = last_generalised(connection, {stored.trial_id: rows}).get(stored.trial_id)
    first = stored.checkpoints.get(0)
    start = None if first is None else weights(stored.folder, first)
    final = None if found is None else weights(stored.folder, found)
    return at_end(trial.spec, rule_of("neuron"), start=start, final=final, generalised=final is not None)
