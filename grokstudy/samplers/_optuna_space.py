"""Optuna's distributions as a space, and places as parameters that Optuna accepts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from grokstudy.samplers.surrogate.space import ZERO_WIDTH, Dimension, Space
from grokstudy.spec.axes import Point, Value
from grokstudy.spec.errors import BadInput

LISTED = 1000
"""A stepped axis of at most so many values is known to the model by them; a finer one as an interval."""


def space_of(search_space: Mapping[str, BaseDistribution]) -> Space:
    """The space of these parameters, in the order of their names.

    Raises:
        BadInput: none is a number, one has a single value, or a choice is not a number, string, bool or None.
    """
    return Space(tuple(dimension(name, search_space[name]) for name in sorted(search_space)))


def dimension(name: str, distribution: BaseDistribution) -> Dimension:
    """One parameter as an axis; categorical ones are names, whatever their choices are."""
    if distribution.single():
        raise BadInput(f"{name}: has one value, {distribution}. {ZERO_WIDTH}")
    if isinstance(distribution, CategoricalDistribution):
        for choice in distribution.choices:
            if not isinstance(choice, (bool, int, float, str, type(None))):
                raise BadInput(f"{name}: a choice must be a number, string, bool or None, got {choice!r}.")
        return Dimension(name=name, choices=tuple(distribution.choices))
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    whole = isinstance(distribution, IntDistribution)
    return Dimension(
        name=name,
        low=float(distribution.low),
        high=float(distribution.high),
        log=distribution.log,
        integer=whole,
        values=_stepped(distribution),
    )


def accepted(point: Point, search_space: Mapping[str, BaseDistribution]) -> dict[str, Any]:
    """The point as parameters inside their distributions: rounding may have stepped over an end, and Optuna would then
    draw the parameter anew without a word."""
    return {name: _inside(point[name], distribution) for name, distribution in search_space.items()}


def at(distribution: BaseDistribution, unit: float) -> Value:
    """The value at `unit` in [0, 1) of a parameter that is not one of the axes."""
    if isinstance(distribution, CategoricalDistribution):
        choice: Value = distribution.choices[int(unit * len(distribution.choices))]
        return choice
    return _inside(dimension("", distribution).value(unit), distribution)


def _stepped(distribution: FloatDistribution | IntDistribution) -> tuple[float, ...]:
    step = distribution.step
    if step is None or (isinstance(distribution, IntDistribution) and step == 1):
        return ()
    count = round((distribution.high - distribution.low) / step) + 1
    return tuple(distribution.low + i * step for i in range(count)) if count <= LISTED else ()


def _inside(value: Value, distribution: BaseDistribution) -> Value:
    if isinstance(distribution, CategoricalDistribution) or not isinstance(value, (int, float)):
        return value
    assert isinstance(distribution, (FloatDistribution, IntDistribution))
    low, step = distribution.low, distribution.step
    if step is not None:
        value = low + round((value - low) / step) * step
    return min(max(value, low), distribution.high)
