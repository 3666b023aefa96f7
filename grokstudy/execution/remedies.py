"""What to do about a message that another program wrote: the first pattern of a list that it matches."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

Remedies: TypeAlias = Sequence[tuple[re.Pattern[str], str]]
"""Patterns, and what to do; named groups of a pattern fill the words in braces."""


def first_remedy(text: str, known: Remedies) -> str | None:
    """What to do about a text; None if nothing in it is known."""
    for pattern, told in known:
        match = pattern.search(text)
        if match is not None:
            return told.format(**match.groupdict())
    return None
