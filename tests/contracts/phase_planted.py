"""Trials with known answers, as the store shows them."""

from __future__ import annotations

import math
from typing import Any

import duckdb
import numpy as np
import pandas as pd

from grokstudy.phase.query import PhaseQuery
from grokstudy.spec.outcome import TAU, retention, sustained

T = 1000
WD, FRAC = "regularization.weight_decay", "task.frac_train"


def trial(wd: float, frac: float, seed: int, t_mem: int | None, t_gen: int | None, **other: Any) -> dict[str, Any]:
    """A row of the view `trials` with the columns that the store gives it."""
    settings = {
        WD: wd,
        FRAC: frac,
        "task.name": "modular",
        "optimizer.lr": 0.001,
        "model.width": 128,
        "batch_size": None,
    }
    row = {
        "trial_id": f"{wd:g}-{frac:g}-{seed}-{other.get('optimizer.lr', 0)}-{other.get('model.width', 0)}",
        "study": "planted",
        **dict.fromkeys(("seed", "seed_data", "seed_init", "seed_batch", "seed_noise"), seed),
        "budget": T,
        "steps_run": T,
        "status": "done",
        "t_mem": t_mem,
        "t_gen": t_gen,
        "t_lose": None,
        "retention": "unknown",
        "diverged_step": None,
        "test_loss": 0.5,
        "lr_wd": 0.001 * wd,
        "seconds": 1.0,
        "parent_trial": None,
        "parent_step": None,
        **settings,
        **other,
    }
    return row | {path.rpartition(".")[2]: value for path, value in row.items() if "." in path}


def planted() -> list[dict[str, Any]]:
    """Three weight decays by two fractions, four seeds each; (10, .7) is empty, the last seed at 10 diverged."""
    times: dict[tuple[float, float], list[tuple[int | None, int | None]]] = {
        (0.0, 0.3): [(10, None), (10, None), (10, 900), (10, None)],
        (0.1, 0.3): [(10, 100), (20, 40), (10, 300), (None, None)],
        (0.1, 0.7): [(10, 20), (10, 30), (10, 40), (None, 50)],
        (10.0, 0.3): [(None, None)] * 3,
        (0.0, 0.7): [(10, 60)] * 4,
    }
    rows = [trial(wd, frac, seed, *pair) for (wd, frac), pairs in times.items() for seed, pair in enumerate(pairs)]
    return [*rows, trial(10.0, 0.3, 3, None, None, status="diverged", steps_run=7, diverged_step=7)]


def connected(rows: list[dict[str, Any]], **views: pd.DataFrame) -> duckdb.DuckDBPyConnection:
    """A connection that has the views of a study."""
    connection = duckdb.connect(":memory:")
    integers = dict.fromkeys(("t_mem", "t_gen", "t_lose", "diverged_step", "parent_step"), "Int64")
    for name, view in {"trials": pd.DataFrame(rows).astype(integers), **views}.items():
        connection.register(f"given_{name}", view)
        connection.execute(f"CREATE TABLE {name} AS FROM given_{name}")
    return connection


def plane(**settings: Any) -> PhaseQuery:
    return PhaseQuery(**({"x": "weight_decay", "y": "frac_train"} | settings))


def curve(trial_id: str, rise: float, speed: float) -> pd.DataFrame:
    """Sigmoids of log step: train rises first, test at `rise`; sampled as the engine does."""
    steps = np.unique(np.r_[np.arange(21), np.geomspace(20, T, 140).astype(int)])
    progress = speed * (np.log(np.maximum(steps, 1)) - math.log(rise))
    test = 1 / (1 + np.exp(-progress))
    return pd.DataFrame(
        {"trial_id": trial_id, "step": steps, "train_acc": 1 / (1 + np.exp(-progress - 6)), "test_acc": test}
    ).assign(train_loss=lambda c: 1 - c["train_acc"], test_loss=lambda c: 1 - c["test_acc"], sum_sq_weights=steps * 1.0)


def with_curves() -> tuple[duckdb.DuckDBPyConnection, pd.DataFrame]:
    """Trials whose stored times were read from their curves by the outcome rule."""
    curves, rows = [], []
    for seed, (rise, speed) in enumerate([(30, 4), (90, 2.5), (200, 6), (900, 3)]):
        for wd in (0.1, 1.0):
            own = curve(trial(wd, 0.5, seed, None, None)["trial_id"], rise / (1 + wd), speed)
            steps = own["step"].to_numpy()
            mem, gen = (sustained(steps, own[c].to_numpy() >= TAU) for c in ("train_acc", "test_acc"))
            lost = retention(steps, own["test_acc"].to_numpy() >= TAU, gen.t if gen else None)[1]
            rows.append(trial(wd, 0.5, seed, mem.t if mem else None, gen.t if gen else None, t_lose=lost))
            curves.append(own)
    table = pd.concat(curves, ignore_index=True)
    return connected(rows, curves=table), table
