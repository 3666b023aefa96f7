"""The explorer as a researcher uses it: from the list of studies to a checkpoint of a trial, by hand and by address."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import browser
from tests.explorer import explorer
from tests.explorer_page import READY, X, Y, click_cell, click_dot, faultless, shot, small_study, trial_ids

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    return small_study(tmp_path_factory.mktemp("explorer") / "data")


@pytest.fixture(scope="module")
def url(root: str) -> Iterator[str]:
    with explorer(root) as server:
        yield server.url


@pytest.fixture(scope="module")
def opened() -> Iterator[Browser]:
    with browser() as one:
        yield one


def test_from_the_list_to_a_checkpoint_and_by_its_link_there_again(opened: Browser, url: str, root: str) -> None:
    first, second = trial_ids(root)
    with faultless(opened) as browsed:
        page = browsed.page
        page.goto(url)
        page.get_by_role("link", name="s", exact=True).click()
        page.wait_for_selector("#phase[data-ready]")
        shot(page, "study")

        page.get_by_label("x axis").select_option(Y)
        page.wait_for_selector(f"#phase[data-ready][data-x='{Y}']")
        page.get_by_label("y axis").select_option(X)
        page.get_by_label("colour").select_option("t_gen")
        page.get_by_text("thresholds").click()
        page.get_by_label("τ").fill("0.9")
        page.get_by_label("τ").press("Enter")
        expect(page.locator("#diagram .note")).to_contain_text("τ = 0.9 ")
        expect(page.locator("#phase")).to_contain_text("t_gen")

        click_cell(page, 1, 1)
        expect(page).to_have_url(re.compile(r"cell=0\.8%7C3"))
        page.wait_for_selector(".cell-curves[data-ready]")
        assert _trials_with_curves(page) == {first, second}
        click_cell(page, 0, 1, beside=True)
        expect(page.locator(".cell-curves[data-ready]")).to_have_count(2)
        shot(page, "two_cells")

        for tab in ("survival", "differences", "trials"):
            page.click(f"[data-tab={tab}]")
            page.wait_for_selector(f"[data-tab={tab}][aria-selected=true]")
            page.wait_for_selector(READY)
            shot(page, tab)
        expect(page.locator("#trials tbody tr")).to_have_count(4)
        page.get_by_role("button", name="train loss").click()
        losses = [float(text) for text in page.locator("#trials tbody td:nth-child(9)").all_inner_texts()]
        assert losses == sorted(losses)
        page.get_by_role("button", name="train loss").click()
        expect(page.locator("#trials th[aria-sort=descending]")).to_have_text("train loss")
        page.click(f"#trials tr[data-trial='{second}']")
        page.wait_for_selector("#trial-figure[data-ready]")
        shot(page, "trial")

        page.click("[data-tab=circuits]")
        page.wait_for_selector(f"#trial-figure[data-key='{second}/fourier_norms/600'][data-ready]")
        page.locator("#step").press("Home")
        page.wait_for_selector(f"#trial-figure[data-key='{second}/fourier_norms/0'][data-ready]")
        page.locator("#figure").select_option("singular_values")
        page.wait_for_selector(f"#trial-figure[data-key^='{second}/singular_values'][data-ready]")
        page.locator("#step").press("ArrowRight")
        expect(page).to_have_url(re.compile("step=[1-9]"))
        page.wait_for_selector("#trial-figure[data-key$='/1'][data-ready]")
        shot(page, "circuits")

        page.get_by_role("button", name="Copy link").click()
        link = page.evaluate("navigator.clipboard.readText()")
        assert link == page.url
        again = page.context.new_page()
        again.goto(link)
        again.wait_for_selector("#phase[data-ready]")
        again.wait_for_selector("#trial-figure[data-ready]")
        assert _state(again) == _state(page)
        again.close()

        page.click("[data-tab=verify]")
        page.wait_for_selector("#verification")
        page.click("[data-tab=config]")
        expect(page.locator("#trial .body")).to_contain_text("model.width")
        shot(page, "config")


def test_a_curve_or_a_dot_opens_its_trial(opened: Browser, url: str, root: str) -> None:
    first, second = trial_ids(root)
    with faultless(opened) as browsed:
        page = browsed.page
        page.goto(f"{url}/s/s")
        page.wait_for_selector("#phase[data-ready]")
        click_dot(page, second)
        expect(page.locator("#trial h2")).to_contain_text(second[:8])
        page.get_by_role("button", name="Close").click()
        page.wait_for_selector("#trials")
        click_cell(page, 1, 1)
        page.wait_for_selector(".cell-curves[data-ready]")
        page.mouse.click(*page.evaluate(ON_A_CURVE, first))
        expect(page.locator("#trial h2")).to_contain_text(first[:8])


def test_back_forward_and_reload_show_what_was_there(opened: Browser, url: str, root: str) -> None:
    with faultless(opened) as browsed:
        page = browsed.page
        page.goto(url)
        page.get_by_role("link", name="s", exact=True).click()
        page.wait_for_selector("#phase[data-ready]")
        click_cell(page, 0, 0)
        page.wait_for_selector(".cell-curves[data-ready]")
        page.get_by_label("colour").select_option("p_gen")
        page.wait_for_selector("#phase[data-ready][data-value=p_gen]")
        expect(page.locator(".cell-curves")).to_have_count(1)  # a colour is no reason to close a cell
        page.go_back()
        page.wait_for_selector("#phase[data-ready]:not([data-value=p_gen])")
        expect(page.get_by_label("colour")).not_to_have_value("p_gen")
        page.go_back()
        page.wait_for_selector("#trials")
        expect(page.locator(".cell-curves")).to_have_count(0)
        page.go_back()
        page.wait_for_selector("#studies")
        for _ in range(3):
            page.go_forward()
        page.wait_for_selector("#phase[data-ready][data-value=p_gen]")
        page.wait_for_selector(".cell-curves[data-ready]")
        page.reload()
        page.wait_for_selector("#phase[data-ready][data-value=p_gen]")
        page.wait_for_selector(".cell-curves[data-ready]")


def test_without_a_mouse(opened: Browser, url: str) -> None:
    with faultless(opened) as browsed:
        page = browsed.page
        page.goto(f"{url}/s/s")
        page.wait_for_selector(READY)
        page.wait_for_selector("#phase[data-ready]")
        assert _unnamed(page) == []
        reached = _tabbed(page, 40)
        assert reached >= {"x", "y", "value", "copy-link", "copy-python", "copy-command", "trials", "sql"}
        page.evaluate("document.activeElement.blur()")
        page.keyboard.press("ArrowRight")
        expect(page).to_have_url(re.compile(r"cell=0%7C0\.5"))
        page.keyboard.press("ArrowRight")
        expect(page).to_have_url(re.compile(r"cell=3%7C0\.5"))
        page.keyboard.press("ArrowUp")
        expect(page).to_have_url(re.compile(r"cell=3%7C0\.8"))
        page.keyboard.press("Shift+ArrowDown")
        expect(page).to_have_url(re.compile(r"cell=3%7C0\.8&cell=3%7C0\.5"))
        expect(page.locator(".cell-curves[data-ready]")).to_have_count(2)
        page.locator("[data-tab=trials]").focus()
        page.keyboard.press("Enter")
        page.wait_for_selector("#trials")
        expect(page.locator("[data-tab=trials]")).to_be_focused()
        page.locator("#trials tbody tr").first.focus()
        page.keyboard.press("Enter")
        page.wait_for_selector("#trial-figure[data-ready]")
        assert _unnamed(page) == []
        page.keyboard.press("Escape")
        page.wait_for_selector("#close-cells")
        page.keyboard.press("Escape")
        expect(page).to_have_url(f"{url}/s/s")
        page.keyboard.press("?")
        expect(page.locator("#toast")).to_contain_text("arrows")


def test_a_finger_has_no_shift(opened: Browser, url: str) -> None:
    with faultless(opened) as browsed:
        page = browsed.page
        page.goto(f"{url}/s/s?cell=3%7C0.8")
        page.wait_for_selector(".cell-curves[data-ready]")
        page.wait_for_selector("#phase[data-ready]")
        page.get_by_role("button", name="+ cell").click()
        click_cell(page, 0, 0)
        expect(page.locator(".cell-curves[data-ready]")).to_have_count(2)
        click_cell(page, 0, 1)
        expect(page.locator(".cell-curves[data-ready]")).to_have_count(1)


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_fits_its_window(opened: Browser, url: str, root: str, dark: bool, width: int) -> None:
    trial = trial_ids(root)[0]
    places = {
        "list": ("/", "#studies .state"),
        "study": ("/s/s", READY),
        "parallel": ("/s/s?tab=parallel", "#parallel[data-ready]"),
        "cells": ("/s/s?cell=3%7C0.8&cell=0%7C0.8", ".cell-curves[data-ready] >> nth=1"),
        "trial": (f"/s/s?trial={trial}", "#trial-figure[data-key*='/curves/'][data-ready]"),
        "circuits": (f"/s/s?trial={trial}&tab=circuits", "#trial-figure[data-key*='/fourier_norms/'][data-ready]"),
        "verify": (f"/s/s?trial={trial}&tab=verify", "#verification"),
        "config": (f"/s/s?trial={trial}&tab=config", "#trial pre"),
    }
    with faultless(opened, dark=dark, width=width) as browsed:
        browsed.page.goto(url)
        for name, (path, selector) in places.items():
            browsed.page.evaluate(GO, path)
            browsed.page.wait_for_selector(selector)
            if name != "list":
                browsed.page.wait_for_selector("#phase[data-ready]")
            shot(browsed.page, f"{name}_{width}_{'dark' if dark else 'light'}")
            assert browsed.page.evaluate("document.documentElement.scrollWidth") <= width, name
            paper = browsed.page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
            assert paper == ("rgb(21, 24, 28)" if dark else "rgb(255, 255, 255)")


def test_figures_and_files_leave_the_page(opened: Browser, url: str, root: str) -> None:
    with faultless(opened) as browsed:
        page = browsed.page
        page.goto(f"{url}/s/s?trial={trial_ids(root)[0]}")
        page.wait_for_selector("#trial-figure[data-ready]")
        page.wait_for_selector("#phase[data-ready]")
        assert page.locator("[data-title*='Share']").count() == 0, "plotly would upload the figure"
        with page.expect_download() as csv:
            page.get_by_role("link", name="CSV").click()
        assert csv.value.suggested_filename == "s-phase.csv"
        page.hover("#trial-figure")
        with page.expect_download() as svg:
            page.click("#trial-figure [data-title^='Download']")
        assert svg.value.suggested_filename.endswith("-curves.svg")
        assert svg.value.path().read_text().startswith("<svg")
        page.get_by_role("button", name="Copy command").click()
        assert page.evaluate("navigator.clipboard.readText()").startswith("grokstudy phases s --x")


def test_without_webgl_lines_are_drawn_all_the_same(opened: Browser, url: str) -> None:
    with faultless(opened) as browsed:
        page = browsed.page
        page.add_init_script(NO_WEBGL)
        page.goto(f"{url}/s/s?tab=parallel")
        expect(page.locator("#drawer .message")).to_contain_text("WebGL")
        page.wait_for_selector("#phase[data-ready]")
        click_cell(page, 1, 1)
        page.wait_for_selector(".cell-curves[data-ready]")
        assert page.locator(".cell-curves .no-webgl").count() == 0


def test_below_a_path_of_a_proxy(opened: Browser, root: str) -> None:
    with explorer(root, root_path="/grok") as server, faultless(opened) as browsed:
        page = browsed.page
        page.goto(f"{server.url}/grok/")
        page.get_by_role("link", name="s", exact=True).click()
        page.wait_for_selector("#phase[data-ready]")
        click_cell(page, 1, 1)
        page.wait_for_selector(".cell-curves[data-ready]")
        assert page.url.startswith(f"{server.url}/grok/s/s?cell=")
        page.reload()
        page.wait_for_selector(".cell-curves[data-ready]")


GO = "path => { history.pushState(null, '', path); dispatchEvent(new PopStateEvent('popstate')); }"
"""Another address without loading the page anew."""
NO_WEBGL = """const own = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
  return kind.includes("webgl") ? null : own.call(this, kind, ...rest);
};"""
ON_A_CURVE = """(id) => {
  const plot = document.querySelector(".cell-curves"), k = plot.data.findIndex((trace) => trace.meta === id);
  const { xaxis, yaxis } = plot._fullLayout, place = plot.querySelector(".nsewdrag").getBoundingClientRect();
  const middle = plot.calcdata[k].find(({ y }) => y > 0.3);
  return [place.x + xaxis.c2p(middle.x), place.y + yaxis.c2p(middle.y)];
}"""
"""A point of a trial's test accuracy on its way up."""


def _trials_with_curves(page: Page) -> set[str]:
    found = page.evaluate("document.querySelector('.cell-curves').data.map((trace) => trace.meta).filter(Boolean)")
    return set(found)


def _state(page: Page) -> dict[str, object]:
    """What somebody sees who compares two pages."""
    return {
        "diagram": page.evaluate("document.getElementById('diagram').drawn.query"),
        "pickers": page.eval_on_selector_all("#pickers select, #pickers input", "all => all.map((one) => one.value)"),
        "frames": page.evaluate("document.getElementById('phase').layout.shapes.length"),
        "trial": page.inner_text("#trial h2"),
        "tab": page.get_attribute("[aria-selected=true]", "data-tab"),
        "figure": page.get_attribute("#trial-figure", "data-key"),
        "step": page.inner_text("#step-text"),
    }


def _unnamed(page: Page) -> list[str]:
    """Controls that a screen reader could not name."""
    script = """all => all.filter((one) => !(one.ariaLabel || one.labels?.length || one.innerText?.trim() || one.title))
                          .map((one) => one.outerHTML.slice(0, 80))"""
    found: list[str] = page.eval_on_selector_all("main :is(button, select, input, textarea, a)", script)
    return found


def _tabbed(page: Page, times: int) -> set[str]:
    """Ids, names and tabs of what the Tab key reaches; each must show that it has the focus."""
    reached = set()
    page.evaluate("document.activeElement.blur()")
    for _ in range(times):
        page.keyboard.press("Tab")
        names, outline = page.evaluate(
            """() => { const one = document.activeElement;
                       return [[one.id, one.name, one.dataset.tab], getComputedStyle(one).outlineStyle]; }"""
        )
        assert outline != "none", names
        reached.update(filter(None, names))
    return reached
