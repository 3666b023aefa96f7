"""The fast diagram is the plain one: equal bits on odd trials, whatever is asked and however the rows are stored."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from phase_planted import FRAC, WD, T, connected, trial
from phase_reference import assert_is_plain

from grokstudy.phase.columns import varying
from grokstudy.phase.compare_sides import CompareQuery, Side, trials_of
from grokstudy.phase.crossings import crossings
from grokstudy.phase.diagram import phase_diagram
from grokstudy.phase.query import PhaseQuery, readings
from grokstudy.spec.outcome import LABELS, retention, sustained

QUERY = {"x": "weight_decay", "y": "frac_train"}


def odd_trials(count: int = 400) -> list[dict[str, Any]]:
    """Ties, nothing known, divergence before and after T, losing, stopping, ending early, no test rows; a cell without
    trials, one whose trials are all undetermined, one with a single one."""
    random = np.random.default_rng(5)
    rows = []
    for k in range(count):
        wd, frac = random.choice([0.0, 0.1, 1.0, 1.0 + 1e-14]), random.choice([0.3, 0.5, 0.7])
        if (wd, frac) == (0.0, 0.7):
            continue
        t_mem = None if random.random() < 0.2 else int(random.choice([0, 1, 10, 20, 30, 700]))
        t_gen = None if random.random() < 0.4 else int(random.choice([0, 5, 50, 100, 150, 500, 600, T, T + 100]))
        t_lose = None if t_gen is None or random.random() < 0.7 else t_gen + int(random.choice([3, 200, 700]))
        steps = int(random.choice([T, T, T + 200, T + 500]))
        status, stopped = "done", random.random()
        diverged = None
        if stopped < 0.1:
            status, steps = "stopped", int(random.choice([100, 400, T]))
        elif stopped < 0.2:
            status, steps = "diverged", int(random.choice([7, 300, T + 300]))
            diverged = steps if stopped < 0.15 else None
        elif stopped < 0.25 and t_gen is not None:
            status, steps = "ended_early", 5 * max(t_gen, 1)
        rows.append(
            trial(
                float(wd),
                float(frac),
                k % 60,
                t_mem,
                t_gen,
                t_lose=t_lose,
                status=status,
                steps_run=steps,
                diverged_step=diverged,
                test_loss=None if random.random() < 0.05 else 0.5,
                trial_id=f"{random.integers(2**40):010x}",
                **{"model.name": str(random.choice(["mlp", "net"])), "task.sorted": bool(k % 2), "model.width": 128},
            )
        )
    rows += [trial(9.0, 0.3, s, None, None, status="stopped", steps_run=50, **KINDS) for s in range(3)]
    return [*rows, trial(9.0, 0.5, 0, 10, 30, **KINDS)]


KINDS = {"model.name": "mlp", "task.sorted": True}
ROWS = odd_trials()


def some(**settings: Any) -> list[dict[str, Any]]:
    """The odd trials with these settings."""
    return [row for row in ROWS if all(row[path] == value for path, value in settings.items())]


@pytest.mark.parametrize(
    "value", ["p_gen", "p_mem", "p_lost", *(f"p_{name}" for name in LABELS), "t_mem", "t_gen", "log10_delay_ratio"]
)
def test_every_share_and_time_of_odd_trials_is_the_plain_one(value: str) -> None:
    query = PhaseQuery(**QUERY, facet="model.name", value=value, fix=(("sorted", "true"),))
    rows = some(**{"task.sorted": True})
    assert_is_plain(phase_diagram(connected(ROWS), query), rows, query)


@pytest.mark.parametrize(
    "settings",
    [
        {"value": "retention"},
        {"value": "outcome"},
        {"value": "seconds"},
        {"budget": 100},
        {"budget": T + 300, "ratio": 2.5},
        {"budget": 1},
        {"confidence": 0.5},
        {"x": "model.name", "facet": "weight_decay"},
        {"x": "sorted", "y": "weight_decay", "facet": "frac_train", "fix": (("model.name", "mlp"),)},
    ],
    ids=str,
)
def test_whatever_is_asked_of_odd_trials_the_answer_is_the_plain_one(settings: dict[str, Any]) -> None:
    query = PhaseQuery(**{**QUERY, "facet": "model.name", "fix": (("sorted", False),), **settings})
    rows = some(**({"model.name": "mlp"} if settings.get("x") == "sorted" else {"task.sorted": False}))
    assert_is_plain(phase_diagram(connected(ROWS), query), rows, query)


def test_odd_trials_in_any_order_of_rows_give_identical_diagrams() -> None:
    query = PhaseQuery(**QUERY, facet="model.name", fix=(("sorted", True),))
    shuffled = [ROWS[k] for k in np.random.default_rng(1).permutation(len(ROWS))]
    by_id = sorted(ROWS, key=lambda row: str(row["trial_id"]))
    diagrams = [phase_diagram(connected(rows), query) for rows in (ROWS, shuffled, by_id)]
    xr.testing.assert_identical(diagrams[0], diagrams[1])
    xr.testing.assert_identical(diagrams[0], diagrams[2])


def random_curves(trials: int, random: np.random.Generator) -> list[pd.DataFrame]:
    """Accuracies that cross the thresholds often, reach them exactly, are not known, or are missing at the end."""
    steps = np.unique(np.r_[np.arange(21), np.geomspace(20, T, 60).astype(int)])
    curves = []
    for k in range(trials):
        own = steps[random.random(len(steps)) < random.choice([0.05, 0.5, 1.0])][: random.integers(0, 90)]
        drift = np.cumsum(random.normal(0.005, 0.02, (2, len(own))), axis=1) + random.uniform(0.85, 0.99, (2, 1))
        accuracy = np.clip(np.round(drift, 2), 0, 1)
        accuracy[random.random(accuracy.shape) < 0.02] = np.nan
        curves.append(
            pd.DataFrame({"trial_id": f"t{k:03}", "step": own, "train_acc": accuracy[0], "test_acc": accuracy[1]})
        )
    return curves


@pytest.mark.parametrize("stored", ["as they ran", "in pieces", "in any order"])
@pytest.mark.parametrize("settings", [{"tau": 0.99}, {"tau": 0.9}, {"rule": "test_acc>0.97"}, {"rule": "test_acc<=.9"}])
def test_times_read_again_are_the_plain_ones_however_the_curves_are_stored(
    settings: dict[str, Any], stored: str
) -> None:
    random = np.random.default_rng(7)
    curves = pd.concat(random_curves(150, random), ignore_index=True)
    rows = [trial(0.1 * (k % 3), 0.5, k, 10, 20, trial_id=f"t{k:03}") for k in range(150)]
    order = {
        "as they ran": np.arange(len(curves)),
        "in pieces": np.argsort(np.arange(len(curves)) // 100 % 2, kind="stable"),
        "in any order": random.permutation(len(curves)),
    }[stored]
    query = PhaseQuery(x=WD, **settings)
    diagram = phase_diagram(connected(rows, curves=curves.iloc[order]), query)
    assert np.isfinite(diagram["trial_t_gen"].to_numpy()).sum() > 10
    # A trial without any evaluation has no curve, so that its stored times are gone too.
    assert_is_plain(diagram, rows, query, curves)


def test_crossings_of_many_curves_are_those_of_each() -> None:
    random = np.random.default_rng(3)
    curves = [curve for curve in random_curves(600, random) if len(curve)]
    number = np.repeat(np.arange(len(curves)), [len(curve) for curve in curves])
    step = np.concatenate([curve["step"].to_numpy() for curve in curves])
    seen = 0
    for tau in (0.9, 0.95, 1.0):
        above = np.concatenate([curve["test_acc"].to_numpy() for curve in curves]) >= tau
        found = crossings(number, step, above, len(curves))
        for k, curve in enumerate(curves):
            own = above[number == k]
            crossing = sustained(curve["step"].to_numpy(), own)
            lost = retention(curve["step"].to_numpy(), own, crossing.t if crossing else None)[1]
            np.testing.assert_array_equal(
                [found.time[k], found.lost[k]],
                np.array([crossing.t if crossing else None, lost], dtype=float),
            )
            seen += crossing is not None
    assert seen > 100


def test_no_curves_cross_nowhere() -> None:
    empty = np.zeros(0, dtype=np.int64)
    found = crossings(empty, empty, empty > 0, 2)
    assert np.isnan(found.time).all()
    assert np.isnan(found.lost).all()


def test_a_setting_varies_if_it_has_two_values_of_which_null_may_be_one() -> None:
    same = [trial(1.0, 0.5, s, 10, 20) for s in range(3)]
    connection = connected([same[0], same[1] | {"optimizer.lr": None}, same[2] | {FRAC: 0.6}])
    names = ("optimizer.lr", FRAC, WD, "batch_size", "task.name")
    assert varying(connection, "trials", names) == ("optimizer.lr", FRAC)
    assert varying(connection, "trials", (WD, "batch_size")) == ()
    assert varying(connection, "trials", ()) == ()


def test_readings_hold_the_same_trials_as_a_comparison_reads() -> None:
    connection = connected(some(**{"task.sorted": True, "model.name": "net"}))
    whole = trials_of(Side(name="odd", connection=connection), CompareQuery())
    table = readings(connection, PhaseQuery(**QUERY))
    assert table["trial_id"].tolist() == whole["trial_id"].tolist()
    assert table["x"].tolist() == whole[WD].tolist()
