"""Diagrams of running studies: planned cells are there before their trials, and trials stay in their cells."""

from __future__ import annotations

import numpy as np
import pandas as pd

from grokstudy.phase.diagram import diagram_of
from grokstudy.phase.planned import with_planned
from grokstudy.phase.query import PhaseQuery
from grokstudy.phase.times import UNDETERMINED
from grokstudy.spec.outcome import LABELS

X, Y = "regularization.weight_decay", "task.frac_train"


def _table(x: list[float], y: list[float | str]) -> pd.DataFrame:
    n = len(x)
    table = pd.DataFrame(
        {
            "trial_id": [f"{i:016x}" for i in range(n)],
            "x": x,
            "y": y,
            "facet": [None] * n,
            "seed": range(n),
            "t_mem": [10.0] * n,
            "t_gen": [100.0 * (i + 1) for i in range(n)],
            "retention": pd.Categorical(["kept"] * n, categories=["kept", "lost", "unknown"]),
            "outcome": pd.Categorical(["grokking"] * n, categories=[*LABELS, UNDETERMINED]),
            "censored_at": [1000.0] * n,
            "determined": [True] * n,
            "value": [1.0] * n,
        }
    )
    about = {"study": "s", "x": X, "y": Y, "facet": None, "value": "p_gen", "budget": 1000, "budget_source": "as asked"}
    table.attrs = {**about, "tau": 0.95, "ratio": 5.0, "rule": None, "at": None, "fix": ""}
    return table


def test_planned_cells_are_empty_and_the_others_keep_their_numbers() -> None:
    query = PhaseQuery(x=X, y=Y)
    seen = diagram_of(_table([1.0, 1.0, 4.0], [0.3, 0.5, 0.5]), query)
    whole = with_planned(seen, {X: (0.5, 1.0, 2.0, 4.0), Y: (0.3, 0.4, 0.5), "seed": (0, 1)})
    assert whole["weight_decay"].to_numpy().tolist() == [0.5, 1.0, 2.0, 4.0]
    assert whole["frac_train"].to_numpy().tolist() == [0.3, 0.4, 0.5]
    counts = whole["n"].transpose("frac_train", "weight_decay").to_numpy()
    np.testing.assert_array_equal(counts, [[0, 1, 0, 0], [0, 0, 0, 0], [0, 1, 0, 1]])
    assert np.isnan(whole["p_gen"].sel(weight_decay=2.0)).all()
    for name in seen.data_vars:
        if set(seen[name].dims) == {"weight_decay", "frac_train"}:
            inner = whole[name].sel(weight_decay=seen["weight_decay"], frac_train=seen["frac_train"])
            np.testing.assert_array_equal(inner.transpose(*seen[name].dims), seen[name], err_msg=str(name))
    x = whole["weight_decay"].to_numpy()[whole["trial_cell_x"].to_numpy()]
    y = whole["frac_train"].to_numpy()[whole["trial_cell_y"].to_numpy()]
    np.testing.assert_array_equal(x, seen["trial_x"])
    np.testing.assert_array_equal(y, seen["trial_y"])


def test_names_join_behind_those_that_are_there() -> None:
    query = PhaseQuery(x=X, y=Y)
    whole = with_planned(diagram_of(_table([1.0, 4.0], ["sgd", "adamw"]), query), {Y: ("adamw", "muon", "sgd")})
    assert whole["frac_train"].to_numpy().tolist() == ["adamw", "sgd", "muon"]
    assert whole["frac_train"].dtype == object
    assert whole["trial_cell_y"].to_numpy().tolist() == [1, 0]


def test_names_that_the_study_writes_otherwise_are_not_added() -> None:
    seen = diagram_of(_table([1.0, 4.0], ["6b2699e5@30", "72a3c3ff@30"]), PhaseQuery(x=X, y=Y))
    assert with_planned(seen, {Y: ("parent@30", "parent@end")}).equals(seen)


def test_a_diagram_with_all_its_cells_or_with_bins_stays_as_it_is() -> None:
    table = _table([1.0, 4.0], [0.3, 0.5])
    seen = diagram_of(table, PhaseQuery(x=X, y=Y))
    assert with_planned(seen, {X: (4.0, 1.0)}).equals(seen)
    binned = diagram_of(_table([1.0, 2.0, 4.0], [0.3, 0.4, 0.5]), PhaseQuery(x=X, y=Y, bins=2))
    assert with_planned(binned, {X: (1.0, 2.0, 3.0, 4.0)}).equals(binned)
