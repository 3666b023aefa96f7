"""Plug-ins made from nothing but their own declarations, so that a new one is covered by existing."""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Iterator
from typing import Any, TypeVar

from grokstudy.spec import plugins
from grokstudy.spec.errors import BadInput
from grokstudy.spec.interfaces import Plugin

P = TypeVar("P", bound=Plugin)
SMALL = 16
"""Largest whole number in a small plug-in: widths, heads, layers."""


def small(room: str, name: str, kind: type[P]) -> P:
    """The plug-in at its defaults, with large whole numbers made small."""
    cls = plugins.load(room, name)
    given = {f.name: SMALL for f in dataclasses.fields(cls) if type(f.default) is int and f.default > SMALL}
    plugin = cls(**given)
    assert isinstance(plugin, kind)
    return plugin


def every_small(room: str, kind: type[P]) -> dict[str, P]:
    """All plug-ins of a room by name."""
    return {name: small(room, name, kind) for name in plugins.names(room)}


def variants(plugin: P, *, per_member: bool = False) -> Iterator[tuple[str, P]]:
    """(field, the plug-in with another value of it), one for each field whose other values it does not refuse."""
    hints = typing.get_type_hints(type(plugin))
    for field in dataclasses.fields(plugin):
        if per_member and not field.metadata["per_member"]:
            continue
        for value in _others(hints[field.name], getattr(plugin, field.name)):
            try:
                changed = dataclasses.replace(plugin, **{field.name: value})
            except BadInput:
                continue
            if changed != plugin:
                yield field.name, changed
                break


def _others(hint: Any, value: Any) -> list[Any]:
    if typing.get_origin(hint) is typing.Literal:
        return [option for option in typing.get_args(hint) if option != value]
    if isinstance(hint, types.UnionType):
        inner = next(option for option in typing.get_args(hint) if option is not type(None))
        if value is None and typing.get_origin(inner) is tuple:
            return [tuple(range(1, n + 1)) for n in (1, 2, 3)]
        return _others(inner, value if value is not None or inner is str else 0.01 if inner is float else 1)
    if value is None:
        return []
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, value * 2, value + 3, value - 1]
    if isinstance(value, float):
        return [value * 2 or 0.4, value / 2 + 0.2]
    if isinstance(value, str):  # S5: S4; any other free text is the test's to give
        return [re.sub(r"\d+", lambda number: str(int(number[0]) - 1), value)] if re.search(r"\d", value) else []
    if isinstance(value, tuple):
        return list(zip(*(_others(typing.get_args(hint)[0], item) for item in value), strict=True))
    raise TypeError(f"no other value known for {hint}")
