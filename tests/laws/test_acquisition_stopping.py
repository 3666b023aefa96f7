"""Laws of the stop rule."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from scipy.stats import binom

from grokstudy.samplers.surrogate import stream
from grokstudy.samplers.surrogate.observations import Observations, Question
from grokstudy.samplers.surrogate.posterior import Posterior, fit
from grokstudy.samplers.surrogate.proportion import clopper_pearson
from grokstudy.samplers.surrogate.space import Dimension, Places, Space
from grokstudy.samplers.surrogate.stopping import Explored, StopCheck, StopRule, check, prefixes
from grokstudy.spec.outcome import LABELS

LINE = Space((Dimension(name="x"),))
ASK = Question(budget=1000, ratio=5.0)
SURE = Explored(np.eye(6)[[0] * 80], ["confusion"] * 80)
LAX = StopRule(error=0.1, width=0.1)


def posterior(n: int) -> Posterior:
    """Of n trials on a line that memorise (and generalise late) left of the middle."""
    unit = stream.scrambled(0, "line", 1, 0, n)
    t_mem = 10 ** (2 + 2 * unit[:, 0])
    nothing = np.full(n, np.nan)
    return fit(
        LINE,
        Observations(
            places=Places(unit, np.zeros((n, 0), dtype=np.int64)),
            t_mem=np.where(t_mem <= 1000, t_mem, np.nan),
            t_gen=nothing,
            steps=np.full(n, 1000.0),
            diverged=np.zeros(n, dtype=bool),
            cost=nothing,
        ),
        ASK,
    )


KNOWN, VAGUE = posterior(60), posterior(3)


def checked(
    n: int, previous: list[StopCheck], found: Posterior = KNOWN, rule: StopRule = LAX, told: Explored = SURE
) -> StopCheck:
    return check(found, LINE, told, n=n, rule=rule, previous=previous)


def test_a_study_stops_at_the_third_check_that_passes_five_percent_apart() -> None:
    checks: list[StopCheck] = []
    for n in (100, 105, 111):
        checks.append(checked(n, checks))
    assert [one.passed for one in checks] == [True] * 3
    assert [bool(one) for one in checks] == [False, False, True]


def test_checks_too_near_to_each_other_count_once() -> None:
    checks: list[StopCheck] = []
    for n in (100, 101, 102, 103, 104):
        checks.append(checked(n, checks))
    assert not any(checks)


def test_a_check_that_fails_starts_the_row_anew() -> None:
    checks = [checked(100, [])]
    checks.append(checked(110, checks))
    checks.append(checked(120, checks, VAGUE))
    assert not checks[-1].passed
    checks.append(checked(130, checks))
    assert checks[-1].passed
    assert not checks[-1].stop


def test_later_checks_do_not_count_as_earlier_ones() -> None:
    later = [dataclasses.replace(checked(n, []), n=n) for n in (200, 300)]
    assert not checked(100, later).stop


def test_a_check_says_what_is_missing() -> None:
    one = checked(3, [], VAGUE, StopRule(error=0.001, width=0.001))
    assert "expected error" in one.reason
    assert "above 0.001" in one.reason
    assert "half-width" in one.reason


def test_explore_trials_that_refute_the_map_prevent_a_stop() -> None:
    refuted = Explored(SURE.predicted, ["grokking"] * 40 + ["confusion"] * 40)
    one = checked(200, [], told=refuted)
    assert not one.passed
    assert "explore" in one.reason
    assert one.explore_wrong == 40


def test_explore_trials_are_held_to_what_their_predictions_admitted() -> None:
    """40 of 80 wrong is no contradiction where each outcome was a toss-up."""
    toss = np.zeros((80, len(LABELS)))
    toss[:, :2] = [0.51, 0.49]
    one = checked(200, [], told=Explored(toss, ["confusion"] * 40 + ["memorization"] * 40))
    assert one.passed
    assert one.explore_admitted == pytest.approx(0.49)


def test_proof_and_islands_are_demanded_only_if_asked_for() -> None:
    few = Explored(SURE.predicted[:10], SURE.seen[:10])
    assert checked(200, [], told=few).passed
    assert checked(200, [], told=few).island == pytest.approx(0.3)
    # Ten trials without an error leave up to 1 - .05^(1/10) = .26 > .1.
    assert "upper bound 0.259" in checked(200, [], told=few, rule=dataclasses.replace(LAX, prove=True)).reason
    assert "island" in checked(200, [], told=few, rule=dataclasses.replace(LAX, island=0.1)).reason
    assert checked(200, [], rule=dataclasses.replace(LAX, prove=True, island=0.1)).passed


def test_without_explore_trials_nothing_is_claimed() -> None:
    one = checked(200, [], told=Explored(np.zeros((0, 6)), []))
    assert (one.explore_error_lower, one.explore_error_upper, one.island) == (0.0, 1.0, 1.0)


@pytest.mark.parametrize(("wrong", "n"), [(0, 10), (1, 20), (7, 60), (59, 60), (5, 5)])
def test_clopper_pearson_solves_its_own_equations(wrong: int, n: int) -> None:
    """At the bounds, what was seen or anything more extreme has probability .05."""
    lower, upper = clopper_pearson(wrong, n, 0.05)
    if wrong:
        assert binom.sf(wrong - 1, n, lower) == pytest.approx(0.05, abs=1e-9)
    if wrong < n:
        assert binom.cdf(wrong, n, upper) == pytest.approx(0.05, abs=1e-9)
    assert 0 <= lower <= wrong / n <= upper <= 1


@pytest.mark.parametrize("outcome", ["confusion", "diverged"])
def test_one_outcome_is_no_boundary_however_sure_the_map(outcome: str) -> None:
    """Its expected error falls below any bound, and no line has no width: nothing else would hold it back."""
    unit, nothing = stream.scrambled(0, "line", 1, 0, 150), np.full(150, np.nan)
    one = Observations(
        places=Places(unit, np.zeros((150, 0), dtype=np.int64)),
        t_mem=nothing,
        t_gen=nothing,
        steps=np.full(150, 1000.0),
        diverged=np.full(150, outcome == "diverged"),
        cost=nothing,
    )
    found = checked(150, [], fit(LINE, one, ASK), rule=StopRule(error=0.5, width=1.0, checks=1))
    assert found.expected_error < 0.5
    assert not found.passed
    assert "fewer than two outcomes" in found.reason


@pytest.mark.parametrize("n", [0, 1, 5, 24, 100, 1000])
def test_prefixes_are_apart_as_the_rule_demands(n: int) -> None:
    rule = StopRule()
    found = prefixes(n, rule)
    assert found[-1] == n
    assert len(found) <= rule.checks
    assert all(low * (1 + rule.apart) <= high for low, high in itertools.pairwise(found))
