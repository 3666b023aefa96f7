"""Builds the pages of this folder as a site: `python -m sphinx -W --keep-going -n docs docs/_build`.

The pages are plain Markdown and read well without being built. index.md is the only list of them: the site's contents
are the links of its sections. A link to a file outside docs/ becomes a copy of that file in the site.
"""

from __future__ import annotations

import re

from sphinx.application import Sphinx

project = "grokstudy"
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "grokstudy"
html_copy_source = False
html_show_copyright = False
myst_heading_anchors = 4
highlight_language = "text"


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", add_contents)
    app.connect("source-read", copy_files)


def add_contents(app: Sphinx, page: str, source: list[str]) -> None:
    """Gives the index a hidden table of contents for each of its sections: the pages linked there, each page once."""
    if page == app.config.root_doc:
        source[0] += "".join(contents(source[0]))


def copy_files(app: Sphinx, page: str, source: list[str]) -> None:
    """Says of every link that leaves docs/ that it leads to a file; MyST would look for a page of the site."""
    source[0] = re.sub(r"\]\((\.\./[^)#]+)\)", r"](path:\1)", source[0])


def contents(index: str) -> list[str]:
    """Table of contents of each section of the index, as MyST directives."""
    tables, known = [], set[str]()
    for section in index.split("\n## ")[1:]:
        pages = [name for name in re.findall(r"\]\((\w+)\.md", section) if name not in known]
        pages = list(dict.fromkeys(pages))
        known.update(pages)
        title = section.partition("\n")[0]
        if pages:
            tables.append("\n```{toctree}\n:hidden:\n:caption: " + title + "\n" + "\n".join(pages) + "\n```\n")
    return tables
