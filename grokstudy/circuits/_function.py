"""A plain function of a network as a measure: what a user's own file needs to hold and no more."""

from __future__ import annotations

import dataclasses
import os
import statistics
from collections.abc import Callable, Sequence
from typing import TypeAlias, cast

from grokstudy.circuits._values import known, undefined
from grokstudy.spec import plugins
from grokstudy.spec.errors import BadInput
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import RAISED, MeasureValue

Function: TypeAlias = Callable[[Subject], float | Sequence[float]]
"""A number, or a list of numbers (then `value` is their mean, as the diagrams need one)."""


def as_plugin(function: Function, name: str, *, version: int = 1, needs_end: bool = True) -> type[Measure]:
    """The measure plug-in `name` that calls `function`.

    It is defined for every trial. What is not finite becomes NULL with the reason `not_finite`, an exception NULL with
    the exception as its reason.

    Args:
        function: a pure function of the network; it draws only from `spec.draws.generator`.
        name: of the plug-in and of its value.
        version: to be raised when the numbers change, so that they are measured anew.
        needs_end: False if it reads neither `key_freqs` nor `final`, and can be measured while training.

    Raises:
        BadInput: a shipped measure has this name, or version is no whole number from 1.
    """
    _check(name, version)

    def measure(self: Measure, subject: Subject) -> list[MeasureValue]:
        protocol = f"keys={getattr(self, 'rule')}" if needs_end else "function"  # noqa: B009  (a field made below)
        return [_value(function, subject, name, protocol=protocol, version=version)]

    # A measure with a `rule` is measured anew under every key-frequency rule.
    settings = [("rule", str, dataclasses.field(default="neuron"))] if needs_end else []
    body = {
        "__doc__": function.__doc__ or f"{name}: a function of the network.",
        "version": version,
        "names": (name,),
        "needs_end": needs_end,
        "applies": lambda self, spec: None,
        "measure": measure,
    }
    made = dataclasses.make_dataclass(
        "FunctionMeasure", settings, bases=(Measure,), namespace=body, frozen=True, slots=True, kw_only=True
    )
    return cast("type[Measure]", made)


def _check(name: str, version: int) -> None:
    """Raises BadInput unless the value can be told from all others by its name, and its versions from each other."""
    if type(version) is not int or version < 1:
        raise BadInput(f"measure {name}: VERSION is {version!r}, must be a whole number from 1.")
    shipped_names = plugins.shipped("circuits")
    if name in shipped_names:  # before any is loaded: the file itself would be loaded in the place of its namesake
        raise BadInput(f"measure {name}: the shipped measure '{name}' has this name; rename the file.")
    for shipped in shipped_names:
        kind = plugins.load("circuits", shipped)
        assert issubclass(kind, Measure)
        if name in kind.names:
            raise BadInput(f"measure {name}: the shipped measure '{shipped}' has this name; rename the file.")


def _value(function: Function, subject: Subject, name: str, *, protocol: str, version: int) -> MeasureValue:
    try:
        number, values = _numbers(function(subject))
    except Exception as error:  # whatever a user's function may raise costs this value and no other
        if os.environ.get("GROKSTUDY_DEBUG"):
            raise
        text = " ".join(f"{RAISED}{type(error).__name__}: {error}".split())
        return undefined(name, text, protocol=protocol, version=version)
    return known(name, number, values=values, protocol=protocol, version=version)


def _numbers(result: object) -> tuple[float, tuple[float, ...] | None]:
    """A number and no list, or a list and its mean; tensors and arrays count as what they hold."""
    plain = result.tolist() if hasattr(result, "tolist") else result
    if isinstance(plain, Sequence) and not isinstance(plain, str):
        values = tuple(float(item) for item in plain)
        return statistics.fmean(values), values
    if isinstance(plain, (int, float)):
        return float(plain), None
    raise TypeError(f"returned {type(result).__name__}, must return a number or a list of numbers")
