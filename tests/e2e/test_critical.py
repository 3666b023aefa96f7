"""`grokstudy critical`: the place along one setting where half of all seeds still memorise or generalise."""

from __future__ import annotations

import json

import pytest

import grokstudy as gs
from grokstudy.spec.compose import compose_study
from grokstudy.spec.errors import BadInput
from grokstudy.study.critical import ANY_AXES, critical_study
from tests.e2e.conftest import SMALL, Cli

FRAC = "task.frac_train=interval(0.2,0.95)"


@pytest.mark.slow
def test_a_search_finds_the_train_fraction_and_goes_on_from_where_it_stands(cli: Cli) -> None:
    asked = ["critical", *SMALL, FRAC, "--param", "frac_train", "--steps", "600", "--name", "found", "--format", "json"]
    first = json.loads(cli.run(*asked, "--trials", "16").stdout)
    assert (first["setting"], first["budget"], first["trials"]) == ("task.frac_train", 600, 16)
    (gen,) = [value for value in first["values"] if value["event"] == "t_gen"]
    assert gen["happens"] == "above", "more data generalise"
    assert 0.2 <= gen["low"] < gen["value"] < gen["high"] <= 0.95
    assert any("t_mem is seen within 600 steps everywhere" in text for text in first["unseen"])

    again = cli.run(*asked, "--trials", "16")
    assert json.loads(again.stdout) == first, "the same search again runs nothing"
    longer = json.loads(cli.run(*asked, "--trials", "40", "--band", "0.001").stdout)
    assert longer["trials"] == 40
    (better,) = [value for value in longer["values"] if value["event"] == "t_gen"]
    assert better["high"] - better["low"] < gen["high"] - gen["low"]

    study = gs.open("found", str(cli.root))
    trials = study.trials()
    assert trials["seed"].nunique() == 40, "every trial has a seed of its own"
    # Far from the edge seeds do not matter: beyond three half-widths all or none generalise, but for one in twenty.
    reach = 3 * (better["high"] - better["low"]) / 2
    sure = trials[(trials["task.frac_train"] - better["value"]).abs() > reach]
    right = (sure["task.frac_train"] > better["value"]) == sure["t_gen"].notna()
    assert len(sure) >= 8
    assert right.mean() >= 0.9

    same = study.critical()
    assert [value.value for value in same.values] == [value["value"] for value in longer["values"]]
    sooner = study.critical(budget=300)
    assert sooner.budget == 300
    by_then = next(value for value in sooner.values if value.event == "t_gen")
    assert by_then.value > better["value"], "in half the time only more data generalise"
    assert "T_gen = " in cli.run(*asked[:-2], "--trials", "40", "--band", "0.001").stdout


@pytest.mark.parametrize(
    ("words", "param", "told"),
    [
        ((FRAC,), "frac_trian", "no 'frac_trian'; did you mean 'task.frac_train'"),
        ((), "frac_train", "has one value in this study; give an interval"),
        ((FRAC, "optimizer.lr=0.01,0.02"), "frac_train", "this study varies optimizer.lr too"),
        (("task.op=add,sub",), "op", "names for values"),
    ],
)
def test_what_cannot_be_searched_is_refused(words: tuple[str, ...], param: str, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        critical_study(compose_study([ANY_AXES, *SMALL, *words]), param)


def test_the_interval_is_that_of_the_studys_values() -> None:
    (axis,) = critical_study(compose_study([ANY_AXES, "study=langevin"]), "temperature").axes
    assert (axis.path, axis.low, axis.high, axis.log) == ("noise.temperature", 0.0001, 0.2, True)
    (axis,) = critical_study(
        compose_study([ANY_AXES, *SMALL, "task.frac_train=lin(0.3,0.9,4)"]), "task.frac_train"
    ).axes
    assert (axis.low, axis.high, axis.log) == (0.3, 0.9, False)


@pytest.mark.campaign
def test_the_temperatures_at_which_quad23_stops_to_generalise_and_to_memorise(cli: Cli) -> None:
    """Gaussian noise on quad23: generalisation melts between .01 and .03, memorisation between .025 and .1."""
    asked = ["critical", "study=langevin", "--param", "noise.temperature", "tracking=none", "--format", "json"]
    found = json.loads(cli.run(*asked, "--trials", "60").stdout)
    assert found["trials"] <= 60
    values = {value["event"]: value for value in found["values"]}
    assert 0.01 <= values["t_gen"]["low"] < values["t_gen"]["high"] <= 0.03
    assert 0.025 <= values["t_mem"]["low"] < values["t_mem"]["high"] <= 0.1
