"""Every measure of one network."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Collection, Sequence
from typing import Any

from grokstudy.circuits._keys import RULES
from grokstudy.circuits._values import undefined
from grokstudy.spec import plugins
from grokstudy.spec.errors import unknown
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import RAISED, MeasureValue


def measure_network(subject: Subject, only: Collection[str] | None = None, rule: str = "neuron") -> list[MeasureValue]:
    """Values of measures, plug-ins in name order; one not defined for such trials gives one NULL with the reason.

    Args:
        subject: the network; its `key_freqs` were found by `rule`.
        only: names of measure plug-ins; None for the default ones.
        rule: key-frequency rule, stored in the protocol of measures that depend on keys.

    Raises:
        BadInput: a name in `only` or a rule that does not exist.
    """
    return values_of(measures(only, rule), subject)


def values_of(chosen: Sequence[tuple[str, Measure]], subject: Subject) -> list[MeasureValue]:
    """The same for measures that `measures` has looked up once for many networks: it searches folders and packages."""
    return [value for measure in chosen for value in _values(measure, subject)]


def measures(only: Collection[str] | None = None, rule: str = "neuron") -> list[tuple[str, Measure]]:
    """Measure plug-ins by name, set to the key-frequency rule. Arguments and errors as `measure_network`."""
    if rule not in RULES:
        raise unknown("key_freq_rule", rule, RULES)
    names = plugins.names("circuits")
    for name in only or ():
        if name not in names:
            owner = owner_of(name)
            told = f"'{name}' is a value of the measure {owner}. " if owner else ""
            raise unknown("measure", name, names, f"{told}See `grokstudy list measures`.")
    chosen = [(name, _load(name, rule)) for name in names if only is None or name in only]
    return [(name, measure) for name, measure in chosen if only is not None or measure.default]


def owner_of(value: str) -> str | None:
    """The plug-in whose values have this name (`certified_share` is one of `algorithm`'s), or None."""
    kinds = ((name, plugins.load("circuits", name)) for name in plugins.names("circuits"))
    return next((name for name, kind in kinds if issubclass(kind, Measure) and value in kind.names), None)


def _load(name: str, rule: str) -> Measure:
    kind = plugins.load("circuits", name)
    assert issubclass(kind, Measure)
    takes_rule = any(field.name == "rule" for field in dataclasses.fields(kind))
    settings: dict[str, Any] = {"rule": rule} if takes_rule else {}
    return kind(**settings)


def _values(named: tuple[str, Measure], subject: Subject) -> list[MeasureValue]:
    name, measure = named
    try:
        if reason := measure.applies(subject.spec):
            return [undefined(name, reason, protocol="", version=measure.version)]
        return measure.measure(subject)
    except Exception as error:  # whatever a user's measure may raise costs its own values and no others
        if os.environ.get("GROKSTUDY_DEBUG"):
            raise
        reason = f"{RAISED}{type(error).__name__}: {error}"
        return [undefined(value, reason, protocol="", version=measure.version) for value in measure.names]
