"""Shipped studies come out as their sources say.

Every study is run as shipped, except for what a test says it leaves out to be short.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import pytest

import grokstudy as gs
from grokstudy.spec.compose import compose_study
from grokstudy.study.board import Board
from grokstudy.study.run import run_study

pytestmark = pytest.mark.slow


def run(root: Path, *words: str) -> pd.DataFrame:
    """The rows of a study's trials."""
    run_study(
        compose_study([*words, "cluster=none", "tracking=none", f"storage.root={root}"], name="s"), Board(study="s")
    )
    return gs.open("s", str(root)).trials()


def by(trials: pd.DataFrame, axis: str) -> Mapping[float, pd.DataFrame]:
    """The trials at each value of an axis."""
    return dict(iter(trials.groupby(axis)))


def outcomes(rows: pd.DataFrame) -> Sequence[str]:
    return sorted(set(rows["outcome"]))


def test_noise_is_harmless_then_only_memorises_then_melts(tmp_path: Path) -> None:
    """Stated (3 seeds): t_gen 350-500 up to T = .01; memorises only at .03 with test .14-.18; train .11-.16 at .1;
    chance from .2. Measured: 400-610; .19-.25; .11-.16; at most .08. One of three seeds here."""
    at = by(run(tmp_path, "study=langevin", "seed=0"), "noise.temperature")
    for temperature in (0.0, 1e-4, 3e-4, 1e-3, 1e-2):
        assert outcomes(at[temperature]) == ["grokking"], temperature
        assert at[temperature]["t_gen"].between(230, 900).all()
    assert outcomes(at[0.03]) == ["memorization"]
    assert at[0.03]["test_acc"].max() < 0.4
    for temperature in (0.1, 0.2):
        assert outcomes(at[temperature]) == ["confusion"], temperature
        assert at[temperature]["train_acc"].max() < 0.3


def test_cooling_orders_late(tmp_path: Path) -> None:
    """Stated: from T = .03 t_gen 1,250; from .1 t_mem 1,775 and t_gen 2,250; from .2 2,175 and 2,450; from .5 memorised
    at 2,425 only. The window of a crossing reaches 1.2 t, past the end of the cooling: hence 3,000 steps."""
    at = by(run(tmp_path, "study=annealing", "seed=0", "noise.temperature=0.03,0.1"), "noise.temperature")
    mild, hot = at[0.03].iloc[0], at[0.1].iloc[0]
    assert mild["t_mem"] < 150
    assert 600 < mild["t_gen"] < 1900
    assert 1300 < hot["t_mem"] < 2250
    assert hot["t_mem"] < hot["t_gen"] < 2500


def test_weight_decay_unlearns_corrupted_labels_and_then_everything(tmp_path: Path) -> None:
    """Stated at 1,000 steps, train/test: wd 0 1.0/.31; 5 1.0/.988; 10 .761/1.0; 15 .845/.768, falling; 20 .055/.022.

    Measured (3 seeds): 1.0/.18-.36, 1.0/.99, .769/1.0, .84-.87/.66-.76, below .13/.03. One of three seeds here.
    """
    trials = run(tmp_path, "study=label_noise_phases", "seed=0", "measures.names=[]")
    at = {wd: rows.iloc[0] for wd, rows in by(trials, "regularization.weight_decay").items()}
    assert at[0.0]["outcome"] == "memorization"
    assert at[0.0]["test_acc"] < 0.6
    assert at[5.0]["train_acc"] > 0.97, "memorised and generalised at once"
    assert at[5.0]["test_acc"] > 0.95
    # Full inversion: what is right of corrupted labels is the true ones among them, 1 - xi + xi / p = .756.
    assert at[10.0]["train_acc"] == pytest.approx(1 - 0.25 + 0.25 / 41, abs=0.03)
    assert at[10.0]["test_acc"] > 0.99
    assert at[15.0]["retention"] == "lost"
    assert at[15.0]["test_acc"] < 0.9
    assert at[20.0]["train_acc"] < 0.3
    assert at[20.0]["test_acc"] < 0.1


def test_the_gap_grows_with_the_output_scale(tmp_path: Path) -> None:
    """Stated (.99, t_mem and t_gen): alpha .5: 900, 1,000; 1: 1,700, 2,300; 2: 3,600, 5,000. Measured at .95 (2 seeds):
    780, 950-1,050; 1,600-1,650, 2,200-2,350; 3,300, 5,000-5,400. One of three seeds here."""
    trials = run(tmp_path, "study=kumar_output_scale", "seed=0", "budget=6500")
    at = {alpha: rows.iloc[0] for alpha, rows in by(trials, "model.output_scale").items()}
    gaps = [at[alpha]["t_gen"] - at[alpha]["t_mem"] for alpha in (0.5, 1.0, 2.0)]
    assert 0 <= gaps[0] < gaps[1] / 1.5 < gaps[2] / 3
    for alpha, mem, gen in [(0.5, 900, 1000), (1.0, 1700, 2300), (2.0, 3600, 5000)]:
        assert at[alpha]["t_mem"] == pytest.approx(mem, rel=0.2)
        assert at[alpha]["t_gen"] == pytest.approx(gen, rel=0.2)


def test_orthogonal_gradients_alone_decide_the_outcome(tmp_path: Path) -> None:
    """Stated at .4: memorised at 40 and test .000 without, generalised at 220 with; at .6 with: 80 and 80."""
    trials = run(tmp_path, "study=orthograd", "seed=0", "task.frac_train=0.4", "budget=400")
    assert dict(zip(trials["optimizer.filter"], trials["outcome"], strict=True)) == {
        "none": "memorization",
        "orthograd": "comprehension",
    }


@pytest.mark.campaign
def test_operations_generalise_in_the_order_of_power_et_al(tmp_path: Path) -> None:
    """The whole study. Stated (one seed): add, sub, mul, div and x^2 + y^2 by step 260 from half of the table;
    mixed division and the other forms not (test .04-.10), mixed division by 320 from .8; cubic ones and random labels
    not from .8 either."""
    trials = run(tmp_path, "study=power2022_mini")
    at = dict(iter(trials.groupby(["task.op", "task.frac_train"])))
    for op in ("add", "sub", "mul", "div", "x2plusy2"):
        assert at[op, 0.5]["t_gen"].between(1, 600).all(), op
        assert at[op, 0.8]["t_gen"].between(1, 100).all(), op
    for op in ("mix_div_sub", "x2plusxyplusy2", "x2plusxyplusy2plusx", "x3plusxy", "x3plusxy2plusy", "random"):
        assert at[op, 0.5]["t_gen"].isna().all(), op
        assert at[op, 0.5]["test_acc"].max() < 0.5, op
    assert at["mix_div_sub", 0.8]["t_gen"].median() < 600
    for op in ("x3plusxy", "x3plusxy2plusy", "random"):
        assert at[op, 0.8]["test_acc"].max() < 0.3, op
