"""Studies that were made up for benchmarks are studies like any other."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest

import grokstudy as gs
from grokstudy.spec.outcome import TAU, retention, sustained

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def synthetic(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script, which imports its neighbours by name."""
    monkeypatch.syspath_prepend(str(FOLDER))
    __import__("synthetic_study")
    return sys.modules["synthetic_study"]


def test_every_reader_understands_a_made_up_study(synthetic: ModuleType, tmp_path: Path) -> None:
    size = synthetic.Size(trials=300, columns=60, curve_rows=45_000, across=5, up=4)
    synthetic.write_study(str(tmp_path), "made", size)
    study = gs.open("made", str(tmp_path))
    trials, curves = study.trials(), study.curves()
    assert len(trials) == 300
    assert trials["trial_id"].is_unique
    assert curves["trial_id"].is_monotonic_increasing
    assert set(curves["trial_id"]) == set(trials["trial_id"])
    assert {"done", "diverged"} <= set(trials["status"])
    diagram = study.phase_diagram("weight_decay", "frac_train")
    assert diagram["n"].dims == ("frac_train", "weight_decay")
    assert diagram["n"].shape == (4, 5)
    assert int((diagram["n"] + diagram["n_undetermined"]).sum()) == 300
    assert 0.1 < float(diagram["p_gen"].mean()) < 0.9
    assert study.spec.budget == curves["step"].max() == trials["budget"].max()


def test_times_of_a_made_up_study_are_those_of_its_curves(synthetic: ModuleType, tmp_path: Path) -> None:
    synthetic.write_study(str(tmp_path), "made", synthetic.Size(trials=200, curve_rows=40_000, across=5, up=4))
    study = gs.open("made", str(tmp_path))
    curves = dict(list(study.curves().groupby("trial_id")))
    for trial in study.trials().itertuples():
        curve = curves[trial.trial_id]
        steps, test = curve["step"].to_numpy(dtype=int), curve["test_acc"].to_numpy(dtype=float) >= TAU
        mem, gen = sustained(steps, curve["train_acc"].to_numpy(dtype=float) >= TAU), sustained(steps, test)
        kept, lost = retention(steps, test, gen.t if gen else None)
        expected = [mem and mem.t, mem and mem.lo, gen and gen.t, gen and gen.lo, lost]
        found = [trial.t_mem, trial.t_mem_lo, trial.t_gen, trial.t_gen_lo, trial.t_lose]
        assert [None if pd.isna(t) else int(t) for t in found] == expected
        assert (trial.retention, trial.steps_run) == (kept, steps[-1])


def test_equal_arguments_make_equal_rows_and_another_seed_does_not(synthetic: ModuleType, tmp_path: Path) -> None:
    size = synthetic.Size(trials=100, across=5, up=4)
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        synthetic.write_study(str(tmp_path / name), "made", size, seed)
    a, b, c = (gs.open("made", str(tmp_path / name)).trials() for name in "abc")
    pd.testing.assert_frame_equal(a, b)
    assert not np.array_equal(a["t_gen"], c["t_gen"])


@pytest.mark.parametrize("columns", [40, 60])
def test_the_stored_columns_are_as_many_as_asked_for(synthetic: ModuleType, tmp_path: Path, columns: int) -> None:
    import pyarrow.parquet as pq

    synthetic.write_study(str(tmp_path), "made", synthetic.Size(trials=60, columns=columns, across=5, up=4))
    (part,) = (tmp_path / "made" / "trials").glob("*.parquet")
    assert len(pq.read_schema(part)) == columns


@pytest.mark.slow
def test_mlflow_and_the_study_give_equal_shares(
    synthetic: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    __import__("mlflow_store")
    synthetic.write_study(str(tmp_path), "made", synthetic.Size(trials=200, across=5, up=4))
    study = gs.open("made", str(tmp_path))
    store = sys.modules["mlflow_store"].MlflowStore.filled(tmp_path / "mlflow.db", study)
    shares = study.phase_diagram(synthetic.X, synthetic.Y)["p_gen"].to_numpy()
    np.testing.assert_array_equal(store.shares(synthetic.X, synthetic.Y), shares)
    assert 0 < shares.mean() < 1
