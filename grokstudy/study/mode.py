"""Whether a study's gradients are compiled: decided once, when the study is first run, and kept in study.yaml.

Eager and compiled arithmetic differ in bits, so a study never changes midway.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence

from grokstudy.engine.device import has_compiler
from grokstudy.engine.signature import signature
from grokstudy.engine.step import drops_activations
from grokstudy.spec.settings import EngineSettings
from grokstudy.spec.trial import TrialSpec
from grokstudy.study.timing import seconds_per_update

WORTH_TRYING = 900.0
"""Seconds of stepping that gradients which are not written by hand must be expected to take before any is compiled to
see what it gains: a cold compile takes up to a minute and a half for every shape."""
GAIN = 2.0
"""Compiling must be expected to save this many times what it costs."""


def resolved_mode(
    engine: EngineSettings, kept: EngineSettings | None, trials: Sequence[TrialSpec], budget: int
) -> EngineSettings:
    """The settings with `compile` true or false.

    Args:
        engine: as given; anything but `compile: null` stands.
        kept: what the study was first run with.
        trials: those left to run.
        budget: updates of each.
    """
    if engine.compile is not None:
        return engine
    if kept is not None and kept.compile is not None:
        return dataclasses.replace(engine, compile=kept.compile)
    return dataclasses.replace(engine, compile=_pays(engine, trials, budget))


def _pays(engine: EngineSettings, trials: Sequence[TrialSpec], budget: int) -> bool:
    """Compares both modes on the shape that most time is spent on, if there is enough to gain."""
    if not has_compiler(engine):
        return False
    groups: dict[str, list[TrialSpec]] = {}
    for spec in trials:
        if drops_activations(spec) or spec.model.gradient_by_hand(spec.task.shape()) is None:
            groups.setdefault(signature(spec), []).append(spec)
    if not groups:
        return False
    eager = {key: seconds_per_update(specs[:1], engine, compiled=False) for key, specs in groups.items()}
    expected = {key: eager[key] * len(specs) * budget for key, specs in groups.items()}
    if sum(expected.values()) < WORTH_TRYING:
        return False
    largest = max(expected, key=expected.__getitem__)
    start = time.monotonic()
    compiled = seconds_per_update(groups[largest][:1], engine, compiled=True)
    cost = (time.monotonic() - start) * len(groups)
    return sum(expected.values()) * (1 - compiled / eager[largest]) > GAIN * cost
