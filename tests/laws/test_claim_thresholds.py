"""Thresholds under which a claim is judged: what cannot be one is refused, wherever it was given."""

from __future__ import annotations

import dataclasses

import pytest

from grokstudy.claims.account import thresholds_of
from grokstudy.claims.library import load
from grokstudy.phase.query import PhaseQuery
from grokstudy.spec.errors import BadInput

CLAIM = load("parity")


@pytest.mark.parametrize(
    ("key", "value"), [("tau", 95.0), ("tau", 0.0), ("ratio", 0.0), ("ratio", float("inf")), ("budget", -5)]
)
def test_a_claim_and_a_diagram_refuse_the_same_thresholds_in_the_same_words(key: str, value: float) -> None:
    with pytest.raises(BadInput) as of_claim:
        thresholds_of(CLAIM, **{key: value})  # type: ignore[arg-type]
    with pytest.raises(BadInput) as of_diagram:
        PhaseQuery(x="seed", **{key: value})  # type: ignore[arg-type]
    assert str(of_claim.value) == str(of_diagram.value)
    assert str(of_claim.value).startswith(f"{key}: got {value}, must be")


def test_a_record_with_a_threshold_that_cannot_be_is_refused() -> None:
    with pytest.raises(BadInput, match="tau: got 95"):
        thresholds_of(dataclasses.replace(CLAIM, record=dataclasses.replace(CLAIM.record, tau=95.0)))


def test_a_rule_that_cannot_be_read_is_refused_before_any_row_is() -> None:
    with pytest.raises(BadInput, match="did you mean 'test_loss'"):
        thresholds_of(CLAIM, rule="test_los<1")
