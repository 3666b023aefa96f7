"""The documentation as a site: built without a warning and without a network, with every page within reach."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.docs_pages import PAGES, ROOT

DOCS = ROOT / "docs"


def test_the_index_names_every_page() -> None:
    linked = set(re.findall(r"\]\((\w+\.md)", (DOCS / "index.md").read_text()))
    pages = {Path(page).name for page in PAGES if page.startswith("docs/")}
    assert sorted(pages - linked - {"index.md"}) == []


def test_no_page_says_the_same_paragraph_as_another() -> None:
    """Paragraphs of more than a line, code left out."""
    seen: dict[str, str] = {}
    twice = []
    for page in PAGES:
        for paragraph in re.split(r"\n\s*\n", (ROOT / page).read_text()):
            words = " ".join(paragraph.split())
            if len(words) > 120 and not paragraph.startswith("    ") and seen.setdefault(words, page) != page:
                twice.append((seen[words], page, words[:60]))
    assert twice == []


def test_the_glossary_is_in_alphabetical_order() -> None:
    words = re.findall(r"^## (.+)$", (DOCS / "glossary.md").read_text(), re.MULTILINE)
    assert len(words) > 40
    assert words == sorted(words, key=str.lower)


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    site = tmp_path / "site"
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-n", "-q", "-d", str(tmp_path / "state")]
    done = subprocess.run([*command, str(DOCS), str(site)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert sorted(path.stem + ".md" for path in site.glob("*.html") if (DOCS / f"{path.stem}.md").exists()) == sorted(
        path.name for path in DOCS.glob("*.md")
    )
    index = (site / "index.html").read_text()
    assert re.findall(r'<(?:script|link|img)[^>]*(?:src|href)="(?:https?:)?//', index) == []
