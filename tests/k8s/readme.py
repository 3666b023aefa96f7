"""The tables of k8s/README.md that people go by, as data: what they say is what the manifests do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

README = Path(__file__).resolve().parents[2] / "k8s" / "README.md"
CODE = re.compile(r"`([^`]+)`")
Edge = tuple[str, str, str]
"""From, to, port (a number or `all`)."""


def secrets() -> dict[str, frozenset[str]]:
    """The Secrets that an administrator makes, with their keys."""
    return {name: frozenset(CODE.findall(row[1])) for row in _rows("Secret", "Keys") for name in CODE.findall(row[0])}


def edges(more: bool = False) -> set[Edge]:
    """Who may open which port of whom in the development overlay; `more`: what other overlays and components add."""
    header = ("From", "To", "Port", *(["Component"] if more else []))
    return {
        (source, target, port)
        for row in _rows(*header)
        for source in CODE.findall(row[0])
        for target in CODE.findall(row[1])
        for port in CODE.findall(row[2])
    }


def _rows(*header: str) -> Iterator[list[str]]:
    """Rows of the tables whose header begins like this, or is just this where a longer one begins alike."""
    inside = False
    for line in README.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")] if line.startswith("|") else []
        if tuple(cells[: len(header)]) == header:
            inside = "Component" in header or "Component" not in cells
        elif not cells:
            inside = False
        elif inside and not set(cells[0]) <= set("-: "):
            yield cells
