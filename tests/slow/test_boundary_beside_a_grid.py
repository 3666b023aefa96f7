"""The boundary sampler on real networks: it ends by itself, and a dense grid of the same plane agrees with it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from grokstudy.study.proposals import ending

FOLDER = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.campaign
@pytest.mark.timeout(3600)
def test_quad23_boundary_reaches_its_stop_rule_and_agrees_with_a_dense_grid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(FOLDER))
    __import__("boundary_study")
    script = sys.modules["boundary_study"]
    adaptive, grid = script.trained(tmp_path)
    found = ending(adaptive.folder)
    assert found is not None
    assert "n_trials" not in found.reason, "it ended by its stop rule"
    sides, agreement = [script.side(study.name, study) for study in (adaptive, grid)], script.agree(adaptive, grid)
    assert sides[0].trials * 4 < sides[1].trials
    # Of 16 columns a 95 % band misses one in twenty; and the grid's own bracket, of five seeds, is off in some.
    assert agreement.within >= 0.85 * agreement.columns
    # What the sampler expects to be wrong, within a factor of two, and the grid's majorities of five seeds that are.
    assert agreement.differ <= 2 * agreement.expected_error + 0.05
