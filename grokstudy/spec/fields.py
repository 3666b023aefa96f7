"""Declaration of one setting: default, neutral value, and whether members of one pack may differ in it."""

from __future__ import annotations

import dataclasses
from typing import Any, Final

ALWAYS: Final = object()
"""Neutral of a field that existed from the first version: its value is always part of the trial's identity."""


def path_name(field: str) -> str:
    """The name of a field in configs: `from_` is `from`, which Python keeps for itself."""
    return field.removesuffix("_")


def setting(default: Any = dataclasses.MISSING, *, help: str, neutral: Any = ALWAYS, per_member: bool = False) -> Any:
    """A dataclass field of a plug-in or record.

    Args:
        default: value when the config says nothing.
        help: one line for `grokstudy list` and the table of keys in docs/.
        neutral: what the code did before the field existed. A field at its neutral value is left out of `trial_id`,
            so that adding a field never renames old trials. Declared once, never changed.
        per_member: True if the trials of one pack may have different values (lr, weight decay, data settings ...);
            False if the value shapes the computation, so that it must be equal within a pack.
    """
    metadata = {"help": help, "neutral": neutral, "per_member": per_member}
    if default is dataclasses.MISSING:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)
