"""What a panel has room for: dots of single trials, and numbers of trials written in its cells."""

from __future__ import annotations

import math

import numpy as np
from jaxtyping import Int

from grokstudy.phase.dots import DOT_ROOM

MOST_DOTS = 5000
"""Trials of a figure above which no dots are drawn: a page of more elements is slow to open."""
_MOST_IN_LINE = 110
"""Dots side by side on a panel of about four inches: 2.6 points each."""
_PANEL_LETTERS = 85
"""Small letters side by side on such a panel."""
_PANEL_ROWS = 28


def dots_fit(trials: Int[np.ndarray, "panels y x"], *, flat: bool) -> bool:
    """Whether dots can be told apart. `flat`: their height is a value, so they only need their number."""
    if int(trials.sum()) > MOST_DOTS:
        return False
    _, rows, columns = map(int, trials.shape)
    side = math.ceil(math.sqrt(max(int(trials.max(initial=0)), 1)))
    return flat or (columns * side <= _MOST_IN_LINE and rows * side <= DOT_ROOM * _MOST_IN_LINE)


def counts_fit(counts: Int[np.ndarray, "panels y x"], undetermined: Int[np.ndarray, "panels y x"]) -> bool:
    """Whether every cell has room for its number of trials as text."""
    _, rows, columns = map(int, counts.shape)
    both = zip(counts.ravel().tolist(), undetermined.ravel().tolist(), strict=True)
    longest = max(len(count_text(n, more)) for n, more in both)
    return rows <= _PANEL_ROWS and columns * (longest + 1) <= _PANEL_LETTERS


def count_text(n: int, undetermined: int) -> str:
    """Number of trials of a cell; `5+2?` = two more are undetermined."""
    return f"{n}+{undetermined}?" if undetermined else f"{n}"


def counts_in_words(counts: Int[np.ndarray, "panels y x"]) -> str:
    """Trials per cell for the note."""
    low, high = int(counts.min()), int(counts.max())
    return f"{low} trials in every cell" if low == high else f"{low} to {high} trials in a cell"
