"""Where trials lie: number axes on the unit cube (log axes in the logarithm), names as levels.

A point is what a study speaks of (a value for every axis); a place is the same for arithmetic.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int

from grokstudy.spec.axes import Axis, Point, Value, is_seed, rounded
from grokstudy.spec.errors import BadInput, unknown

if TYPE_CHECKING:
    from numpy.typing import NDArray

ZERO_WIDTH = "An axis must have a width; leave it out of the axes and set the value."


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Places:
    """Several places: positions on the number axes and levels of the names axes."""

    unit: Float[np.ndarray, "n d"]
    levels: Int[np.ndarray, "n c"]

    def __post_init__(self) -> None:
        if self.unit.ndim != 2 or self.levels.ndim != 2 or len(self.unit) != len(self.levels):
            raise ValueError(f"places: unit {self.unit.shape} and levels {self.levels.shape} must be [n d] and [n c].")

    def __len__(self) -> int:
        return len(self.unit)

    def take(self, index: NDArray[np.integer] | NDArray[np.bool_]) -> Places:
        """Those of an index array or mask."""
        return Places(self.unit[index], self.levels[index])

    def concat(self, other: Places) -> Places:
        """These, then those of `other`."""
        return Places(np.concatenate([self.unit, other.unit]), np.concatenate([self.levels, other.levels]))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Dimension:
    """One axis: an interval of numbers, an interval whose points snap to `values`, or the names in `choices`."""

    name: str
    low: float = 0.0
    high: float = 1.0
    log: bool = False
    integer: bool = False
    choices: tuple[Value, ...] = ()
    values: tuple[float, ...] = ()
    """Allowed numbers, rising; on a log axis the first may be 0, which then lies at position 0."""

    def __post_init__(self) -> None:
        if self.choices:
            return
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise BadInput(f"{self.name}: the interval goes from {self.low} to {self.high}. {ZERO_WIDTH}")
        if self.log and self.low <= 0:
            raise BadInput(f"{self.name}: a log axis must start above 0, got {self.low}.")

    @property
    def is_names(self) -> bool:
        return bool(self.choices)

    def level(self, value: Value) -> int:
        """Index of a name."""
        for index, choice in enumerate(self.choices):
            if choice == value and isinstance(choice, bool) == isinstance(value, bool):
                return index
        raise unknown(self.name, str(value), [str(choice) for choice in self.choices])

    def unit(self, value: Value) -> float:
        """Position of a number; outside [0, 1] for one outside the interval."""
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise BadInput(f"{self.name}: got {value!r}, must be a finite number.")
        if not self.log:
            return (value - self.low) / (self.high - self.low)
        if value <= 0:
            return 0.0 if value == 0 and 0 in self.values else _not_positive(self.name, value)
        return math.log(value / self.low) / math.log(self.high / self.low)

    def number(self, unit: float) -> float:
        """The number at a position in [0, 1], neither snapped nor rounded."""
        if self.log:
            return self.low * math.exp(unit * math.log(self.high / self.low))
        return self.low + unit * (self.high - self.low)

    def value(self, unit: float) -> Value:
        """The value that a trial at this position gets: snapped, whole where it must be, never outside the interval."""
        if self.values:
            nearest = min(self.values, key=lambda allowed: abs(self.unit(allowed) - unit))
            return round(nearest) if self.integer else rounded(nearest)
        number = min(max(self.number(unit), self.low), self.high)
        if self.integer:
            return min(max(round(number), math.ceil(self.low)), math.floor(self.high))
        # Rounding to 12 digits may step over the end, where a distribution would refuse the value.
        return min(max(float(f"{number:.11e}"), self.low), self.high)


def _not_positive(name: str, value: float) -> float:
    raise BadInput(f"{name}: got {value}, must be above 0 on a log axis.")


@dataclasses.dataclass(frozen=True, slots=True)
class Space:
    """The axes of a study that an outcome may depend on."""

    dimensions: tuple[Dimension, ...]

    def __post_init__(self) -> None:
        if not self.numbers:
            names = ", ".join(dimension.name for dimension in self.dimensions) or "none"
            raise BadInput(
                f"axes: a boundary needs at least one axis of numbers, got names only ({names}). Use sampler=grid."
            )

    @classmethod
    def of_axes(cls, axes: Sequence[Axis]) -> Space:
        """The space of a study's axes; seeds are left out, since a boundary is between outcomes over seeds.

        Raises:
            BadInput: an axis has one value only, or none is an axis of numbers.
        """
        return cls(tuple(_dimension(axis) for axis in axes if not is_seed(axis.path)))

    @property
    def numbers(self) -> tuple[Dimension, ...]:
        return tuple(dimension for dimension in self.dimensions if not dimension.is_names)

    @property
    def names(self) -> tuple[Dimension, ...]:
        return tuple(dimension for dimension in self.dimensions if dimension.is_names)

    def places(self, points: Sequence[Point]) -> Places:
        """Places of points, which may hold more than these axes.

        Raises:
            BadInput: a point lacks an axis, or its value is not a number or not one of the names.
        """
        unit = [[axis.unit(_of(point, axis.name)) for axis in self.numbers] for point in points]
        levels = [[axis.level(_of(point, axis.name)) for axis in self.names] for point in points]
        return Places(
            np.array(unit, dtype=float).reshape(len(points), len(self.numbers)),
            np.array(levels, dtype=np.int64).reshape(len(points), len(self.names)),
        )

    def points(self, places: Places) -> list[Point]:
        """Points that can be run: snapped to allowed values, whole numbers rounded."""
        found: list[Point] = []
        for unit, levels in zip(places.unit.tolist(), places.levels.tolist(), strict=True):
            numbers, names = iter(unit), iter(levels)
            found.append(
                {a.name: a.choices[next(names)] if a.is_names else a.value(next(numbers)) for a in self.dimensions}
            )
        return found

    def snapped(self, places: Places) -> Places:
        """Where trials proposed at these places really lie."""
        return self.places(self.points(places))

    def empty(self) -> Places:
        """No place."""
        return self.places([])


def _of(point: Point, name: str) -> Value:
    if name not in point:
        raise unknown("point", name, point, "A point needs a value for every axis.")
    return point[name]


def _dimension(axis: Axis) -> Dimension:
    if axis.is_interval:
        assert axis.low is not None
        assert axis.high is not None
        return Dimension(name=axis.path, low=axis.low, high=axis.high, log=axis.log, integer=axis.integer)
    if len(axis.values) < 2:
        raise BadInput(f"{axis.path}: has one value, {axis.values[0]}. {ZERO_WIDTH}")
    numbers = sorted(float(v) for v in axis.values if isinstance(v, (int, float)) and not isinstance(v, bool))
    if len(numbers) < len(axis.values):
        return Dimension(name=axis.path, choices=axis.values)
    whole = all(isinstance(v, int) for v in axis.values)
    positive = [v for v in numbers if v > 0]
    log = _is_geometric(positive) and numbers[0] >= 0 and len(numbers) - len(positive) <= 1
    # A 0 before a geometric row lies one step below its first value.
    low = positive[0] ** 2 / positive[1] if log and numbers[0] == 0 else numbers[0]
    return Dimension(name=axis.path, low=low, high=numbers[-1], log=log, integer=whole, values=tuple(numbers))


def _is_geometric(values: Sequence[float]) -> bool:
    """Whether rising positive values are more evenly spaced in the logarithm."""
    if len(values) < 3:
        return False
    steps = (np.diff(np.log(values)), np.diff(values))
    even, plain = (float(step.std() / step.mean()) for step in steps)
    return even < plain
