"""A report as one HTML file that needs nothing else: no network, no script, its pictures inside."""

from __future__ import annotations

import base64
import functools
import importlib.resources
import re

import jinja2

from grokstudy.phase.report_document import Block, Document, Picture

TEMPLATE = "report.html.jinja"


def to_html(document: Document) -> str:
    """The page. Everything that comes from the study is escaped by the template engine."""
    return _template().render(document=document)


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(kind=_kind, inline=_inline, anchor=_anchor)
    text = importlib.resources.files("grokstudy.phase").joinpath(TEMPLATE).read_text(encoding="utf-8")
    return environment.from_string(text)


def _kind(block: Block) -> str:
    return type(block).__name__


def _inline(picture: Picture) -> str:
    """The picture as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(picture.data).decode()}"


def _anchor(title: str) -> str:
    return re.sub(r"\W+", "-", title.lower()).strip("-")
