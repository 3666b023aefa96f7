"""Strict decoding of plain data (what Hydra composed) into frozen dataclasses; every error names the config path."""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from grokstudy.spec import plugins
from grokstudy.spec.axes import rounded
from grokstudy.spec.errors import BadInput, nearest, unknown
from grokstudy.spec.fields import path_name
from grokstudy.spec.interfaces import Plugin
from grokstudy.spec.rooms import GROUPS
from grokstudy.spec.trial import Regularization, Seeds, TrialSpec

T = TypeVar("T")

TRIAL_GROUPS = (
    "task",
    "model",
    "optimizer",
    "regularization",
    "loss",
    "init",
    "noise",
    "seed",
    "seeds",
    "batch_size",
    "engine",
)
"""Top-level config keys that make a TrialSpec."""


def decode_trial(data: Mapping[str, Any]) -> TrialSpec:
    """A TrialSpec from the trial groups of a composed config.

    `seeds` left out (or null) follow the master `seed`.

    Raises:
        BadInput: an unknown key, a wrong type or value, with its path, what is allowed and the nearest name.
    """
    for key in data:
        if key not in TRIAL_GROUPS:
            raise unknown(key, key, TRIAL_GROUPS)
    seed = _scalar(int, data.get("seed", 0), "seed")
    _non_negative(seed, "seed")
    given = {k: v for k, v in dict(data.get("seeds") or {}).items() if v is not None}
    follow = {field.name: seed for field in dataclasses.fields(Seeds)}
    seeds = decode(Seeds, {**follow, **given}, "seeds")
    for field in dataclasses.fields(Seeds):
        _non_negative(getattr(seeds, field.name), f"seeds.{field.name}")
    parts = {key: value for key, value in data.items() if key not in ("seed", "seeds")}
    return decode(TrialSpec, {**parts, "seed": seed, "seeds": seeds}, "")


def decode(cls: type[T], data: Any, path: str) -> T:
    """An instance of the dataclass `cls` from a mapping: no unknown keys, no silent conversions but int to float."""
    if not isinstance(data, Mapping):
        raise BadInput(f"{path or 'config'}: expected a group of settings, got {data!r}.")
    fields, hints = _fields(cls)  # type: ignore[arg-type]  # a class is hashable
    values: dict[str, Any] = {}
    for key, value in data.items():
        where = f"{path}.{key}" if path else str(key)
        if key not in fields:
            raise BadInput(f"{where}: unknown setting{nearest(str(key), fields)} Allowed here: {', '.join(fields)}.")
        name = fields[key].name
        values[name] = decode_value(hints[name], value, where, name)
    missing = [
        name
        for name, field in fields.items()
        if field.name not in values
        and field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise BadInput(f"{path + '.' if path else ''}{missing[0]}: not given and has no default.")
    try:
        return cls(**values)
    except BadInput:
        raise
    except (TypeError, ValueError) as error:
        raise BadInput(f"{path or 'config'}: {error}") from error


@functools.cache
def _fields(cls: type) -> tuple[Mapping[str, dataclasses.Field[Any]], Mapping[str, Any]]:
    """Fields by their name in configs, and their types: reading annotations takes longer than decoding a trial."""
    fields = {path_name(field.name): field for field in dataclasses.fields(cls)}
    return fields, typing.get_type_hints(cls, localns={"Mapping": Mapping})


def decode_plugin(group: str, data: Any) -> Plugin:
    """The plug-in that `data["name"]` names in the config group, with its settings."""
    if not isinstance(data, Mapping) or "name" not in data:
        raise BadInput(f"{group}: expected `name` and settings, got {data!r}. See `grokstudy list {GROUPS[group]}`.")
    cls = plugins.load(GROUPS[group], str(data["name"]), group)
    return decode(cls, {key: value for key, value in data.items() if key != "name"}, group)


def decode_value(hint: Any, value: Any, path: str, name: str = "") -> Any:
    """One value of the annotated type: plug-ins by name, records by field, scalars strictly."""
    if dataclasses.is_dataclass(value):  # decoded already
        return value
    if isinstance(hint, type) and issubclass(hint, Plugin):
        return decode_plugin(name, value)
    if hint is Regularization:
        if not isinstance(value, Mapping):
            raise BadInput(f"{path}: expected strengths by name, got {value!r}.")
        return Regularization(tuple((str(k), _scalar(float, v, f"{path}.{k}")) for k, v in value.items()))
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return decode(hint, value, path)
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        options = typing.get_args(hint)
        if value is None and type(None) in options:
            return None
        return decode_value(next(o for o in options if o is not type(None)), value, path, name)
    if origin is typing.Literal:
        allowed = typing.get_args(hint)
        if value not in allowed:
            raise unknown(path, str(value), map(str, allowed))
        return value
    if origin is tuple:
        return _tuple(typing.get_args(hint), value, path, name)
    if origin is Mapping:
        return _mapping(typing.get_args(hint)[1], value, path)
    return _scalar(hint, value, path)


def _tuple(inner: tuple[Any, ...], value: Any, path: str, name: str) -> tuple[Any, ...]:
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        raise BadInput(f"{path}: expected a list, got {value!r}; write {path}=[{value}].")
    items = list(value)
    if inner[-1] is Ellipsis:
        inner = (inner[0],) * len(items)
    if len(items) != len(inner):
        raise BadInput(f"{path}: expected {len(inner)} values, got {len(items)}.")
    return tuple(
        decode_value(hint, item, f"{path}[{i}]", name) for i, (hint, item) in enumerate(zip(inner, items, strict=True))
    )


def _mapping(inner: Any, value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise BadInput(f"{path}: expected values by name, got {value!r}; write '{path}={{name: value}}'.")
    return {str(key): decode_value(inner, item, f"{path}.{key}") for key, item in value.items()}


def _scalar(hint: type[T], value: Any, path: str) -> T:
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if hint is int and isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise BadInput(f"{path}: expected {hint.__name__}, got {value!r}.")
    if isinstance(value, float) and not -float("inf") < value < float("inf"):
        raise BadInput(f"{path}: expected a finite number, got {value!r}.")
    return rounded(value) if isinstance(value, float) else value  # type: ignore[return-value]


def _non_negative(seed: int, path: str) -> None:
    if seed < 0:
        raise BadInput(f"{path}: got {seed}, a seed must be >= 0.")
