"""A study over intervals as people see it: on the command line, in Python, in its report and in the explorer."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect
from typer.testing import CliRunner

import grokstudy as gs
from grokstudy.cli.app import app
from grokstudy.store.folder import StudyFolder
from grokstudy.study.report import study_document, write_study_report
from tests.browser import browser
from tests.explorer import Explorer, explorer
from tests.explorer_page import READY, click_dot, faultless, shot

pytestmark = pytest.mark.slow

X, Y = "regularization.weight_decay", "task.frac_train"
N = 60


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    root = str(tmp_path_factory.mktemp("continuous") / "data")
    words = ("preset=quad23", "tracking=none", "cluster=none", "sampler=random", f"sampler.n_trials={N}")
    axes = (f"{X}=tag(log,interval(0.05,30))", f"{Y}=interval(0.25,0.8)")
    gs.run(*words, *axes, name="c", steps=600, root=root, progress=False)
    return root


@pytest.fixture(scope="module")
def running(root: str) -> Iterator[Explorer]:
    with explorer(root) as server:
        yield server


def printed(root: str, *words: str) -> str:
    """What a command says; stderr is apart."""
    result = CliRunner().invoke(app, ["phases", "c", *words, "--storage", root])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_command_line_says_how_well_the_boundary_is_known(root: str, tmp_path: Path) -> None:
    text = printed(root, "--x", "weight_decay", "--y", "frac_train")
    for word in ("expected error", "generalises by T", "of an axis", "held-out check", f"{N} in the fit"):
        assert word in text
    for suffix in (".png", ".html", ".parquet"):
        target = tmp_path / f"phase{suffix}"
        printed(root, "--x", "weight_decay", "--y", "frac_train", "--out", str(target))
        assert target.stat().st_size > 10_000
    document = json.loads(printed(root, "--x", "weight_decay", "--fix", "frac_train=0.6", "--format", "json"))
    assert len(document["cells"]) == 200
    assert document["query"]["fix"] == f"{Y}=0.6"
    assert len(json.loads(printed(root, "--x", X, "--y", Y, "--bins", "4", "--format", "json"))["cells"]) == 16


def test_python_gets_a_data_set_with_the_names_of_cells(root: str) -> None:
    study = gs.open("c", root)
    diagram = study.phase_diagram(x="weight_decay", y="frac_train", value="log10_delay_ratio")
    assert diagram["p_gen"].dims == ("frac_train", "weight_decay")
    truth = study.trials().set_index("trial_id")["t_gen"].notna()
    at = {"frac_train": diagram["trial_y"], "weight_decay": diagram["trial_x"]}
    told = diagram["p_gen"].sel(at, method="nearest").to_numpy() > 0.5
    # It was fitted to these trials: where it errs by more than a few at the edge, it was fitted to something else.
    assert (told == truth.loc[diagram["trial_id"].to_numpy()].to_numpy()).mean() > 0.9
    strict = study.phase_diagram(x="weight_decay", y="frac_train", tau=0.999, budget=300)
    assert float(strict["p_gen"].mean()) < float(diagram["p_gen"].mean())
    assert len(diagram.gs.plot().data) > 5


def test_a_run_leaves_the_posterior_and_the_report_shows_it(root: str, tmp_path: Path) -> None:
    folder = StudyFolder.open(root, "c")
    assert {"report/phase.png", "report/phase.html", "report/report.md"} <= set(folder.names("report/"))
    assert "posterior fitted to all trials" in (folder.get_text("report/report.md") or "")
    page = write_study_report(folder, tmp_path / "report.html")
    assert "the most probable outcome" in page.read_text()
    assert {picture.name for picture in study_document(folder).pictures} >= {"phase", "p_gen"}


def test_the_explorer_answers_with_points_and_edges_of_any_threshold(running: Explorer, root: str) -> None:
    answer = running.get("/api/s/c/diagram").json
    assert len(answer["points"]) == N
    assert answer["x"] == answer["y"] == []
    assert "expected error" in answer["note"]
    again = running.get("/api/s/c/diagram", ("T", "300"), ("value", "p_grokking")).json
    assert "T = 300 steps" in again["note"]
    slice_ = running.get("/api/s/c/diagram", ("y", ""), (f"fix.{Y}", "0.5")).json
    assert "a slice of the posterior" in slice_["note"]
    assert running.get("/api/s/c/cells/trials").json["table"]["lines"]
    assert len(running.get("/api/s/c/cells/trials", ("y", ""), (f"fix.{Y}", "0.5")).json["table"]["lines"]) == N
    assert running.get("/api/s/c/parallel", ("y", ""), (f"fix.{Y}", "0.5")).status == 200
    refused = running.get("/api/s/c/cells/curves", ("cell", "1|0.5"))
    assert (refused.status, "no cells" in refused.error) == (422, True)
    for kind in ("svg", "csv", "json"):
        assert running.get(f"/api/s/c/download/phase.{kind}").status == 200
    binned = running.get("/api/s/c/diagram", ("bins", "5")).json
    assert (len(binned["x"]), binned["points"]) == (5, [])
    lines = running.get("/api/s/c/diagram", ("bins", "5"), ("boundary", "gp")).json["panels"][0]["boundary"]
    assert "posterior of the times" in lines


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_a_point_opens_its_trial_and_arrows_go_on_from_there(
    running: Explorer, root: str, width: int, dark: bool
) -> None:
    trials = gs.open("c", root).sql("SELECT trial_id FROM trials ORDER BY abs(weight_decay - 1)")["trial_id"]
    with browser() as opened, faultless(opened, dark=dark, width=width) as browsed:
        page = browsed.page
        page.goto(f"{running.url}/s/c")
        page.wait_for_selector("#phase[data-ready]")
        page.wait_for_selector(READY)
        expect(page.locator("#drawer")).to_contain_text("Click a point")
        click_dot(page, trials[0])
        page.wait_for_selector("#trial-figure[data-ready]")
        expect(page.locator("#trial h2")).to_contain_text(re.compile("[0-9a-f]{8}"))
        before = page.url
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("ArrowRight")
        expect(page).not_to_have_url(before)
        shot(page, f"posterior_{width}_{'dark' if dark else 'light'}")
        page.keyboard.press("Escape")
        page.wait_for_selector("#trials")
        page.get_by_label("colour").select_option("p_gen")
        page.wait_for_selector("#phase[data-ready][data-value=p_gen]")
        page.get_by_text("thresholds").click()
        page.locator("[name=ratio]").fill("10")
        page.locator("[name=ratio]").press("Enter")
        expect(page.locator("#diagram .note")).to_contain_text("t_gen ≥ 10 t_mem")
        page.get_by_label("y axis").select_option("")
        expect(page.locator("#diagram .note")).to_contain_text(f"{Y}=0.525 (a slice of the posterior")
        page.locator(f"[name='fix.{Y}']").fill("0.5")
        page.locator(f"[name='fix.{Y}']").press("Enter")
        expect(page.locator("#diagram .note")).to_contain_text(f"{Y}=0.5 (a slice of the posterior")
        page.wait_for_selector("#phase[data-ready]")
        shot(page, f"posterior_slice_{width}_{'dark' if dark else 'light'}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert np.isfinite(page.evaluate("document.getElementById('phase').layout.yaxis.range[1]"))
