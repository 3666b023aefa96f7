"""Studies that are not finished, and addresses that are wrong: the page says so in words, and leads on."""

from __future__ import annotations

import dataclasses
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from playwright.sync_api import Browser, Page, expect

import grokstudy as gs
from grokstudy.spec import plugins
from grokstudy.spec.interfaces import Regularizer
from tests.browser import browser
from tests.e2e.conftest import SMALL, Cli
from tests.explorer import explorer
from tests.explorer_page import READY, X, Y, click_cell, faultless, shot, small_study, trial_ids

pytestmark = pytest.mark.slow
REFUSED = ("422", "404", "409")
"""A browser notes every answer of this kind on its console by itself."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Trap(Regularizer):
    """Raises where its strength is above 1."""

    exact_at_zero: ClassVar[bool] = True

    def gradient(self, params: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
        if (strength > 1).any():
            raise ValueError("caught <b>in</b> the act")
        return params * strength.to(params.dtype)


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """A root with study `s`, whose driver other tests start as a user does."""
    cli = Cli(tmp_path_factory.mktemp("states"))
    small_study(cli.root)
    return cli


@pytest.fixture(scope="module")
def url(cli: Cli) -> Iterator[str]:
    with explorer(str(cli.root)) as server:
        yield server.url


@pytest.fixture(scope="module")
def opened() -> Iterator[Browser]:
    with browser() as one:
        yield one


def test_a_running_study_fills_by_itself_is_interrupted_and_finished_later(opened: Browser, url: str, cli: Cli) -> None:
    words = ["run", *SMALL, f"{X}=0,0.3,3", f"{Y}=0.5,0.6,0.8", "seed=seeds(4)", "--steps", "2000", "--name", "live"]
    driver = cli.start(*words, "cluster.pack_size=1", "cluster.max_packs=1")  # one after another, to be seen coming
    with faultless(opened) as browsed:
        page = browsed.page
        page.goto(url)
        _until_listed(page, "live")
        page.get_by_role("link", name="live").click()
        page.wait_for_selector(".state.live")
        page.wait_for_selector("#phase[data-ready]")
        page.evaluate("window.unloaded = 'not yet'")
        first = _trials(page)
        assert 0 < first < 36
        expect(page.locator("#head")).to_contain_text("of 36 trials")
        expect(page.locator("#head progress")).to_be_visible()
        expect(page.locator("#diagram .legend")).to_contain_text("no trial")  # hatched
        assert page.evaluate("document.getElementById('diagram').drawn.edges.x.length") == 4, (
            "planned cells have places"
        )
        shot(page, "running")
        expect(page.locator("#head")).not_to_contain_text(f"{first} of 36 trials")
        assert _trials(page) > first
        driver.send_signal(signal.SIGINT)
        _, err = driver.communicate(timeout=120)
        assert driver.returncode == 130, err
        expect(page.locator("#head .state")).to_have_text("unfinished")
        shot(page, "unfinished")
        click_cell(page, 0, 0)
        page.wait_for_selector(".cell-curves[data-ready]")
        cli.run(*words)
        expect(page.locator("#head .state")).to_have_text("finished")
        expect(page.locator("#head")).to_contain_text("36 trials")
        assert page.evaluate("window.unloaded") == "not yet"


def test_an_empty_study_says_what_to_do(opened: Browser, url: str, cli: Cli) -> None:
    _only_its_yaml(cli.root, "empty")
    with faultless(opened) as browsed:
        browsed.page.goto(f"{url}/s/empty")
        expect(browsed.page.locator("#diagram")).to_contain_text("no trials yet")
        expect(browsed.page.locator("#diagram code")).to_contain_text("grokstudy run")
        shot(browsed.page, "empty")
        browsed.page.goto(url)
        expect(browsed.page.locator("[data-study=empty] .state")).to_have_text("empty")


def test_a_root_without_studies_says_how_to_begin(opened: Browser, tmp_path: Path) -> None:
    with explorer(str(tmp_path)) as server, faultless(opened) as browsed:
        browsed.page.goto(server.url)
        expect(browsed.page.locator("main code").last).to_have_text("grokstudy demo")


def test_trials_that_failed_or_diverged_are_counted_and_can_be_opened(opened: Browser, url: str, cli: Cli) -> None:
    words = [*SMALL, "regularization.trap=0,2", "optimizer.lr=0.01,1e9"]
    with plugins.lent("regularizers", "trap", Trap), faultless(opened) as browsed:
        gs.run(*words, name="bad", steps=40, root=str(cli.root), progress=False)
        page = browsed.page
        page.goto(f"{url}/s/bad")
        page.wait_for_selector("#phase[data-ready]")
        expect(page.locator("#head")).to_contain_text("2 trials failed")
        page.get_by_text("2 trials failed").click()
        expect(page.locator("#head li")).to_contain_text("2 × ValueError: caught <b>in</b> the act")
        expect(page.locator("#head")).to_contain_text("1 diverged")
        page.wait_for_selector(READY)
        shot(page, "failed")
        page.locator("#trials tr", has_text="diverged").first.click()
        page.wait_for_selector("#trial-figure[data-ready]")
        shot(page, "diverged")
        page.get_by_role("button", name="Close").click()
        page.locator("#trials tr", has_text="failed").first.click()
        page.click("[data-tab=config]")
        expect(page.locator("#trial .body")).to_contain_text("caught")


def test_a_study_in_which_nothing_varies_lists_its_trial(opened: Browser, url: str, cli: Cli) -> None:
    cli.run("run", *SMALL, "--steps", "20", "--name", "single")
    with faultless(opened) as browsed:
        page = browsed.page
        page.goto(f"{url}/s/single")
        expect(page.locator("#diagram")).to_contain_text("no plane to draw")
        page.wait_for_selector("#trials")
        shot(page, "no_axes")
        page.click("#trials tbody tr")
        page.wait_for_selector("#trial-figure[data-ready]")


MISTAKES = {
    "study": ("/s/sss", "main", "no 'sss'"),
    "page": ("/x/s", "main", "no page"),
    "axis": ("/s/s?x=weight_decai", "#diagram", "did you mean 'weight_decay'"),
    "colour": ("/s/s?value=p_gn", "#diagram", "p_gn"),
    "tau": ("/s/s?tau=much", "#diagram", "number"),
    "level": ("/s/s?y=&fix.task.frac_train=0.77", "#diagram", "0.77"),
    "name": ("/s/s?colour=t_gen", "#diagram", "'colour'"),
    "cell": ("/s/s?cell=%7C%7C", "#drawer", "must be its value on x"),
    "cell that is not there": ("/s/s?cell=7%7C0.5", "#drawer", "7"),
    "tab": ("/s/s?tab=curve", "#drawer", "must be one of trials"),
    "tab of a cell": ("/s/s?cell=3%7C0.8&tab=circuits", "#drawer", "must be one of curves"),
    "trial": ("/s/s?trial=ffffffffffff", "#drawer", "no trial"),
    "trial of any study": ("/t/ffffffffffff", "main", "ffff"),
    "step": ("/s/s?trial=TRIAL&tab=circuits&step=77", "#drawer", "no checkpoint at '77'"),
    "word for a step": ("/s/s?trial=TRIAL&tab=circuits&step=late", "#drawer", "no checkpoint at 'late'"),
    "figure": ("/s/s?trial=TRIAL&tab=circuits&figure=norms", "#drawer", "no 'norms'"),
    "figure of other models": ("/s/s?trial=TRIAL&tab=circuits&figure=attention", "#drawer", "attention"),
}


def test_a_mistake_in_the_address_is_a_sentence_with_a_way_back(opened: Browser, url: str, cli: Cli) -> None:
    trial = trial_ids(str(cli.root))[0]
    with faultless(opened, errors=REFUSED) as browsed:
        page = browsed.page
        for name, (path, place, words) in MISTAKES.items():
            page.goto(url + path.replace("TRIAL", trial))
            expect(page.locator(f"{place} .error").first, name).to_contain_text(words)
            assert page.locator("main a:visible, #drawer button:visible, #pickers select:visible").count(), name
            if name in ("axis", "tab", "trial", "step"):
                page.wait_for_load_state("networkidle")
                shot(page, f"mistake_{name}")
        page.goto(f"{url}/s/s?x=weight_decai")
        page.get_by_role("link", name="Back to the study's own diagram").click()
        page.wait_for_selector("#phase[data-ready]")
        page.goto(f"{url}/s/s?trial=ffffffffffff")
        page.get_by_role("button", name="Close").click()
        page.wait_for_selector("#trials")


def test_sql_is_answered_or_told_where_it_breaks(opened: Browser, url: str) -> None:
    with faultless(opened, errors=REFUSED) as browsed:
        page = browsed.page
        page.goto(f"{url}/s/s?tab=sql")
        page.get_by_role("button", name="Run").click()
        page.wait_for_selector("#sql-rows")
        page.get_by_label("SQL").fill("SELECT trial_id\nFROM trials WERE seed = 1")
        page.get_by_label("SQL").press("Control+Enter")
        expect(page.locator("#sql-answer .error")).to_contain_text("^")
        expect(page.locator("#sql-answer .error")).to_contain_text("WERE seed")
        shot(page, "sql")
        page.get_by_label("SQL").fill("COPY trials TO '/tmp/stolen.csv'")
        page.get_by_role("button", name="Run").click()
        expect(page.locator("#sql-answer .error")).to_contain_text("SELECT")


def test_a_server_that_went_away_is_named(opened: Browser, cli: Cli) -> None:
    with faultless(opened, errors=("ERR_CONNECTION_REFUSED",)) as browsed:
        page = browsed.page
        with explorer(str(cli.root)) as server:
            page.goto(f"{server.url}/s/s")
            page.wait_for_selector(READY)
            page.wait_for_selector("#phase[data-ready]")
        click_cell(page, 1, 1)
        expect(page.locator("#drawer .error")).to_contain_text("grokstudy ui")
        page.get_by_label("colour").select_option("p_gen")
        expect(page.locator("#diagram .error")).to_contain_text("does not answer")
        shot(page, "server_gone")


def _until_listed(page: Page, study: str) -> None:
    """Reloads the list until the study has a live trial count: its first pack takes some seconds."""
    for _ in range(120):
        if page.locator(f"[data-study={study}] .state.live").count() and _listed(page, study) > 0:
            return
        page.wait_for_timeout(250)
        page.reload()
        page.wait_for_selector("#studies .state")
    raise AssertionError(f"{study} never became live")


def _listed(page: Page, study: str) -> int:
    return int(page.inner_text(f"[data-study={study}] .number").split()[0])


def _trials(page: Page) -> int:
    """Trials that the head of the page counts."""
    return int(page.inner_text("#head .facts > span:nth-child(2)").split()[0])


def _only_its_yaml(root: Path, name: str) -> None:
    (root / name).mkdir()
    (root / name / "study.yaml").write_bytes((root / "s" / "study.yaml").read_bytes())
