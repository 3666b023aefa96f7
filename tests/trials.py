"""Trials for tests, decoded from the shipped presets exactly as a study decodes them."""

from __future__ import annotations

import copy
import functools
from collections.abc import Mapping
from typing import Any

from grokstudy.spec.axes import Value
from grokstudy.spec.compose import compose_study
from grokstudy.spec.decode import decode_trial
from grokstudy.spec.trial import TrialSpec

TINY: Mapping[str, Value] = {"task.p": 13, "model.d_model": 16, "model.d_mlp": 32}
"""small31 shrunk to under a millisecond per step."""


def trial(preset: str, changes: Mapping[str, Any] | None = None, **more: Any) -> TrialSpec:
    """The preset's trial with values, groups or plug-ins at config paths: trial("quad23", {"optimizer.lr": 0.02})."""
    data = copy.deepcopy(_base(preset))
    for path, value in {**(changes or {}), **more}.items():
        *groups, leaf = path.split(".")
        node = data
        for group in groups:
            node = node[group]
        node[leaf] = value
    return decode_trial(data)


def tiny(changes: Mapping[str, Any] | None = None, **more: Any) -> TrialSpec:
    """A transformer with p = 13, d_model = 16, d_mlp = 32."""
    return trial("small31", {**TINY, **(changes or {})}, **more)


@functools.cache
def _base(preset: str) -> dict[str, Any]:
    return dict(compose_study([f"preset={preset}"]).base)
