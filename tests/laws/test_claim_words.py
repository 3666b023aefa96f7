"""Effects of claims in words: what was not seen is always said, and never taken for what was not run."""

from __future__ import annotations

import pandas as pd
import pytest

from grokstudy.claims.estimates import estimated
from grokstudy.claims.words import interval
from grokstudy.spec.claim import Estimate

SEVERAL: tuple[Estimate, ...] = ("share", "mean", "geometric_mean", "median", "slope", "spearman", "crossing")


@pytest.mark.parametrize("estimate", SEVERAL)
def test_only_a_claim_without_rows_has_no_trials(estimate: Estimate) -> None:
    rows = pd.DataFrame({"value": [None, None], "x": [1.0, 2.0], "seed": [0, 1]})
    assert interval(estimated(rows.iloc[:0], estimate)) == "no trials"
    told = interval(estimated(rows, estimate))
    assert told.startswith("cannot be told from ")
    assert told.endswith(", 2 not seen")


def test_trials_that_do_not_tell_the_estimate_are_counted() -> None:
    all_hold = pd.DataFrame({"value": [1.0, 1.0, 1.0], "x": [1.0, 2.0, 3.0]})
    assert interval(estimated(all_hold, "crossing")) == "cannot be told from 3 units"
    assert interval(estimated(all_hold.iloc[:1], "crossing")) == "cannot be told from 1 unit"


def test_units_that_an_effect_leaves_out_are_said_beside_it() -> None:
    rows = pd.DataFrame({"value": [1.0, 1.0, 0.0, None]})
    assert interval(estimated(rows, "share")).endswith(", n 3, 1 not seen)")
    assert interval(estimated(rows.iloc[:3], "share")).endswith(", n 3)")
