"""Every claim in conf/: a record that can be judged, studies that can be run, a source, controls."""

from __future__ import annotations

import pytest

from grokstudy.claims.library import load, names, planned
from grokstudy.claims.problems import PROBLEMS
from grokstudy.claims.results import check_current, committed_root, here
from grokstudy.spec.claim import MAIN
from grokstudy.spec.compose import compose_study
from grokstudy.spec.errors import BadInput

NAMES = names()


@pytest.mark.parametrize("name", NAMES)
def test_the_published_number_is_equivalent_to_itself(name: str) -> None:
    """An interval that does not hold what was published would call the publication wrong."""
    for check in load(name).record.checks:
        low, high = check.equivalence
        if check.value is not None:
            assert low is None or low <= check.value, check.name
            assert high is None or check.value <= high, check.name


@pytest.mark.parametrize("name", NAMES)
def test_every_claim_says_where_it_is_from_and_has_several_seeds(name: str) -> None:
    claim = load(name)
    studies = claim.composed()
    assert all((claim.record.source, claim.record.measured, claim.record.setting, studies[MAIN].source))
    assert any(axis.path == "seed" and len(axis.values) >= 3 for axis in studies[MAIN].axes)
    assert {arm: spec.name for arm, spec in studies.items()} == claim.arms
    assert planned(studies) >= 3


@pytest.mark.parametrize("name", NAMES)
def test_every_claim_about_training_has_a_control(name: str) -> None:
    """What is said of networks that were never trained, or of a formula, is a control itself."""
    claim = load(name)
    assert any(check.control for check in claim.record.checks) or claim.composed()[MAIN].budget == 1


@pytest.mark.parametrize("name", NAMES)
def test_committed_rows_are_of_the_study_that_the_claim_describes_today(name: str) -> None:
    """A preset that changed makes them rows of another study: run the claim again, then `grokstudy claim keep`."""
    claim, root = load(name), committed_root()
    folders = here(claim, str(root))
    if folders is None:
        pytest.skip("not run yet")
    check_current(claim, claim.composed(), folders)


def test_a_word_of_the_command_line_takes_the_place_of_an_arms_own() -> None:
    arms = load("gromov_no_regularization").composed(["seed=3", "budget=7"])
    assert {spec.budget for spec in arms.values()} == {7}
    assert all(not spec.axes for spec in arms.values())


def test_numbers_are_given_once() -> None:
    numbers = [load(name).record.number for name in NAMES]
    assert sorted(numbers) == sorted(set(numbers))


def test_an_unknown_claim_names_the_nearest() -> None:
    with pytest.raises(BadInput, match="parity"):
        load("parityy")


@pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.number)
def test_the_command_of_a_problem_composes(problem: object) -> None:
    """Words that a reader may type; those with an option are shown on the page they name."""
    words = [word for word in problem.words if word != "--name" and word not in ("relu", "my_task.py")]  # type: ignore[attr-defined]
    if "--plugin" not in words and words:
        assert compose_study(words).budget > 0


def test_all_problems_of_the_section_are_listed_once() -> None:
    assert [problem.number for problem in PROBLEMS] == [f"3.{n}" for n in range(1, 34)]
    assert all(problem.words or problem.see or problem.missing for problem in PROBLEMS)
