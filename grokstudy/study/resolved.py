"""A study from a resolved file (a study.yaml): nothing is composed again; only where it runs may still be said."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from grokstudy.spec import grammar
from grokstudy.spec.decode import decode
from grokstudy.spec.errors import BadInput
from grokstudy.spec.settings import ClusterSettings, StorageSettings, TrackingSettings
from grokstudy.spec.study import StudySpec
from grokstudy.study.document import from_yaml, versions_differ

RUNTIME: Mapping[str, type] = {"cluster": ClusterSettings, "storage": StorageSettings, "tracking": TrackingSettings}
"""Groups whose settings change no number."""
SHORT: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("tracking", "none"): {"enabled": False},
    ("tracking", "mlflow"): {"enabled": True},
}
"""Options of those groups that say one thing."""
OWN = "grokstudy"


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Resolved:
    """A study that was read, and what a person should know about the file."""

    spec: StudySpec
    notices: tuple[str, ...]


def resolved_study(file: Path, words: Sequence[str], *, name: str | None = None, steps: int | None = None) -> Resolved:
    """The study of the file, with `words` about where it runs and how far.

    Raises:
        BadInput: the file cannot be read, another version of grokstudy wrote it, or a word says what a trial is.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"--from: '{file}' cannot be read ({type(error).__name__}). Give a study.yaml.") from error
    others = versions_differ(text, str(file))
    if OWN in others:
        there, here = others.pop(OWN)
        raise BadInput(
            f"--from: '{file}' was written by grokstudy {there}, here is {here}. Install {OWN}=={there} where it runs, "
            "or write the file again with the version that is there (`grokstudy submit --ship-code` sends yours along)."
        )
    spec = _with_words(from_yaml(text, str(file)), words, file)
    spec = dataclasses.replace(spec, name=name or spec.name, budget=spec.budget if steps is None else steps)
    told = ", ".join(f"{library} {there} there, {here} here" for library, (there, here) in sorted(others.items()))
    return Resolved(spec, (f"{file}: written with other versions ({told}); bits may differ.",) if told else ())


def _with_words(spec: StudySpec, words: Sequence[str], file: Path) -> StudySpec:
    parsed = grammar.parse(words)
    if parsed.axes:
        raise _fixed(parsed.axes[0].path, file)
    for override in parsed.fixed:
        path, value = override.get_key_element().lstrip("+~"), override.value()
        group, _, key = path.partition(".")
        if path == "budget":
            spec = dataclasses.replace(spec, budget=decode(_Budget, {"budget": value}, "").budget)
        elif group in RUNTIME:
            spec = dataclasses.replace(spec, **{group: _changed(spec, group, key, value)})
        else:
            raise _fixed(path, file)
    return spec


@dataclasses.dataclass(frozen=True, slots=True)
class _Budget:
    budget: int


def _changed(spec: StudySpec, group: str, key: str, value: Any) -> Any:
    """The group's record with one setting, or with all that a short form (`cluster=none`) says."""
    record = getattr(spec, group)
    if key:
        change = {key: value}
    elif group == "cluster":
        change = {"kind": value}
    elif (group, value) in SHORT:
        change = dict(SHORT[group, value])
    else:
        names = ", ".join(f"{group}.{field.name}" for field in dataclasses.fields(record))
        raise BadInput(f"{group}: got {value}; with --from give its settings one by one: {names}.")
    return decode(RUNTIME[group], {**dataclasses.asdict(record), **change}, group)


def _fixed(path: str, file: Path) -> BadInput:
    return BadInput(
        f"{path}: --from runs the study as '{file}' says it; only {', '.join(f'{group}.*' for group in RUNTIME)}, "
        "budget (--steps) and --name may be given beside it. Compose the study anew to change it."
    )
