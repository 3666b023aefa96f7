"""Colours that tell apart for every kind of colour vision, and still apart in grey."""

from __future__ import annotations

from collections.abc import Mapping

OUTCOME_COLOURS: Mapping[str, str] = {
    "confusion": "#C9C9C9",
    "memorization": "#E69F00",
    "inversion": "#CC79A7",
    "grokking": "#0072B2",
    "comprehension": "#56B4E9",
    "diverged": "#222222",
    "undetermined": "#FFFFFF",
}
"""Okabe & Ito 2008 (greys aside): blues have generalised, orange has only memorised."""
OUTCOME_SHAPES: Mapping[str, str] = {
    "confusion": "■",
    "memorization": "▼",
    "inversion": "◆",
    "grokking": "●",
    "comprehension": "▲",
    "diverged": "✕",
    "undetermined": "○",
}
"""Where points stand alone, without cells, outcomes are told apart by shape too."""
ALGORITHM_COLOURS: Mapping[str, str] = {
    "unknown": "#C9C9C9",
    "lookup_table": "#E69F00",
    "fourier": "#0072B2",
    "clock": "#56B4E9",
    "pizza": "#D55E00",
    "irrep": "#009E73",
    "sparse_input": "#CC79A7",
    "induction_head": "#F0E442",
}
"""The same palette; orange is a table by heart here too."""
DIVIDED: Mapping[str, str] = {"mem": "dash", "gen": "solid", "delay": "dot"}
"""How the boundary of each margin is dashed."""
TRAIN, TEST = "#D55E00", "#0072B2"
INK, QUIET, PAPER, EMPTY = "#1A1A1A", "#6B6B6B", "#FFFFFF", "#F3F3F3"
SHARE_SCALE, TIME_SCALE = "viridis", "cividis"


def ink_on(red: float, green: float, blue: float) -> str:
    """Black or white, whichever is read more easily on a colour with parts in 0..1 (relative luminance, WCAG 2)."""
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return INK if luminance > 0.19 else PAPER
