"""trial_id: the content hash of everything that a trial's numbers depend on."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from grokstudy.spec.axes import Value, is_seed, rounded
from grokstudy.spec.fields import ALWAYS, path_name
from grokstudy.spec.rooms import GROUPS
from grokstudy.spec.trial import Regularization, TrialSpec, plugin_name

ID_LENGTH = 16
"""Hex digits of a trial_id (64 bits: a collision among a million trials has a chance of 3e-8)."""


@dataclasses.dataclass(frozen=True, slots=True)
class Leaf:
    """One setting of a trial: its value, its neutral value and whether members of one pack may differ in it."""

    value: Any
    neutral: Any
    per_member: bool


def leaves(spec: TrialSpec) -> dict[str, Leaf]:
    """Every setting by config path, plug-in names as `task.name`."""
    return dict(_leaves(spec, ""))


def config_columns(spec: TrialSpec) -> dict[str, Value]:
    """Every setting by config path as a column value: lists as JSON text, seeds aside (they have columns of their
    own)."""
    return {
        path: json.dumps(leaf.value) if isinstance(leaf.value, tuple) else leaf.value
        for path, leaf in leaves(spec).items()
        if not is_seed(path)
    }


def trial_id(spec: TrialSpec) -> str:
    """Hash of every setting whose value is not neutral; the master seed enters only through the four seeds it sets."""
    text = json.dumps(dict(identity(spec)), sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.blake2b(text.encode(), digest_size=ID_LENGTH // 2).hexdigest()


def identity(spec: TrialSpec) -> Mapping[str, Value | tuple[Value, ...]]:
    """The settings that enter the hash, floats rounded to 12 significant digits."""
    return {
        path: tuple(map(rounded, leaf.value)) if isinstance(leaf.value, tuple) else rounded(leaf.value)
        for path, leaf in sorted(leaves(spec).items())
        if path != "seed" and (leaf.neutral is ALWAYS or leaf.value != leaf.neutral)
    }


def _leaves(record: Any, prefix: str) -> Iterator[tuple[str, Leaf]]:
    for name, path, neutral, per_member in _settings(type(record), prefix):  # type: ignore[arg-type]  # a class is hashable
        value = getattr(record, name)
        if isinstance(value, Regularization):
            for term, strength in value.items():
                yield f"{path}.{term}", Leaf(strength, 0.0, True)
        elif dataclasses.is_dataclass(value):
            if not prefix and name in GROUPS:
                yield f"{path}.name", Leaf(plugin_name(value), ALWAYS, False)  # type: ignore[arg-type]
            yield from _leaves(value, path + ".")
        else:
            yield path, Leaf(value, neutral, per_member)


@functools.cache
def _settings(cls: type, prefix: str) -> tuple[tuple[str, str, Any, bool], ...]:
    """Name, config path, neutral value and `per_member` of every field: the same for all trials of a study."""
    return tuple(
        (
            field.name,
            prefix + path_name(field.name),
            field.metadata.get("neutral", ALWAYS),
            field.metadata.get("per_member", False),
        )
        for field in dataclasses.fields(cls)
    )
