"""Every claim that costs at most a minute, run from nothing with three seeds; and what is committed, judged again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from grokstudy.claims.account import Account, account, thresholds_of
from grokstudy.claims.library import load, names
from grokstudy.claims.results import committed_root, here

NAMES = names()
SECONDS = [name for name in NAMES if load(name).record.cost == "S"]
SEEDS = "seed=seeds(3)"
"""Enough for an interval; the committed rows have more."""


def committed_account(name: str) -> Account | None:
    claim, root = load(name), committed_root()
    folders = here(claim, str(root))
    return None if folders is None else account(claim, folders, thresholds_of(claim))


@pytest.mark.slow
@pytest.mark.parametrize("name", SECONDS)
def test_a_claim_of_seconds_comes_out_as_committed(name: str, tmp_path: Path) -> None:
    """With three seeds an interval may reach over an edge, but must not lie on the other side of one.

    What has an effect in the committed rows has one here: no effect is undecided, which no other verdict contradicts.
    """
    words = [f"storage.root={tmp_path}", "cluster=none", "tracking=none", SEEDS]
    ran = subprocess.run(
        [sys.executable, "-m", "grokstudy.cli.entry", "claim", "run", name, *words, "--format", "json"],
        capture_output=True,
        text=True,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert ran.returncode == 0, ran.stderr
    found = {check["name"]: check for check in json.loads(ran.stdout)["checks"]}
    before = committed_account(name)
    assert before is not None, f"{name}: run it and `grokstudy claim keep {name}`"
    for one in before.judged:
        fresh = found[one.check.name]
        assert {one.verdict, fresh["verdict"]} != {"reproduced", "not reproduced"}, one.check.name
        assert one.found.effect is None or fresh["effect"] is not None, one.check.name


@pytest.mark.parametrize("name", NAMES)
def test_committed_rows_can_be_judged_under_other_thresholds(name: str) -> None:
    found = committed_account(name)
    if found is None:
        pytest.skip("not run yet")
    claim = found.claim
    folders = here(claim, str(committed_root()))
    assert folders is not None
    assert found.trials > 0
    for thresholds in (thresholds_of(claim, tau=0.8), thresholds_of(claim, ratio=2.0)):
        assert len(account(claim, folders, thresholds).judged) == len(claim.record.checks)


def test_committed_results_are_small() -> None:
    """Under 20 MB in all: they are in every clone."""
    root = committed_root()
    assert root is not None
    assert sum(path.stat().st_size for path in root.rglob("*") if path.is_file()) < 20e6
