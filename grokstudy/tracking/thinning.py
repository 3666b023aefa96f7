"""Which evaluations of a curve MLflow gets."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Int

from grokstudy.spec.rows import CurveRows

DECADES = 5
"""`curve_points` are spread over so many decades of steps (1 to 100,000)."""


def kept(steps: Int[np.ndarray, " evaluations"], points: int) -> Int[np.ndarray, " kept"]:
    """Indices of log-spaced evaluations: the first of each of `points / 5` equal log bins per decade, and the last.

    The bins do not depend on where the curve ends, so a continued trial keeps what it kept before.

    Args:
        steps: evaluated steps, rising.
        points: number of bins between step 1 and 100,000.
    """
    if len(steps) == 0:
        return np.empty(0, dtype=np.int64)
    # 1e-9: log10 of a power of ten may fall a rounding error short of the integer
    bins = np.floor(np.log10(np.maximum(steps, 1)) * points / DECADES + 1e-9)
    bins[np.asarray(steps) == 0] = -1
    first = np.diff(bins, prepend=-2) > 0
    first[-1] = True
    return np.flatnonzero(first)


def thinned(curve: CurveRows, points: int) -> CurveRows:
    """The curve at its kept evaluations."""
    index = kept(curve.step, points)
    columns = {name: value[index] for name, value in _columns(curve).items()}
    return dataclasses.replace(curve, **columns)


def _columns(curve: CurveRows) -> dict[str, Any]:
    values = {field.name: getattr(curve, field.name) for field in dataclasses.fields(curve)}
    return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}
