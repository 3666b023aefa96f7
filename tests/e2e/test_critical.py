"""`grokstudy critical`: the place along one setting where half of all seeds still memorise or generalise."""

from __future__ import annotations

import json

import pytest

import grokstudy as gs
from grokstudy.samplers.boundary import Boundary
from grokstudy.spec.compose import compose_study
from grokstudy.spec.errors import BadInput
from grokstudy.study.critical import critical_study, search_words
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
        ((FRAC,), "op", "got task.op, which is add; a critical value is searched along a setting whose numbers"),
        ((FRAC,), "seed", "got seed, which is 0; a critical value is searched along"),
        ((FRAC, "sampler=tpe"), "frac_train", "sampler: got tpe, but a search .* places its trials itself"),
        ((FRAC, "sampler.n_trials=9"), "frac_train", "sampler.n_trials: got 9, but .* Its option: --trials"),
        ((FRAC, "sampler=asha"), "frac_train", "sampler: got asha, which stops trials early"),
        ((FRAC, "sampler.explore=2"), "frac_train", r"sampler.explore: got 2.0, must be in \[0, 1\]"),
    ],
)
def test_what_cannot_be_searched_is_refused(words: tuple[str, ...], param: str, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        critical_study(compose_study(search_words([*SMALL, *words])), param)


def test_a_band_is_refused_by_the_name_it_was_given_under() -> None:
    study = compose_study(search_words([*SMALL, FRAC]))
    for band in (0.0, 2.0):
        with pytest.raises(BadInput, match=f"--band: got {band:g}, must be in"):
            critical_study(study, "frac_train", band=band)


def test_settings_of_the_boundary_sampler_are_kept_beside_the_searchs_own() -> None:
    study = compose_study(search_words([*SMALL, FRAC, "sampler.explore=.3", "sampler.seed=7"]))
    sampler = critical_study(study, "frac_train", trials=9, band=0.1).sampler
    assert isinstance(sampler, Boundary)
    assert (sampler.explore, sampler.seed, sampler.n_trials, sampler.band, sampler.tolerance) == (0.3, 7, 9, 0.1, 0.1)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("sampler.sentinels=-1", "sampler.sentinels: got -1, must be >= 0"),
        ("sampler.sentinel_seeds=1", "sampler.sentinel_seeds: got 1, must be >= 2"),
        ("sampler.ratio=0.5", "sampler.ratio: got 0.5, must be a number >= 1"),
    ],
)
def test_a_setting_of_the_boundary_sampler_is_refused_by_its_own_name(word: str, told: str) -> None:
    with pytest.raises(BadInput, match=told):
        compose_study([*SMALL, FRAC, "sampler=boundary", word])
    with pytest.raises(BadInput, match=r"axes: sampler=boundary looks .* and none does\. Give an interval"):
        compose_study([*SMALL, "sampler=boundary"]).sampler.check([])


def test_a_search_goes_along_one_setting(cli: Cli) -> None:
    said = cli.run("critical", *SMALL, FRAC, "--param", "frac_train", "--param", "lr", code=2).stderr
    assert "--param: got frac_train, lr; a search goes along one setting" in said


def test_a_stored_study_of_other_settings_is_left_alone(cli: Cli) -> None:
    plane = ("regularization.weight_decay=log(0.1,1)", "task.frac_train=lin(0.3,0.8)")
    cli.run("run", *SMALL, *plane, "sampler=random", "sampler.n_trials=2", "--steps", "20", "--name", "plane")
    said = cli.run("critical", *SMALL, FRAC, "--param", "frac_train", "--steps", "20", "--name", "plane", code=2).stderr
    assert "the study 'plane' exists and varies regularization.weight_decay, task.frac_train" in said
    assert "--name plane-frac_train" in said
    assert len(gs.open("plane", str(cli.root)).trials()) == 2, "nothing was run there"


@pytest.mark.slow
def test_a_search_with_more_steps_is_read_at_them(cli: Cli) -> None:
    asked = ["critical", *SMALL, FRAC, "--param", "frac_train", "--trials", "14", "--name", "longer"]
    cli.run(*asked, "--steps", "300")
    after = json.loads(cli.run(*asked, "--steps", "600", "--format", "json").stdout)
    steps = gs.open("longer", str(cli.root)).trials()["steps_run"]
    assert {int(steps.min()), int(steps.max())} == {300, 600}, "trials that had generalised were not extended"
    assert after["budget"] == 600


def test_the_interval_is_that_of_the_studys_values() -> None:
    (axis,) = critical_study(compose_study(search_words(["study=langevin"])), "temperature").axes
    assert (axis.path, axis.low, axis.high, axis.log) == ("noise.temperature", 0.0001, 0.2, True)
    (axis,) = critical_study(
        compose_study(search_words([*SMALL, "task.frac_train=lin(0.3,0.9,4)"])), "task.frac_train"
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
