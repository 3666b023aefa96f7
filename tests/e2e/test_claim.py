"""A claim from its config to the committed page: run, judged under other thresholds, kept, reported."""

from __future__ import annotations

import json
import shutil
import signal
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from .conftest import Cli
from .test_pack_failures import MISSING_ROWS

CLAIM = """
# @package _global_
# Small but real: quad23 generalises late at weight decay 1, never under random labels.
defaults:
  - override /preset: quad23
source: "Gromov 2023 (arXiv 2301.02679)"
axes: {seed: "seeds(3)"}
budget: 900
checkpoint: {ring: false}
claim:
  number: "900"
  statement: A quadratic network at p = 23 generalises in hundreds of updates
  source: "Gromov 2023 (arXiv 2301.02679)"
  cost: S
  setting: as there
  measured: t_gen at tau .95
  checks:
    - {name: t_gen, sql: "SELECT t_gen AS value FROM trials WHERE arm = 'main'", estimate: geometric_mean,
       equivalence: [200, 800], published: "430", value: 430, provenance: computed}
    - {name: control, sql: "SELECT t_gen IS NOT NULL AS value FROM trials WHERE arm = 'random_labels'", estimate: share,
       equivalence: [0, 0.7], published: "0", value: 0, provenance: identity, control: true}
  arms:
    - {name: random_labels, words: [task.op=random, budget=100], why: "no rule to find"}
  figure:
    sql: "SELECT step AS x, curves.test_acc AS y, arm AS series FROM curves JOIN trials USING (trial_id) WHERE step > 0"
    x: step
    y: accuracy
    log_x: true
    lines: true
    points: [{x: 430, y: 0.95, label: published}]
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    folder = tmp_path / "conf"
    (folder / "study/claims").mkdir(parents=True)
    (folder / "study/claims/tiny.yaml").write_text(CLAIM)
    return folder


def test_a_claim_is_run_once_and_judged_under_any_threshold(cli: Cli, config: Path) -> None:
    own = ["--config-dir", str(config)]
    ran = cli.run("claim", "run", "tiny", "cluster=none", "tracking=none", *own, "--format", "json")
    found = json.loads(ran.stdout)
    assert found["verdict"] == "reproduced"
    assert [check["verdict"] for check in found["checks"]] == ["reproduced", "reproduced"]
    assert (found["trials"], found["planned"]) == (6, 6)
    assert {path.name for path in cli.root.iterdir() if path.is_dir()} == {"tiny", "tiny-random_labels"}

    parts = sorted(path.name for path in (cli.root / "tiny").rglob("*.parquet"))
    again = cli.run("claim", "run", "tiny", "cluster=none", "tracking=none", *own, "--format", "json")
    assert json.loads(again.stdout) == found
    assert parts == sorted(path.name for path in (cli.root / "tiny").rglob("*.parquet"))

    t_gen = found["checks"][0]["effect"]
    later = json.loads(cli.run("claim", "show", "tiny", "--tau", ".99", *own, "--format", "json").stdout)
    assert later["checks"][0]["effect"] > t_gen
    assert json.loads(cli.run("claim", "show", "tiny", "--budget", "900", *own, "--format", "json").stdout) == found | {
        "thresholds": found["thresholds"] | {"budget": 900}  # the control was planned for 100 steps only
    }
    assert "900" in cli.run("claim", "show", "tiny", "--budget", "901", *own, code=2).stderr
    cut = json.loads(cli.run("claim", "show", "tiny", "--budget", "100", *own, "--format", "json").stdout)
    assert cut["verdict"] == "undecided"
    assert cut["checks"][0]["effect"] is None  # nothing was seen by then
    shown = cli.run("claim", "show", "tiny", *own).stdout
    assert "reproduced" in shown
    assert "equivalent 200 to 800" in shown


def test_a_trial_that_was_stopped_counts_for_neither_side(cli: Cli, config: Path) -> None:
    """Two trials cut off at step 600 of 900, one before and one after it had generalised."""
    words = ["tiny", "cluster=none", "tracking=none", "--config-dir", str(config), "--format", "json"]
    found = json.loads(cli.run("claim", "run", *words).stdout)
    part = next((cli.root / "tiny/trials").glob("*.parquet"))
    rows = pq.read_table(part).to_pylist()[:1] * 2
    for row, t_gen in zip(rows, (None, 300), strict=True):
        row |= {"trial_id": f"stopped{t_gen}", "status": "stopped", "steps_run": 600, "t_gen": t_gen}
    pq.write_table(pa.Table.from_pylist(rows, schema=pq.read_schema(part)), part.with_name("part-stopped.parquet"))
    with_them = json.loads(cli.run("claim", "show", "tiny", *words[3:]).stdout)
    assert with_them["checks"] == found["checks"]
    assert with_them["trials"] == 6


def test_one_arm_is_run_alone_and_judged_with_the_others(cli: Cli, config: Path) -> None:
    words = ["claim", "run", "tiny", "cluster=none", "tracking=none", "budget=20", "--config-dir", str(config)]
    alone = cli.run(*words, "--arm", "random_labels", "--format", "json")
    assert json.loads(alone.stdout)["verdict"] == "not run"
    assert "main not run yet" in alone.stderr
    assert [path.name for path in cli.root.iterdir() if path.is_dir()] == ["tiny-random_labels"]
    both = json.loads(cli.run(*words, "--arm", "main", "--format", "json").stdout)
    assert (both["trials"], both["planned"]) == (6, 6)
    assert "random_labels" in cli.run(*words, "--arm", "random_lables", code=2).stderr


def test_what_is_kept_is_small_and_judges_alike_and_makes_the_page(cli: Cli, config: Path, tmp_path: Path) -> None:
    own = ["--config-dir", str(config)]
    ran = cli.run("claim", "run", "tiny", "cluster=none", "tracking=none", *own, "--format", "json")
    results = tmp_path / "results"
    results.mkdir()
    cli.run("claim", "keep", "tiny", "--results", str(results), *own)
    kept, whole = (
        sum(path.stat().st_size for path in (root / "tiny/curves").iterdir()) for root in (results, cli.root)
    )
    assert kept < whole / 2  # accuracies are few different numbers; losses and norms are not kept
    assert not (results / "tiny/checkpoints").exists()
    text = "".join(path.read_text() for path in results.rglob("study.yaml"))
    assert str(cli.root) not in text  # no path of this machine is committed

    shutil.rmtree(cli.root)
    shown = cli.run("claim", "show", "tiny", "--results", str(results), *own, "--format", "json")
    before, after = json.loads(ran.stdout), json.loads(shown.stdout)
    assert after["checks"] == before["checks"]

    page = tmp_path / "claims.md"
    stale = tmp_path / "images/claims/pair_plane.png"
    stale.parent.mkdir(parents=True)
    stale.touch()
    cli.run("claim", "report", "--results", str(results), "--out", str(page), *own)
    written = page.read_text()
    assert "**reproduced**" in written
    assert "not run" in written
    assert "images/claims/tiny.png" in written
    assert not stale.exists()  # nothing of it is in these results
    assert (tmp_path / "images/claims/tiny.png").stat().st_size > 10_000


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_rows_of_another_study_than_the_claim_describes_are_neither_judged_nor_kept(
    cli: Cli, config: Path, tmp_path: Path
) -> None:
    """The claim's file changes after it was run: its rows say nothing about what it describes now."""
    own = ["--config-dir", str(config)]
    cli.run("claim", "run", "tiny", "cluster=none", "tracking=none", "budget=20", "seed=0", *own)
    results = tmp_path / "results"
    kept = cli.run("claim", "keep", "tiny", "--results", str(results), *own)
    assert "2 trials" in kept.stdout
    (results / "tiny/study.yaml").rename(results / "study.yaml")
    without = ["--storage", str(tmp_path / "nothing"), "--results", str(results), *own]
    assert "study.yaml" in cli.run("claim", "show", "tiny", *without, code=2).stderr
    (results / "study.yaml").rename(results / "tiny/study.yaml")
    cli.run("claim", "show", "tiny", *without)
    changed = CLAIM.replace("axes:", "regularization: {weight_decay: 0.5}\naxes:")
    (config / "study/claims/tiny.yaml").write_text(changed)
    before = files(results)
    for words in (["show", "tiny"], ["show", "tiny", *without[:4]], ["keep", "tiny", "--results", str(results)]):
        said = cli.run("claim", *words, *own, code=2).stderr
        assert "regularization.weight_decay" in said
        assert "grokstudy claim run tiny" in said
    assert files(results) == before


def test_what_is_kept_is_replaced_as_a_whole_and_never_by_less(cli: Cli, config: Path, tmp_path: Path) -> None:
    own, results = ["--config-dir", str(config)], tmp_path / "results"
    run = ["claim", "run", "tiny", "cluster=none", "tracking=none", "budget=20", *own]
    keep = ["claim", "keep", "tiny", "--results", str(results), *own]
    cli.run(*run)
    assert "tiny: 6 trials" in cli.run(*keep).stdout
    before = files(results)

    damaged = next((cli.root / "tiny-random_labels/curves").iterdir())
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-100])
    assert damaged.name in cli.run(*keep, code=2).stderr
    assert files(results) == before  # the other arm, which is whole, is not replaced alone
    assert not list(results.glob(".*"))
    damaged.write_bytes(whole)

    shutil.rmtree(cli.root)
    cli.run(*run, "seed=0")
    said = cli.run(*keep, code=2).stderr
    assert "trials=1, budget=20" in said
    assert "trials=3, budget=20" in said
    assert files(results) == before
    assert "tiny: 2 trials" in cli.run(*keep, "--fewer").stdout
    assert files(results).keys().isdisjoint(path for path in before if path.suffix == ".parquet")

    shutil.rmtree(cli.root)
    cli.run(*run, "budget=10")
    assert "trials=3, budget=10" in cli.run(*keep, code=2).stderr  # more trials, but shorter ones


def test_no_rule_is_read_where_its_column_was_not_kept(cli: Cli, config: Path, tmp_path: Path) -> None:
    """NULL satisfies no rule: every trial would read as one that never generalised."""
    own, results = ["--config-dir", str(config)], tmp_path / "results"
    cli.run("claim", "run", "tiny", "cluster=none", "tracking=none", "budget=20", "seed=0", *own)
    cli.run("claim", "keep", "tiny", "--results", str(results), *own)
    cli.run("claim", "show", "tiny", "--rule", "test_loss<1e-6", *own)
    shutil.rmtree(cli.root)
    kept = ["claim", "show", "tiny", "--results", str(results), *own]
    cli.run(*kept, "--rule", "test_acc>.5")
    said = cli.run(*kept, "--rule", "test_loss<1e-6", code=2).stderr
    assert "no `test_loss`" in said
    assert "grokstudy claim run tiny" in said


@pytest.mark.parametrize(
    ("words", "key"),
    [
        (["--tau", "95"], "tau"),
        (["--ratio", "0"], "ratio"),
        (["--budget", "-5"], "budget"),
        (["--rule", "loss<1"], "rule"),
        (["--max-hours", "0"], "--max-hours"),
        (["--max-hours", "-1"], "--max-hours"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_trained(
    cli: Cli, config: Path, words: list[str], key: str
) -> None:
    own = ["--config-dir", str(config), "cluster=none", "tracking=none", "budget=20"]
    assert f"{key}: " in cli.run("claim", "run", "tiny", *words, *own, code=2).stderr
    assert not list(cli.root.rglob("*.parquet"))


def test_hours_that_are_over_end_the_arms_and_say_what_is_not_judged(cli: Cli, config: Path) -> None:
    """They are over while libraries are loaded, which takes longer than 4 ms."""
    own = ["--config-dir", str(config), "cluster=none", "tracking=none", "budget=200000"]
    said = cli.run("claim", "run", "tiny", "--max-hours", "1e-6", *own).stderr
    assert "not judged" in said
    assert "max-hours" not in said
    assert not (cli.root / "tiny-random_labels").exists()


def test_an_interrupt_is_no_time_limit(cli: Cli, config: Path) -> None:
    own = ["--config-dir", str(config), "cluster=none", "tracking=none", "budget=2000000"]
    process = cli.start("claim", "run", "tiny", "--max-hours", "1", *own)
    until = time.monotonic() + 60
    while not (cli.root / "tiny/checkpoints").is_dir():
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    try:
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()  # the next arm would train for an hour
    assert process.returncode == 130, said
    assert not (cli.root / "tiny-random_labels").exists()


def test_an_arm_whose_every_trial_failed_is_no_success(cli: Cli, config: Path, tmp_path: Path) -> None:
    """Its task is a plug-in by entry point, as an installed package brings it, which cannot make its rows."""
    site = tmp_path / "site"
    (site / "broken-0.dist-info").mkdir(parents=True)
    (site / "broken-0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 0\n")
    (site / "broken-0.dist-info/entry_points.txt").write_text("[grokstudy.tasks]\nbroken = broken_rows:Broken\n")
    (site / "broken_rows.py").write_text(MISSING_ROWS)
    cli.env = {**cli.env, "PYTHONPATH": str(site)}
    (config / "study/claims/tiny.yaml").write_text(CLAIM.replace("task.op=random, ", ""))  # Broken has no op
    words = ["task=broken", "seed=1", "cluster=none", "tracking=none", "budget=20", "--config-dir", str(config)]
    said = cli.run("claim", "run", "tiny", *words, code=1).stderr
    assert "tiny: every trial that ran failed" in said
    assert not (cli.root / "tiny-random_labels").exists()


def test_what_cannot_be_judged_is_said(cli: Cli, config: Path) -> None:
    own = ["--config-dir", str(config)]
    assert "parity" in cli.run("claim", "show", "parityy", code=2).stderr
    nowhere = str(config / "nope")
    for words in (["list"], ["show", "parity"], ["run", "parity"], ["keep", "parity"], ["report"]):
        assert f"no folder '{nowhere}'" in cli.run("claim", *words, "--config-dir", nowhere, code=2).stderr
    cli.run("claim", "run", "tiny", "cluster=none", "tracking=none", "seed=0", "budget=50", *own)
    kept = sorted(cli.root.rglob("*.parquet"))
    assert "replace them" in cli.run("claim", "keep", "tiny", "--results", str(cli.root), *own, code=2).stderr
    assert sorted(cli.root.rglob("*.parquet")) == kept
    shutil.rmtree(cli.root)
    assert "has not been run" in cli.run("claim", "show", "tiny", *own, code=2).stderr
    assert "6 trials" in cli.run("claim", "run", "tiny", "--dry-run", *own).stdout
    broken = CLAIM.replace("t_gen AS value", "nothing AS value").replace('number: "900"', 'number: "901"')
    (config / "study/claims/broken.yaml").write_text(broken)
    words = ["cluster=none", "tracking=none", "budget=20"]
    assert "t_gen" in cli.run("claim", "run", "broken", *words, *own, code=2).stderr
    (config / "study/claims/empty.yaml").write_text(CLAIM.partition("claim:")[0])
    assert "record" in cli.run("claim", "show", "empty", *own, code=2).stderr


def test_problems_say_what_is_there_and_what_is_missing(cli: Cli) -> None:
    listed = json.loads(cli.run("problems", "--format", "json").stdout)
    assert len(listed) == 33
    assert "grokstudy run preset=induction" in cli.run("problems", "3.16").stdout
    assert "missing" in cli.run("problems", "3.20").stdout
    assert "3.33" in cli.run("problems", "3.34", code=2).stderr
