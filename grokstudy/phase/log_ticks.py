"""Ticks of a log scale with numbers that can be read: 1, 2, 5, 10 over a short range, powers of ten over a long one."""

from __future__ import annotations

import math

_LONG = 2.5
"""Decades from which only powers of ten have ticks."""
_SHORT = 0.5
"""Decades up to which ticks are evenly spaced numbers."""
_MOST = 9
_PLAIN = (1e-3, 1e6)
"""Numbers between these are written out."""
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def log_ticks(low: float, high: float) -> tuple[tuple[float, str], ...]:
    """Places of ticks in [low, high] with their text, at round numbers."""
    decades = math.log10(high / low)
    if decades < _SHORT:
        return tuple((place, number(place)) for place in _even(low, high))
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    apart = max(1, math.ceil(decades / _MOST))
    digits = (1,) if decades >= _LONG else (1, 2, 5) if decades >= 1 else (1, 2, 3, 5, 7)
    places = [digit * 10.0**power for power in range(first, last + 1, apart) for digit in digits]
    return tuple((place, number(place)) for place in places if low * (1 - 1e-9) <= place <= high * (1 + 1e-9))


def even_ticks(low: float, high: float) -> tuple[tuple[float, str], ...]:
    """Places of three to eight ticks in [low, high] with their text, at round numbers and equal distances."""
    return tuple((place, f"{place:.6g}") for place in _even(low, high))


def _even(low: float, high: float) -> list[float]:
    """Three to eight round numbers at equal distances, for a linear scale or a short range of a log one."""
    rough = (high - low) / 3
    tens = 10.0 ** math.floor(math.log10(rough))
    step = max(digit * tens for digit in (1, 2, 5) if digit * tens <= rough)
    return [k * step for k in range(math.ceil(low / step), math.floor(high / step) + 1)]


def number(value: float) -> str:
    """Short text of a number of at least 0: `0.02`, `1,500`, `10⁻⁵`, `3×10⁷`."""
    if value == 0:
        return "0"
    if _PLAIN[0] <= value < _PLAIN[1]:
        return f"{value:,.3g}" if value < 100 else f"{value:,.0f}"
    power = math.floor(math.log10(value) + 1e-9)
    digit = value / 10.0**power
    raised = f"10{str(power).translate(_RAISED)}"
    return raised if abs(digit - 1) < 1e-6 else f"{digit:.3g}×{raised}"
