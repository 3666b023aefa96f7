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


@pytest.mark.campaign
def test_corrupted_labels_give_the_four_phases_of_doshi_et_al(tmp_path: Path) -> None:
    """The whole study. Stated (p = 97, half of the table, 35 % of labels corrupted), train/test accuracy: wd 0 .978/
    .983 at 1,000; wd 5 .7855/1.0 at 500; wd 15 .6537/1.0; wd 20 test 1.0 at 300, .25 at 1,600, .011 at 2,800. Measured:
    .977/.975, .791/1.0, .653/1.0, 1.0, .222, .013. One seed of another generator: shares within .03.
    """
    trials = run(tmp_path, "study=doshi_phases", "measures.names=[]")
    curves = gs.open("s", str(tmp_path)).curves().merge(trials[["trial_id", "regularization.weight_decay"]])
    at = curves.set_index(["regularization.weight_decay", "step"])
    assert at.loc[(0.0, 1000), "train_acc"] == pytest.approx(0.978, abs=0.03), "coexistence"
    assert at.loc[(0.0, 1000), "test_acc"] == pytest.approx(0.983, abs=0.03)
    assert at.loc[(5.0, 500), "train_acc"] == pytest.approx(0.7855, abs=0.03), "partial inversion"
    assert at.loc[(5.0, 500), "test_acc"] > 0.99
    # Full inversion: right are 1 - xi + xi / p of the train labels, those whose redrawn label is the true one included.
    assert at.loc[(15.0, 3000), "train_acc"] == pytest.approx(1 - 0.35 + 0.35 / 97, abs=0.005)
    assert at.loc[(15.0, 3000), "train_acc_clean"] == 1
    assert at.loc[(15.0, 3000), "train_acc_corrupted"] < 0.01
    assert at.loc[(20.0, 300), "test_acc"] > 0.99, "forgetting"
    assert at.loc[(20.0, 1600), "test_acc"] < 0.5
    assert at.loc[(20.0, 2800), "test_acc"] < 0.1
    assert trials.set_index("regularization.weight_decay").loc[20.0, "retention"] == "lost"


@pytest.mark.campaign
def test_large_starts_delay_handwritten_digits_and_need_weight_decay(tmp_path: Path) -> None:
    """The whole study, read where real data level off (test accuracy .8). Stated for init scale 8: memorised at 1,300
    with test .28, .80 at 4,000; scale 1: no delay. Measured medians of 3 seeds in the bounds."""
    trials = run(tmp_path, "study=init_scale_digits")
    rows = trials.groupby(["init.scale", "regularization.weight_decay"])[["t_mem", "test_acc", "test_acc_at_t_mem"]]
    at = rows.median()
    assert at.loc[(1.0, 0.1), "test_acc_at_t_mem"] > 0.8, "generalises while it memorises"
    assert at.loc[(8.0, 0.1), "test_acc_at_t_mem"] < 0.5
    assert at.loc[(8.0, 0.1), "test_acc"] > 0.75, "long after"
    assert at.loc[(8.0, 0.0), "test_acc"] < 0.4, "never without weight decay"
    assert at["t_mem"].unstack()[0.1].is_monotonic_increasing


@pytest.mark.campaign
def test_parity_generalises_with_data_and_weight_decay(tmp_path: Path) -> None:
    """The whole plane. Stated: 750 rows wd .3 generalise at 2,450-4,100, wd 0 never in 20,000. Measured: 3,600."""
    trials = run(tmp_path, "study=parity_plane_small")
    at = dict(iter(trials.groupby(["regularization.weight_decay", "task.train"])))
    assert trials["t_mem"].notna().all()
    assert at[0.3, 750]["t_gen"].between(2000, 5500).all()
    assert (at[0.3, 750]["outcome"] == "grokking").all()
    for rows in (750, 500):
        assert at[0.0, rows]["t_gen"].isna().all()
    assert at[0.3, 1250]["t_gen"].median() < at[0.3, 1000]["t_gen"].median() < at[0.3, 750]["t_gen"].median()
