"""A report before it is a page: sections of plain text, tables, pictures and commands.

Nothing here is marked up. Each of the two writers (`report_html`, `report_markdown`) escapes what its format needs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import TypeAlias


@dataclasses.dataclass(frozen=True, slots=True)
class Text:
    """A paragraph."""

    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Points:
    """A list of sentences."""

    items: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Commands:
    """Lines for a terminal, each with a comment (may be empty)."""

    lines: tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table of words."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int = 1
    """So many columns from the left hold words; the others hold numbers and are aligned to the right."""
    note: str = ""
    """What the numbers are, below the table."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A PNG with what it shows."""

    name: str
    """Of its file, without suffix."""
    data: bytes
    width: int
    """Natural width on a screen, in CSS pixels; it is never drawn wider."""
    alt: str
    """For those who do not see it."""
    caption: str = ""


Block: TypeAlias = Text | Points | Commands | Table | Picture


@dataclasses.dataclass(frozen=True, slots=True)
class Section:
    """A heading with what stands below it."""

    title: str
    blocks: tuple[Block, ...]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A whole report."""

    title: str
    written: str
    """When and by what, in words."""
    facts: tuple[tuple[str, str], ...]
    """The few numbers that stand on top, each with its name."""
    warnings: tuple[str, ...]
    """What a reader must know before any number: trials missing, parts that could not be read."""
    sections: tuple[Section, ...]

    @property
    def pictures(self) -> Iterator[Picture]:
        """Every picture, in order."""
        return (block for section in self.sections for block in section.blocks if isinstance(block, Picture))


MOST_ROWS = 200
"""Rows of a table; a report is for reading."""


def table(
    header: tuple[str, ...],
    rows: Sequence[tuple[str, ...]],
    *,
    words: int = 1,
    note: str = "",
    rest: str = "",
    total: int | None = None,
) -> Table:
    """A table of at most MOST_ROWS rows; of more (`total`, if not all were made) `rest` says where the others are."""
    count = len(rows) if total is None else total
    if count > MOST_ROWS:
        note = " ".join(part for part in (f"The first {MOST_ROWS} of {count:,} rows.", rest, note) if part)
    return Table(header=header, rows=tuple(rows[:MOST_ROWS]), words=words, note=note)
