"""How long a person waits in the explorer: `grokstudy ui` and a headless chromium, both on this machine."""

from __future__ import annotations

import dataclasses
import re
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright
from synthetic_study import X, Y

from grokstudy.study.api import Study

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking")
PATIENCE = 120_000
"""Milliseconds until a page counts as broken."""
VISITS = 3
CLICKS = 5
CELL = """([i, j]) => {
  const plot = document.getElementById("phase"), { edges } = document.getElementById("diagram").drawn;
  const { xaxis, yaxis } = plot._fullLayout, corner = plot.querySelector(".nsewdrag").getBoundingClientRect();
  const at = (axis, ends, k) => 0.1 * axis.d2p(ends[k]) + 0.9 * axis.d2p(ends[k + 1]);
  return [corner.x + at(xaxis, edges.x, i), corner.y + at(yaxis, edges.y, j)];
}"""
"""Where a cell is on the screen."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """Seconds, each the median of several."""

    first_paint: float
    """From the address to the first content on the screen; the first visit of a server."""
    first_diagram: float
    """From the address to the drawn diagram; the first visit of a server."""
    diagram: float
    """The same of later visits."""
    click: float
    """From a click on a cell to its drawn curves."""


def waits(study: Study) -> Waits:
    """What a person waits for who opens a study and looks into cells of its middle row."""
    axes = f"?x={X}&y={Y}"
    across = len(study.spec.axes[0].values)
    with _browser() as browser:
        firsts = []
        for _ in range(VISITS):
            with _server(study) as url:
                page = browser.new_page(viewport={"width": 1280, "height": 900})
                page.set_default_timeout(PATIENCE)
                firsts.append(_visit(page, url + axes))
                later = [_visit(page, url + axes)[1] for _ in range(VISITS)]
                clicks = [_click(page, across // 2 + k, 2) for k in range(CLICKS)]
                page.close()
    return Waits(
        first_paint=statistics.median(paint for paint, _ in firsts),
        first_diagram=statistics.median(diagram for _, diagram in firsts),
        diagram=statistics.median(later),
        click=statistics.median(clicks),
    )


def _visit(page: Page, address: str) -> tuple[float, float]:
    began = time.perf_counter()
    page.goto(address)
    page.wait_for_selector("#phase[data-ready]")
    drawn = time.perf_counter() - began
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? NaN")
    return paint / 1000, drawn


def _click(page: Page, i: int, j: int) -> float:
    place = page.evaluate(CELL, [i, j])
    before = page.evaluate("document.querySelector('.cell-curves')?.dataset.cell")
    began = time.perf_counter()
    page.mouse.click(*place)
    page.wait_for_selector(f".cell-curves[data-ready]:not([data-cell='{before}'])")
    return time.perf_counter() - began


@contextmanager
def _browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, BROWSERS)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def _server(study: Study) -> Iterator[str]:
    """Address of the study's page on a server that was started for it."""
    grokstudy = str(Path(sys.executable).with_name("grokstudy"))
    command = [grokstudy, "ui", study.name, "--storage", study.folder.storage.uri]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert server.stdout is not None
        for line in server.stdout:
            if found := re.search(r"http://127\.0\.0\.1:\S+", line):
                yield found[0]
                return
        raise RuntimeError("the explorer did not start")
    finally:
        server.terminate()
        server.wait(30)
