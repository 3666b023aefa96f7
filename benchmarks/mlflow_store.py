"""An MLflow store with a run for every trial of a study, filled by SQL: ten thousand runs in seconds, not minutes."""

from __future__ import annotations

import dataclasses
import sqlite3
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from jaxtyping import Float

from grokstudy.phase.columns import config_paths
from grokstudy.study.api import Study

METRICS = ("t_mem", "t_gen", "train_loss", "test_loss", "train_acc", "test_acc", "sum_sq_weights")
"""As the projection writes them: a time that was not seen is not there."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MlflowStore:
    """A store at `uri` with one experiment."""

    uri: str
    experiment: str
    runs: int

    @classmethod
    def filled(cls, file: Path, study: Study) -> MlflowStore:
        """Settings as params, last numbers and times as metrics; a stopped trial is a killed run.

        One run is made by MLflow's client, so that the schema is its own; the others are copies with other values.
        """
        uri = f"sqlite:///{file}"
        client = mlflow.MlflowClient(uri)
        experiment = client.create_experiment(study.name)
        run = client.create_run(experiment)
        client.set_terminated(run.info.run_id, "FINISHED")
        trials = study.trials()
        with sqlite3.connect(file) as database:
            _copy_run(database, run.info.run_id, trials)
        database.close()
        return cls(uri=uri, experiment=experiment, runs=len(trials))

    def shares(self, x: str, y: str) -> Float[np.ndarray, "y x"]:
        """Share generalised of every cell, from `mlflow.search_runs`; runs that were killed before are left out."""
        mlflow.set_tracking_uri(self.uri)
        found = mlflow.search_runs([self.experiment], max_results=self.runs)
        assert isinstance(found, pd.DataFrame)
        generalised = found["metrics.t_gen"].notna()
        known = generalised | (found["status"] == "FINISHED")
        cells = [found[f"params.{axis}"].astype(float) for axis in (y, x)]
        return generalised[known].groupby([cell[known] for cell in cells]).mean().unstack().to_numpy()


def _copy_run(database: sqlite3.Connection, template: str, trials: pd.DataFrame) -> None:
    """A copy of the run for every trial, with its params and metrics, in the place of the run."""
    ids = [str(trial_id).ljust(32, "0") for trial_id in trials["trial_id"]]
    for table in ("runs", "tags"):
        columns = [name for _, name, *_ in database.execute(f"PRAGMA table_info({table})")]
        copied = ", ".join("?" if name == "run_uuid" else name for name in columns)
        insert = f"INSERT INTO {table} ({', '.join(columns)}) SELECT {copied} FROM {table} WHERE run_uuid = ?"
        database.executemany(insert, [(run, template) for run in ids])
    killed = [(run,) for run, status in zip(ids, trials["status"], strict=True) if status == "stopped"]
    database.executemany("UPDATE runs SET status = 'KILLED' WHERE run_uuid = ?", killed)
    for path in config_paths(tuple(trials.columns)):
        rows = [(path, str(value), run) for run, value in zip(ids, trials[path], strict=True)]
        database.executemany("INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)", rows)
    seen = trials["status"] != "diverged"  # what a diverged trial had reached before does not count
    for name in METRICS:
        values = trials[name].astype(float).where(seen | ~pd.Series(name.startswith("t_"), index=trials.index))
        rows = [(name, value, run) for run, value in zip(ids, values, strict=True) if not np.isnan(value)]
        for table in ("metrics", "latest_metrics"):
            insert = f"INSERT INTO {table} (key, value, timestamp, step, is_nan, run_uuid) VALUES (?, ?, 0, 0, 0, ?)"
            database.executemany(insert, rows)
    for table in ("tags", "runs"):
        database.execute(f"DELETE FROM {table} WHERE run_uuid = ?", [template])
