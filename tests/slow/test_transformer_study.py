"""A transformer study with every checkpoint measured: what the circuit does, and Nanda's three phases in order."""

from __future__ import annotations

from pathlib import Path

import pytest

import grokstudy as gs
from grokstudy.spec.compose import compose_study
from grokstudy.study.board import Board
from grokstudy.study.run import run_study

CELL = ["regularization.weight_decay=1", "task.frac_train=0.8", "seed=seeds(2)", "budget=2500"]
ENDS = ["phase.memorization_end", "phase.circuit_formation_end", "phase.cleanup_end"]


def _run(root: Path, *words: str) -> gs.Study:
    words = ("study=transformer_small", "cluster=none", "tracking=none", f"storage.root={root}", *words)
    run_study(compose_study(words, name="s"), Board(study="s"))
    return gs.open("s", str(root))


def _check(study: gs.Study) -> None:
    ends = study.sql("SELECT m.*, t.t_gen FROM measures m JOIN trials t USING (trial_id) WHERE m.step = t.steps_run")
    circuits = ends[ends["fve"] >= 0.9]
    assert len(circuits)
    assert (circuits["restricted_loss.all"] < circuits["ce_all"]).any()
    # Fewer frequencies explain less: random key sets of equal size, and the untrained network, beside the found keys.
    assert (circuits["fve_random_keys"] < circuits["fve"]).all()
    start = study.measures("step = 0")
    assert start["fve"].max() < 0.5

    defined = ends.dropna(subset=ENDS)
    assert len(defined)
    first, second, third = (defined[name] for name in ENDS)
    assert ((first < second) & (second < third)).all()
    assert (first < defined["t_gen"]).all()

    # The dense window: at least 16 checkpoints between memorisation and generalisation where there are as many steps.
    kept = study.sql(
        "SELECT count(*) AS n FROM checkpoints c JOIN trials t USING (trial_id) "
        "WHERE t.t_gen > 2 * t.t_mem AND c.step BETWEEN t.t_mem AND t.t_gen GROUP BY trial_id"
    )
    assert (kept["n"] >= 16).all()


@pytest.mark.slow
def test_a_generalised_transformer_uses_few_frequencies_and_passes_three_phases_in_order(tmp_path: Path) -> None:
    _check(_run(tmp_path, *CELL))


@pytest.mark.campaign
def test_the_whole_shipped_transformer_study(tmp_path: Path) -> None:
    _check(_run(tmp_path))
