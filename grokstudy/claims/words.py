"""Numbers, intervals and verdicts as people read them."""

from __future__ import annotations

from grokstudy.claims.estimates import Effect
from grokstudy.phase.inference import words


def number(value: float | None) -> str:
    """Three significant digits; `?` for none."""
    return "?" if value is None else words.number(value)


def interval(found: Effect) -> str:
    """`412 (380 to 447, n 5, 2 not seen)`; an end that nothing bounds is open.

    No total is given: some estimates count what was not seen among their units, others beside them.
    """
    if found.units == found.unseen == 0:
        return "no trials"
    unseen = f", {found.unseen} not seen" if found.unseen else ""
    if found.effect is None:
        return f"cannot be told from {found.units} unit{'' if found.units == 1 else 's'}{unseen}"
    low = "..." if found.low is None else number(found.low)
    high = "..." if found.high is None else number(found.high)
    return f"{number(found.effect)} ({low} to {high}, n {found.units}{unseen})"


def bounds(equivalence: tuple[float | None, float | None]) -> str:
    """`36 to 60`, `at least 5`, `at most 0.3`."""
    low, high = equivalence
    if low is None:
        return f"at most {number(high)}"
    return f"at least {number(low)}" if high is None else f"{number(low)} to {number(high)}"


def duration(seconds: float) -> str:
    """Of computing, on one core."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
