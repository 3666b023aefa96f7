"""A page in Debian's chromium for tests that look at what a user looks at."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, Route, expect, sync_playwright

ARGUMENTS: Final = (
    "--no-sandbox",  # containers have no user namespaces
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",  # a test calls nobody but the server that it started
    "--disable-component-update",
    "--disable-sync",
)
NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "chrome")
PATIENCE: Final = 30_000
"""Milliseconds that a page may take for one thing on a busy machine."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Browsed:
    """An open page and what went wrong on it so far."""

    page: Page
    errors: list[str]
    """Uncaught exceptions and console errors, in their order."""
    outside: list[str]
    """Addresses that the page wanted from anywhere but this machine; none is answered."""


def chromium() -> str:
    """Path of the installed browser; skips the test where there is none."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip(f"no browser: none of {', '.join(NAMES)} is installed")
    return found


@contextmanager
def page(*, dark: bool = False, width: int = 1280, height: int = 900) -> Iterator[Browsed]:
    """A fresh page in a fresh browser, closed afterwards; arguments as `pages`."""
    with browser() as opened, pages(opened, dark=dark, width=width, height=height) as browsed:
        yield browsed


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser for several pages, closed afterwards."""
    path = chromium()
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            yield opened
        finally:
            opened.close()


@contextmanager
def pages(opened: Browser, *, dark: bool = False, width: int = 1280, height: int = 900) -> Iterator[Browsed]:
    """A fresh page with a memory of its own; pages that it opens are listened to as well.

    Args:
        opened: the browser.
        dark: whether the system prefers dark colours.
        width: of the window in CSS pixels; a phone has about 390.
        height: of the window in CSS pixels.
    """
    context = opened.new_context(
        viewport={"width": width, "height": height},
        color_scheme="dark" if dark else "light",
        permissions=["clipboard-read", "clipboard-write"],
    )
    try:
        context.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        browsed = Browsed(context.new_page(), [], [])
        _listen(browsed)
        yield browsed
    finally:
        context.close()


def _listen(browsed: Browsed) -> None:
    def exception(error: Error) -> None:
        browsed.errors.append(f"{error.name}: {error.message}")

    def console(message: ConsoleMessage) -> None:
        if message.type == "error":
            browsed.errors.append(f"{message.text} ({message.location.get('url', '')})")

    def refuse(route: Route) -> None:
        browsed.outside.append(route.request.url)
        route.abort()

    def listen(page: Page) -> None:
        page.on("pageerror", exception)
        page.on("console", console)

    listen(browsed.page)
    browsed.page.context.on("page", listen)
    browsed.page.context.route(lambda address: not _is_here(address), refuse)


def _is_here(address: str) -> bool:
    return urlsplit(address).hostname in ("127.0.0.1", "localhost") or address.startswith(("data:", "blob:", "about:"))
