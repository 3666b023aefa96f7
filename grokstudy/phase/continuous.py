"""Axes of a diagram whose values are chosen from an interval: which they are, where they end, and a lattice on them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float

from grokstudy.phase.axis import MOST_CELLS, is_log
from grokstudy.phase.columns import is_numeric
from grokstudy.samplers.surrogate.space import Dimension
from grokstudy.spec.axes import Axis, is_seed, rounded

ACROSS = 64
"""Places of a lattice along each of two axes ..."""
ALONG = 200
"""... and along a single one."""


def is_continuous(path: str, column: pd.Series, axes: Sequence[Axis]) -> bool:
    """Whether an axis has no cells: its study gives an interval, or it has more numbers than a diagram has cells."""
    if is_seed(path) or not is_numeric(column) or column.isna().any():
        return False
    if any(axis.path == path and axis.is_interval for axis in axes):
        return True
    return len({rounded(value) for value in column.unique().tolist()}) > MOST_CELLS


def extent(path: str, column: pd.Series, axes: Sequence[Axis]) -> Dimension | None:
    """The interval that an axis covers: the study's own, and every trial besides; None if that is one value.

    On a log axis values of 0 are not on it.
    """
    known = next((axis for axis in axes if axis.path == path and axis.is_interval), None)
    numbers = column.to_numpy(dtype=float)
    log = is_log(numbers) if known is None else known.log
    inside = numbers[numbers > 0] if log else numbers
    span = np.array([*([] if known is None else [known.low, known.high]), *inside], dtype=float)
    if not len(span) or span.min() == span.max():
        return None
    return Dimension(name=path, low=float(span.min()), high=float(span.max()), log=log)


def lattice(axis: Dimension, count: int) -> Float[np.ndarray, " count"]:
    """Middles of `count` equal parts of the interval (equal in the logarithm on a log axis), in data units."""
    return in_units(axis, (np.arange(count) + 0.5) / count)


def in_units(axis: Dimension, unit: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Data units of places in [0, 1]."""
    values: np.ndarray = (
        axis.low * (axis.high / axis.low) ** unit if axis.log else axis.low + (axis.high - axis.low) * unit
    )
    return values


def middle(axis: Dimension) -> float:
    """The value in the middle of the interval, to three digits."""
    return float(f"{axis.number(0.5):.3g}")


def unit_of(axis: Dimension, values: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Places of values in data units; [0, 1] between the ends of the interval."""
    unit: np.ndarray = (
        np.log(values / axis.low) / np.log(axis.high / axis.low)
        if axis.log
        else (values - axis.low) / (axis.high - axis.low)
    )
    return unit
