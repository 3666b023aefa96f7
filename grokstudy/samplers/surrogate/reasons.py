"""Why a trial was chosen, in words."""

from __future__ import annotations

import numpy as np

from grokstudy.samplers.surrogate.acquisition import Pick
from grokstudy.samplers.surrogate.candidates import View
from grokstudy.samplers.surrogate.observations import Question


def reason(one: Pick, seen: View, at: int, question: Question) -> str:
    """The boundary that a pick is for, what is expected there and what it is expected to bring.

    For example: "t_gen = 3000 boundary: P(generalises) .47, expected error -.0011".
    """
    k = int(np.argmax(one.gains))
    p = float(seen.noisy(np.array([at]))[k][0])
    boundary, event = (
        (f"t_mem = {question.budget:g}", "memorises"),
        (f"t_gen = {question.budget:g}", "generalises"),
        (f"t_gen/t_mem = {question.ratio:g}", "comprehends"),
        ("divergence", "diverges"),
    )[k]
    return f"{boundary} boundary: P({event}) {_short(p, 2)}, expected error {_short(-one.gain, 4)}"


def _short(number: float, digits: int) -> str:
    """Without the zero before the point."""
    return f"{number:.{digits}f}".replace("0.", ".", 1) if abs(number) < 1 else f"{number:.{digits}f}"
