"""Measured numbers as stored values: what is not finite becomes NULL with a reason, never NaN."""

from __future__ import annotations

import math
from collections.abc import Sequence

from grokstudy.spec.rows import MeasureValue

NOT_FINITE = "not_finite"
NO_ROWS = "no_rows"
CONSTANT = "constant_logits"
ROUNDING = 1e-28
"""Variance below this share of the mean square is rounding of equal numbers (float64: (1e-14)^2)."""


def known(
    measure: str,
    number: float,
    *,
    protocol: str,
    version: int,
    values: Sequence[float] | None = None,
    otherwise: str = NOT_FINITE,
) -> MeasureValue:
    """A measured number (and list); if any of it is not finite, NULL with the reason `otherwise`."""
    if not all(map(math.isfinite, (number, *(values or ())))):
        return undefined(measure, otherwise, protocol=protocol, version=version)
    numbers = None if values is None else tuple(map(float, values))
    return MeasureValue(
        measure=measure, value=float(number), values=numbers, protocol=protocol, version=version, reason=None
    )


def unless_varied(variance: float, squares: float, constant: str = CONSTANT) -> str | None:
    """None if shares of this variance mean something, else why not; `squares` = sum of squares before centring."""
    if not math.isfinite(squares):
        return NOT_FINITE
    return constant if variance <= ROUNDING * squares else None


def undefined(measure: str, reason: str, *, protocol: str, version: int) -> MeasureValue:
    """A measure that has no value here, with the reason."""
    return MeasureValue(measure=measure, value=None, values=None, protocol=protocol, version=version, reason=reason)
