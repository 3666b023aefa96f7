"""The commands that make a study again and ask it further, as far as study.yaml says how."""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from grokstudy.phase.report_document import Commands, Section, Text
from grokstudy.spec.axes import Axis
from grokstudy.spec.compose import compose_study
from grokstudy.spec.errors import GrokstudyError
from grokstudy.spec.settings import CheckpointSettings, EarlyEndSettings, EngineSettings
from grokstudy.spec.study import MeasureSettings, StudySpec, without
from grokstudy.spec.trial import plugin_name
from grokstudy.study.document import check_same_study
from grokstudy.study.report_source import ReportSource

CHOSEN = ("task", "model", "optimizer", "loss")
"""Groups whose option is the plug-in's name."""
RECORDS: Mapping[str, type] = {
    "measures": MeasureSettings,
    "engine": EngineSettings,
    "checkpoint": CheckpointSettings,
    "early_end": EarlyEndSettings,
}
"""Records of a study that change what it computes, besides its trials."""
_PLAIN = re.compile(r"[A-Za-z0-9_.+-]+")


def commands(source: ReportSource) -> Section:
    """How to run the study again, and what to ask next."""
    name, axes = source.folder.name, source.axes
    words, checked = run_words(source.spec)
    run = " ".join(shlex.quote(word) for word in ("grokstudy", "run", *words, "--name", name))
    drawn = f"--x {axes[0]}" + (f" --y {axes[1]}" if len(axes) > 1 else "") if axes else "--x seed"
    lines = [
        (run, "the study; where it exists, only what is missing runs"),
        (f"grokstudy phases {name} {drawn} --value log10_delay_ratio --out delay.pdf", "delay as a figure"),
        (f"grokstudy phases {name} {drawn} --tau .99 --ratio 10", "other thresholds, nothing runs again"),
        (f"grokstudy trials {name} --format csv", "all trials"),
        (f"grokstudy query {name} 'SELECT outcome, count(*) FROM trials GROUP BY 1'", "SQL"),
        (f"grokstudy verify {name}", "networks against the hand-written algorithm"),
        (f"grokstudy ui {name}", "to look around"),
        (f"grokstudy report {name}", "this report"),
    ]
    return Section("Commands", (Text(checked), Commands(tuple(lines))))


def run_words(spec: StudySpec) -> tuple[tuple[str, ...], str]:
    """Words for `grokstudy run` that describe the same study, and a sentence that says whether they do.

    The words of the first run are not stored, the resolved settings are: everything that differs from the defaults
    becomes a word.
    """
    words = [f"{group}={spec.base[group]['name']}" for group in CHOSEN]
    try:
        plain = compose_study(words)
        words += [*_trial_words(spec, plain), *_study_words(spec, plain)]
        found = compose_study(words, name=spec.name)
        check_same_study(spec, found)
        same = found.budget == spec.budget and _axes(found) == _axes(spec)
    except GrokstudyError as error:
        return tuple(words), f"The command could not be checked here ({error}) The settings are in study.yaml."
    if not same:
        return tuple(words), "The command comes close; study.yaml says exactly what was run."
    return tuple(words), (
        "Words of the first run are not kept. These were made from the stored settings and composed again: they "
        "describe the same trials."
    )


def _trial_words(spec: StudySpec, plain: StudySpec) -> Iterator[str]:
    """Settings of trials that differ from the defaults of the chosen groups; axes as their values."""
    varied = {axis.path: axis for axis in spec.axes}
    default = without(plain.base, ())
    for path, value in without(spec.base, ()).items():
        if path not in varied and not path.endswith(".name") and (path not in default or default[path] != value):
            yield f"{path}={word(value)}"
    for axis in spec.axes:
        yield f"{axis.path}={_axis_word(axis)}"


def _study_words(spec: StudySpec, plain: StudySpec) -> Iterator[str]:
    """Sampler, budget, and what else the study computes."""
    name = plugin_name(spec.sampler)
    if name != plugin_name(plain.sampler):
        yield f"sampler={name}"
        for field in dataclasses.fields(spec.sampler):
            yield f"sampler.{field.name}={word(getattr(spec.sampler, field.name))}"
    yield f"budget={spec.budget}"
    for key in RECORDS:
        own, default = getattr(spec, key), getattr(plain, key)
        for field in dataclasses.fields(own):
            if getattr(own, field.name) != getattr(default, field.name):
                yield f"{key}.{field.name}={word(getattr(own, field.name))}"


def word(value: Any) -> str:
    """A setting's value in the grammar of the command line."""
    if isinstance(value, (list, tuple)):
        return f"[{','.join(map(word, value))}]"
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    text = str(value)
    return text if _PLAIN.fullmatch(text) else "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _axis_word(axis: Axis) -> str:
    if axis.low is not None and axis.high is not None:
        ends = f"{int(axis.low)},{int(axis.high)}" if axis.integer else f"{axis.low!r},{axis.high!r}"
        return f"tag(log,interval({ends}))" if axis.log else f"interval({ends})"
    if axis.path == "seed" and axis.values == tuple(range(len(axis.values))) and len(axis.values) > 1:
        return f"seeds({len(axis.values)})"
    return ",".join(map(word, axis.values))


def _axes(spec: StudySpec) -> dict[str, object]:
    """What varies; an axis of one value is a fixed setting."""
    return {axis.path: axis for axis in spec.axes if axis.is_interval or len(axis.values) > 1}
