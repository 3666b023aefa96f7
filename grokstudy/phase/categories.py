"""Values that are kinds and not amounts: stored as an index into names, painted in fixed colours."""

from __future__ import annotations

from collections.abc import Mapping

from grokstudy.circuits._labels import LABELS as ALGORITHMS
from grokstudy.phase.palette import ALGORITHM_COLOURS, OUTCOME_COLOURS
from grokstudy.spec.outcome import LABELS as OUTCOMES

_NAMES: Mapping[str, tuple[str, ...]] = {"outcome": OUTCOMES, "algorithm_label": ALGORITHMS}


def category_names(value: str) -> tuple[str, ...]:
    """What the numbers 0, 1, ... of this value mean; empty for a value that is an amount."""
    return _NAMES.get(value, ())


def category_colours(value: str) -> tuple[str, ...]:
    """One colour for each of `category_names`."""
    colours = ALGORITHM_COLOURS if value == "algorithm_label" else OUTCOME_COLOURS
    return tuple(colours[name] for name in category_names(value))
