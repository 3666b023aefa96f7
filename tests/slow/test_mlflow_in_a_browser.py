"""What a researcher sees who types `grokstudy mlflow`: a study of twelve trials in a real browser."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

import grokstudy as gs
from tests import browser
from tests.e2e.conftest import Cli
from tests.explorer import explorer

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings(
        "ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning"
    ),  # MLflow's own
]

STUDY = ["preset=quad23", "regularization.weight_decay=0,1,3", "task.frac_train=0.5,0.7", "seed=seeds(2)"]
STUDY += ["measures.names=[cross_entropy]", "measures.checkpoints=final", "cluster=none", "--name", "seen"]
NAMES = [f"wd={wd} frac={frac} s={s}" for wd in ("0", "1", "3") for frac in ("0.5", "0.7") for s in (0, 1)]
ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)/\S*")
KNOWN_ERRORS = re.compile(
    r"users/current|ResizeObserver loop completed|Error: <\w+> attribute .*static-files/static/js/"
)
"""MLflow asks itself for a signed-in user, which a server without accounts answers with 404; a browser that is slow to
lay out a page says so of MLflow's resizing tables, and MLflow's own charts then draw shapes at places that are no
numbers for a moment."""


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """A storage root with the study."""
    browser.chromium()  # before the study is trained in vain
    cli = Cli(tmp_path_factory.mktemp("seen"))
    cli.run("run", *STUDY, "--steps", "600")
    return cli


@pytest.fixture(scope="module")
def root(cli: Cli) -> str:
    return str(cli.root)


@pytest.fixture(scope="module")
def shown(cli: Cli) -> Iterator[str]:
    """Address of the study's charts on a running server."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        server = cli.start("mlflow", "seen", "--port", str(port))
        try:
            said = _until_address(server)
            address = ADDRESS.search(said)
            assert address is not None, said
            assert f"Port {port} is taken; using {address[1]}." in said
            assert f"Store: sqlite:///{cli.root}/mlflow.db" in said
            yield address[0]
        finally:
            server.send_signal(signal.SIGINT)
            _, err = server.communicate(timeout=60)
    assert server.returncode == 130, err
    assert "Traceback" not in err
    with socket.socket() as asked:  # nothing of it is left
        assert asked.connect_ex(("127.0.0.1", int(address[1]))) != 0


def test_the_charts_are_there_and_every_trial_has_its_name(shown: str, tmp_path: Path) -> None:
    with browser.page(width=1600, height=1300) as seen:
        seen.page.goto(shown)
        for title in ("train_acc vs test_acc", "train_loss vs test_loss", "t_mem vs. t_gen", "Parallel Coordinates"):
            expect(seen.page.get_by_text(title).first).to_be_visible()
        expect(seen.page.get_by_text("regularization.weight_decay vs. t").first).to_be_visible()
        expect(seen.page.locator(".js-plotly-plot .scatterlayer .trace").first).to_be_attached()
        expect(seen.page.get_by_text("No charts in this section")).to_have_count(0)
        for name in NAMES:
            expect(seen.page.get_by_role("link", name=name, exact=True)).to_be_visible()
        keep(seen.page, tmp_path, "mlflow-charts")
        _assert_quiet(seen)


def test_the_pages_for_training_stay_when_one_clicks_on(shown: str, tmp_path: Path) -> None:
    """MLflow would go over to its pages for language models at the first click."""
    with browser.page(width=1600, height=1100) as seen:
        seen.page.goto(shown.replace("=CHART", "=TABLE"))
        seen.page.get_by_role("link", name=NAMES[-1], exact=True).click()
        expect(seen.page.get_by_text(re.compile("after 600 steps: t_mem"))).to_be_visible()
        expect(seen.page.get_by_text("AI Gateway")).to_have_count(0)
        expect(seen.page.get_by_text("Ask questions about your")).to_have_count(0)
        keep(seen.page, tmp_path, "mlflow-trial")
        _assert_quiet(seen)


def test_the_explorer_leads_to_a_trial_s_own_run(shown: str, root: str) -> None:
    trial = gs.open("seen", root).trials()["trial_id"][0]
    with explorer(root, mlflow=shown.partition("/#")[0]) as server, browser.page() as seen:
        seen.page.goto(f"{server.url}/s/seen?trial={trial}")
        seen.page.locator("#trial button.mlflow").click()
        address = seen.page.locator("#trial a.mlflow").get_attribute("href")
        assert address is not None
        seen.page.goto(address)
        expect(seen.page.get_by_text(trial).first).to_be_visible()
        assert server.get("/api/s/seen/mlflow").json["url"].partition("/#")[0] == shown.partition("/#")[0]
        assert "must be the id" in server.get("/api/s/seen/mlflow", ("trial", "x' OR 1=1")).error


def test_the_note_leads_to_the_study_run_with_its_diagram(shown: str, tmp_path: Path) -> None:
    with browser.page(width=1600, height=1100) as seen:
        seen.page.goto(shown.replace("=CHART", "=TABLE"))
        expect(seen.page.get_by_text("12 of 12 trials done").first).to_be_visible()
        link = seen.page.locator("a", has_text=re.compile("^phase diagram$")).first.get_attribute("href")
        seen.page.goto(f"{shown.partition('#')[0]}{link}")
        figure = seen.page.frame_locator("iframe").locator(".js-plotly-plot .heatmaplayer").first
        expect(figure).to_be_attached()
        for file in ("phase.png", "report.md", "study.yaml", "trials.csv"):
            expect(seen.page.get_by_text(file, exact=True).first).to_be_visible()
        keep(seen.page, tmp_path, "mlflow-diagram")
        seen.page.get_by_role("tab", name="Overview").click()
        expect(seen.page.get_by_text("outcomes/grokking").first).to_be_visible()
        keep(seen.page, tmp_path, "mlflow-study")
        _assert_quiet(seen)


def keep(page: Page, otherwise: Path, name: str) -> None:
    """A screenshot in $GROKSTUDY_SCREENSHOTS, or with the test's own files."""
    folder = Path(os.environ.get("GROKSTUDY_SCREENSHOTS", otherwise))
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=folder / f"{name}.png")


def _until_address(server: subprocess.Popen[str]) -> str:
    """What the command says up to the line with the address, or all of it if it ends before."""
    assert server.stdout is not None
    said = ""
    for line in server.stdout:
        said += line
        if ADDRESS.search(said):
            break
    return said


def _assert_quiet(seen: browser.Browsed) -> None:
    assert not [error for error in seen.errors if not KNOWN_ERRORS.search(error)]
    assert not seen.outside
