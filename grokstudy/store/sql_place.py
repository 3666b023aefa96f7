"""Where in an SQL text something is: the line with a caret under the place."""

from __future__ import annotations

import dataclasses

WIDTH = 100
"""Characters of a line that are shown."""


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Bytes of the text in UTF-8, as DuckDB counts; past its end where DuckDB knows no place."""

    start: int
    length: int


def at(sql: str, place: Place, message: str) -> str:
    """The message, the line and column, and that line with carets below; the message alone without a place."""
    data = sql.encode()
    if place.start > len(data):
        return f"{message.rstrip('.')}."
    before = data[: place.start].decode(errors="ignore")
    wide = len(data[place.start : place.start + place.length].decode(errors="ignore"))
    number, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1)
    line = sql.split("\n")[number - 1].replace("\t", " ").rstrip("\r")
    first = max(0, column - WIDTH // 2)
    shown = line[first : first + WIDTH]
    carets = "^" * max(1, min(wide, len(shown) - (column - first)))
    head, tail = "..." if first else "", "..." if first + WIDTH < len(line) else ""
    where = f"line {number}, column {column + 1}"
    return f"{message.rstrip('.')} ({where}).\n  {head}{shown}{tail}\n  {' ' * (len(head) + column - first)}{carets}"
