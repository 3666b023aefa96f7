"""What messages list: a few of many names, and the steps nearest to one that was asked for."""

from __future__ import annotations

from collections.abc import Collection, Sequence

MOST_LISTED = 5
"""Names or steps that a message lists."""


def listed(items: Sequence[object]) -> str:
    """The first of them and how many more there are; "none" if there are none."""
    shown = ", ".join(map(str, items[:MOST_LISTED])) or "none"
    return shown + (f" and {len(items) - MOST_LISTED} more" if len(items) > MOST_LISTED else "")


def nearest_steps(steps: Collection[int], step: int) -> str:
    """The steps nearest to this one, rising."""
    return listed(sorted(sorted(steps, key=lambda at: abs(at - step))[:MOST_LISTED]))
