"""study.yaml: the resolved study as it stands, and whether a config describes the same study."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import platform
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import yaml

from grokstudy.spec import bounded_yaml
from grokstudy.spec.axes import Axis, Value
from grokstudy.spec.decode import decode, decode_plugin
from grokstudy.spec.errors import BadInput, DamagedFile
from grokstudy.spec.identity import leaves
from grokstudy.spec.interfaces import Sampler
from grokstudy.spec.outcome import RATIO
from grokstudy.spec.settings import (
    CheckpointSettings,
    ClusterSettings,
    EarlyEndSettings,
    EngineSettings,
    StorageSettings,
    TrackingSettings,
)
from grokstudy.spec.study import MeasureSettings, StudySpec, without
from grokstudy.spec.trial import plugin_name
from grokstudy.store.folder import StudyFolder
from grokstudy.store.seal import sealed

FILE = "study.yaml"
VERSIONS = ("torch", "ray", "mlflow", "optuna", "numpy", "hydra-core", "duckdb", "pyarrow")
PRIVATE = ("storage", "tracking", "cluster")
"""Records of study.yaml that say where it ran and change no number: addresses and paths stay at home."""
_UNREADABLE = (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError, AssertionError)
"""What a file that is no study raises while it is read."""
RECORDS: Mapping[str, type] = {
    "measures": MeasureSettings,
    "engine": EngineSettings,
    "checkpoint": CheckpointSettings,
    "early_end": EarlyEndSettings,
    "cluster": ClusterSettings,
    "storage": StorageSettings,
    "tracking": TrackingSettings,
}


def to_yaml(spec: StudySpec) -> str:
    """The study as text that `from_yaml` reads back, with the versions of what is installed here."""
    document = {**plain(spec), "versions": {"python": platform.python_version(), **_versions()}}
    return bounded_yaml.dump(document)


def plain(spec: StudySpec) -> dict[str, Any]:
    """The study as plain data: all of study.yaml but the versions."""
    return {
        "name": spec.name,
        "source": spec.source,
        "base": dict(spec.base),
        "axes": [_plain(dataclasses.asdict(axis)) for axis in spec.axes],
        "sampler": {"name": plugin_name(spec.sampler), **_plain(dataclasses.asdict(spec.sampler))},
        "budget": spec.budget,
        **{key: _plain(dataclasses.asdict(getattr(spec, key))) for key in RECORDS},
    }


def versions_differ(text: str, where: str) -> dict[str, tuple[str, str]]:
    """Versions that the study was written with and that are others here, as (there, here) by name.

    Raises:
        DamagedFile: the text is no study.
    """
    try:
        written = dict(_loaded(text).get("versions") or {})
    except _UNREADABLE as error:
        raise _damaged(where, error) from error
    here = {"python": platform.python_version(), **_versions()}
    return {name: (str(version), here[name]) for name, version in written.items() if here.get(name, version) != version}


def from_yaml(text: str, where: str) -> StudySpec:
    """The study that `to_yaml` wrote.

    Raises:
        DamagedFile: the text is no study.
    """
    try:
        document = _loaded(text)
        sampler = decode_plugin("sampler", document["sampler"])
        assert isinstance(sampler, Sampler)
        return StudySpec(
            name=document["name"],
            source=document["source"],
            base=document["base"],
            axes=_axes(document),
            sampler=sampler,
            budget=document["budget"],
            **{key: decode(record, document.get(key, {}), key) for key, record in RECORDS.items()},
        )
    except BadInput:
        raise
    except _UNREADABLE as error:
        raise _damaged(where, error) from error


def stored_spec(folder: StudyFolder) -> StudySpec | None:
    """The study in this folder, or None if there is none yet."""
    text = _text(folder)
    return None if text is None else from_yaml(text, f"{folder.name}/{FILE}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a diagram reads of a stored study."""

    axes: tuple[Axis, ...] = ()
    ratio: float = RATIO
    """R under which the study's sampler predicts outcomes."""


def stored_layout(folder: StudyFolder) -> Layout:
    """The layout of the study in this folder. Every diagram asks, so no plug-in is loaded for it.

    Raises:
        DamagedFile: study.yaml cannot be read.
    """
    text = _text(folder)
    if text is None:
        return Layout()
    try:
        document = _loaded(text)
        return Layout(axes=_axes(document), ratio=document["sampler"].get("ratio", RATIO))
    except _UNREADABLE as error:
        raise _damaged(f"{folder.name}/{FILE}", error) from error


def _text(folder: StudyFolder) -> str | None:
    try:
        return folder.get_text(FILE)
    except UnicodeDecodeError as error:
        where = f"{folder.name}/{FILE}"
        raise DamagedFile(f"{where}: not readable text. Restore it from its attempts/ folder.") from error


def _loaded(text: str) -> Any:
    return bounded_yaml.load(text)


def _axes(document: Any) -> tuple[Axis, ...]:
    return tuple(Axis(**{**axis, "values": tuple(axis["values"])}) for axis in document["axes"])


def _damaged(where: str, error: Exception) -> DamagedFile:
    return DamagedFile(f"{where}: not a readable study ({error}). Restore it from its attempts/ folder.")


def check_same_study(old: StudySpec, new: StudySpec) -> None:
    """Accepts wider or narrower axes, a field turned into an axis, any budget; nothing else may differ.

    Raises:
        BadInput: a fixed setting, or the mode in which trials are computed, differs: names it, with both values.
    """
    varied = {axis.path for axis in (*old.axes, *new.axes)}
    if "seed" in varied:
        varied |= {"seeds.data", "seeds.init", "seeds.batch", "seeds.noise"}
    before, after = _fixed(old, varied), _fixed(new, varied)
    for path in sorted(before.keys() | after.keys()):
        if before.get(path) != after.get(path):
            raise _different(old.name, path, before.get(path), after.get(path))
    for field in dataclasses.fields(EngineSettings):
        was, now = getattr(old.engine, field.name), getattr(new.engine, field.name)
        if was != now and not (field.name == "compile" and now is None):  # null keeps what was chosen
            raise _different(old.name, f"engine.{field.name}", was, now)


def _fixed(spec: StudySpec, varied: Collection[str]) -> dict[str, Value | tuple[Value, ...]]:
    """Settings of the study's trials that no axis varies; one that was added since it was stored has its default."""
    return {path: leaf.value for path, leaf in leaves(spec.trial({})).items() if path not in varied}


def merged(old: StudySpec | None, new: StudySpec) -> StudySpec:
    """The study as it stands after `new`: every value its axes ever had, and the largest budget."""
    if old is None:
        return new
    fixed = without(new.base, ())
    axes = {
        axis.path: dataclasses.replace(axis, values=_united(axis.values, [fixed[axis.path]]))
        if axis.values and fixed.get(axis.path) is not None
        else axis
        for axis in old.axes
    }
    for axis in new.axes:
        before = axes.get(axis.path)
        if before is not None and before.values and axis.values:
            axis = dataclasses.replace(axis, values=_united(before.values, axis.values))
        axes[axis.path] = axis
    return dataclasses.replace(new, axes=tuple(axes.values()), budget=max(old.budget, new.budget))


def _united(one: Sequence[Value], other: Sequence[Value]) -> tuple[Value, ...]:
    """Values of both, in order where they are numbers."""
    values = list(dict.fromkeys([*one, *other]))
    if all(isinstance(value, (int, float)) for value in values):
        values.sort(key=lambda value: float(value or 0))
    return tuple(values)


def record_attempt(folder: StudyFolder, spec: StudySpec) -> None:
    """Writes study.yaml and keeps this attempt's copy under its time; nothing if the study stands like that already."""
    text = sealed(to_yaml(spec))
    if folder.get_text(FILE) != text:
        folder.put_text(f"attempts/{datetime.now(UTC):%Y%m%dT%H%M%S%f}.yaml", text)
        folder.put_text(FILE, text)


def _different(name: str, path: str, before: object, after: object) -> BadInput:
    return BadInput(
        f"{path}: study '{name}' exists with {before}, got {after}. A study keeps its fixed settings; "
        f"give this one another --name{'' if path.startswith('engine.') else f', or vary {path} as an axis of both'}."
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, (tuple, list)) else value


def _versions() -> dict[str, str]:
    return {"grokstudy": importlib.metadata.version("grokstudy")} | {
        name: importlib.metadata.version(name) for name in VERSIONS
    }


def without_places(source: StudyFolder, name: str) -> str:
    """A settings file of a study without this machine's paths and addresses.

    Raises:
        DamagedFile: it cannot be read.
    """
    try:
        document = bounded_yaml.load(source.get_text(name) or "")
        return bounded_yaml.dump({key: value for key, value in document.items() if key not in PRIVATE})
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError) as error:
        reason = str(error).partition("\n")[0]
        raise DamagedFile(f"{source.where(name)}: not readable settings ({reason}). Restore or delete it.") from error
