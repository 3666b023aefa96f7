"""The explorer's page as a hand moves over it: where its cells and dots lie, and when it stands."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page

import grokstudy as gs
from tests.browser import Browsed, pages

X, Y = "regularization.weight_decay", "task.frac_train"
READY = "#drawer .body[data-ready]"
_CELL = """([i, j]) => {
  const plot = document.getElementById("phase"), { edges } = document.getElementById("diagram").drawn;
  const { xaxis, yaxis } = plot._fullLayout, corner = plot.querySelector(".nsewdrag").getBoundingClientRect();
  const at = (axis, ends, k) => 0.1 * axis.d2p(ends[k]) + 0.9 * axis.d2p(ends[k + 1]);
  return [corner.x + at(xaxis, edges.x, i), corner.y + at(yaxis, edges.y, j)];
}"""
"""A place in a cell where no dot is: near its right upper corner."""
_DOT = """(id) => {
  const plot = document.getElementById("phase"), { xaxis, yaxis } = plot._fullLayout;
  const corner = plot.querySelector(".nsewdrag").getBoundingClientRect();
  for (const [k, trace] of plot.data.entries()) {
    const n = Array.isArray(trace.customdata) ? trace.customdata.indexOf(id) : -1;
    if (n < 0) continue;
    const { x, y } = plot.calcdata[k][n];
    return [corner.x + xaxis.c2p(x), corner.y + yaxis.c2p(y)];
  }
}"""


def small_study(folder: Path) -> str:
    """A storage root with study `s`: two by two cells of two seeds each; weight decay 3 with much data groks."""
    words = ("preset=quad23", "task.p=11", "model.width=32", "tracking=none", "cluster=none")
    gs.run(*words, f"{X}=0,3", f"{Y}=0.5,0.8", "seed=seeds(2)", name="s", steps=600, root=str(folder), progress=False)
    return str(folder)


def trial_ids(root: str) -> list[str]:
    """Ids of the trials of `s` with weight decay 3 and train fraction 0.8, by seed."""
    sql = "SELECT trial_id FROM trials WHERE weight_decay = 3 AND frac_train = 0.8 ORDER BY seed"
    ids: list[str] = gs.open("s", root).sql(sql)["trial_id"].tolist()
    return ids


@contextmanager
def faultless(
    browser: Browser, *, dark: bool = False, width: int = 1280, errors: tuple[str, ...] = ()
) -> Iterator[Browsed]:
    """A page on which nothing goes wrong unseen: no exception, no console error but `errors`, nothing from outside."""
    with pages(browser, dark=dark, width=width) as browsed:
        yield browsed
        wrong = [text for text in browsed.errors if not any(known in text for known in errors)]
        assert not wrong, wrong
        assert not browsed.outside, browsed.outside


def click_cell(page: Page, i: int, j: int, *, beside: bool = False) -> None:
    """Clicks the cell with these numbers of levels from the left and from below."""
    page.mouse.click(*page.evaluate(_CELL, [i, j])) if not beside else _click_with_shift(page, i, j)


def click_dot(page: Page, trial_id: str) -> None:
    """Clicks the dot of a trial in the diagram."""
    page.mouse.click(*page.evaluate(_DOT, trial_id))


def shot(page: Page, name: str) -> None:
    """Keeps a picture of the whole page for people to look at."""
    folder = Path(os.environ.get("GROKSTUDY_SCREENSHOTS") or Path(tempfile.gettempdir()) / "grokstudy-screenshots")
    folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=folder / f"explorer_{name}.png", full_page=True)


def _click_with_shift(page: Page, i: int, j: int) -> None:
    page.keyboard.down("Shift")
    page.mouse.click(*page.evaluate(_CELL, [i, j]))
    page.keyboard.up("Shift")
