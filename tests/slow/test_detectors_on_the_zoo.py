"""Detectors tell the algorithms of networks that were really trained: areas under ROC curves over a zoo."""

from __future__ import annotations

from collections import Counter

import pytest

from grokstudy.circuits._labels import LABELS
from tests.roc import Judged, areas, judged
from tests.zoo import QUICK

LEAST_AUC = 0.95
LEAST_LABELLED = 0.8
"""Share of each algorithm's networks that carry its label: not promised by an area, but by diagrams of labels."""


def _check(networks: tuple[Judged, ...]) -> None:
    states = Counter(one.state for one in networks)
    assert min(states[state] for state in ("grokked", "memorised", "random", "untrained")) >= 3, states
    assert {row.detector: row.auc for row in areas(networks) if row.auc < LEAST_AUC} == {}
    for name in {one.algorithm for one in networks}:
        given = [one.label for one in networks if one.algorithm == name]
        assert given.count(name) >= LEAST_LABELLED * len(given), (name, given)


@pytest.mark.slow
def test_the_quick_part_of_the_zoo_is_told_apart() -> None:
    networks = judged(QUICK)
    assert {row.detector for row in areas(networks)} == {
        "fourier", "pizza", "irrep", "sparse_input", "lookup_table"
    }  # fmt: skip
    _check(networks)


@pytest.mark.slow
def test_networks_that_do_not_generalise_pass_no_guard() -> None:
    """Every score but that of memorisation stays at or below the 0.5 from which it names an algorithm."""
    for one in judged(QUICK):
        if one.state != "grokked":
            assert max(score for name, score in one.scores.items() if name != "lookup_table") <= 0.5, one


@pytest.mark.campaign
def test_the_whole_zoo_is_told_apart() -> None:
    networks = judged(None)
    assert {row.detector for row in areas(networks)} == set(LABELS) - {"unknown"}
    _check(networks)
