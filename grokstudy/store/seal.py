"""Texts that show by themselves whether they were changed: a first line holds the digest of the rest.

It comes first, so that a text that was cut off still has it.
"""

from __future__ import annotations

import hashlib

MARK = "# sha256 of what is below: "


def sealed(text: str) -> str:
    """The text (YAML, or anything else where `#` starts a comment) below a line with its digest."""
    return f"{_line(text)}{text}"


def is_changed(text: str) -> bool | None:
    """Whether a sealed text is not what was written; None if it is not sealed."""
    first, _, rest = text.partition("\n")
    if not (first.startswith("#") or "sha256" in first):
        return None
    return text != f"{_line(rest)}{rest}"


def _line(text: str) -> str:
    return f"{MARK}{hashlib.sha256(text.encode()).hexdigest()}\n"
