"""From words on a command line to a StudySpec: Hydra composes, everything after it is typed.

Hydra is used through its Compose API only. It never sees a sweep (those are axes) and never instantiates anything.
"""

from __future__ import annotations

import dataclasses
import importlib.resources
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_module
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from grokstudy.spec import grammar, plugins
from grokstudy.spec.axes import Axis
from grokstudy.spec.decode import TRIAL_GROUPS, decode, decode_plugin
from grokstudy.spec.errors import BadInput, nearest, unknown
from grokstudy.spec.fields import path_name
from grokstudy.spec.interfaces import Sampler
from grokstudy.spec.refused import check_refused
from grokstudy.spec.rooms import GROUPS
from grokstudy.spec.settings import (
    CheckpointSettings,
    ClusterSettings,
    EarlyEndSettings,
    EngineSettings,
    StorageSettings,
    TrackingSettings,
)
from grokstudy.spec.study import MeasureSettings, StudySpec

NUMERICS = ("dtype",)
"""Keys of the `engine` group that belong to the trial; the others say how it is computed."""
CHOICES = ("preset", "study")
OPTION = re.compile(r"\w[\w.-]{0,99}(/\w[\w.-]{0,99})*", re.ASCII)
"""Names of a group's options: no way out of the group's folder."""
SETTINGS = (
    *("name", "seed", "seeds", "batch_size", "budget", "axes", "checkpoint", "early_end", "measures", "source"),
    "claim",
)
"""Top-level keys of a config that are not groups with options."""


def check_folder(key: str, config_dir: Path | None) -> None:
    """Raises BadInput if the user's own folder, given under this key, is none; Hydra would read nothing there."""
    if config_dir is not None and not config_dir.is_dir():
        raise BadInput(f"{key}: no folder '{config_dir}'.")


def compose_study(words: Sequence[str], *, name: str | None = None, config_dir: Path | None = None) -> StudySpec:
    """The study that override words describe.

    Args:
        words: Hydra overrides; those with more than one value are axes.
        name: name of the study; default the config's `name`, else the study's, else the preset's.
        config_dir: folder with the user's own groups, searched before the shipped ones.

    Raises:
        BadInput: any key, value or name that cannot be used.
    """
    check_refused(words)
    parsed = grammar.parse(words)
    for override in parsed.fixed:
        group, value = override.key_or_group, override.value()
        if group in _group_names() and not (isinstance(value, Mapping) or _is_option(value)):
            raise unknown(group, str(value), options(group, config_dir))
        if group.partition(".")[0] == "hydra":
            raise BadInput(
                f"{group}: a study has no such setting; folders of your own are given with --config-dir DIR."
            )
        if group == "axes" and isinstance(value, Mapping):
            raise BadInput(
                f"axes: got {value}; on the command line an axis is a word of its own, such as seed='seeds(3)'."
            )
    for axis in parsed.axes:
        if axis.path.removesuffix(".name") in _group_names():
            raise BadInput(
                f"{axis.path}: an axis varies a setting, not a whole group; run one study for each and compare them."
            )
    config = _composed(parsed, config_dir)
    for key in config:
        if key not in (*_group_names(), *SETTINGS):
            raise BadInput(f"{key}: no such setting{nearest(key, SETTINGS)} Allowed: {', '.join(SETTINGS)} and groups.")
    chosen = {o.key_or_group: str(o.value()) for o in parsed.fixed if o.key_or_group in CHOICES}
    study = chosen.get("study", "").rpartition("/")[2]  # study=claims/parity is called parity
    default_name = name or config["name"] or study or chosen.get("preset") or "study"
    return decode_study({**config, "name": default_name}, _axes(config, parsed))


def decode_study(config: Mapping[str, Any], axes: Sequence[Axis]) -> StudySpec:
    """A StudySpec from a composed config and its axes."""
    engine = dict(config["engine"])
    numerics = {key: engine.pop(key) for key in NUMERICS if key in engine}
    base = {key: config[key] for key in TRIAL_GROUPS if key in config} | {"engine": numerics}
    sampler = decode_plugin("sampler", config["sampler"])
    assert isinstance(sampler, Sampler)
    return StudySpec(
        name=str(config["name"]),
        base=base,
        axes=tuple(axes),
        sampler=sampler,
        budget=_int(config["budget"], "budget"),
        measures=decode(MeasureSettings, config["measures"], "measures"),
        engine=decode(EngineSettings, engine, "engine"),
        checkpoint=decode(CheckpointSettings, config["checkpoint"], "checkpoint"),
        early_end=decode(EarlyEndSettings, config["early_end"], "early_end"),
        cluster=decode(ClusterSettings, config["cluster"], "cluster"),
        storage=decode(StorageSettings, config["storage"], "storage"),
        tracking=decode(TrackingSettings, config["tracking"], "tracking"),
        source=str(config.get("source") or ""),
    )


def options(group: str, config_dir: Path | None = None) -> list[str]:
    """Names that a config group offers. The `none` of preset and study is only what stands in for none chosen."""
    own = plugins.names(GROUPS[group]) if group in GROUPS else []
    return sorted({*yaml_names(group, config_dir), *own} - ({"none"} if group in CHOICES else set()))


def _is_option(value: object) -> bool:
    """Whether it can name a file inside the group's folder."""
    return isinstance(value, str) and OPTION.fullmatch(value) is not None


def _composed(parsed: grammar.Words, config_dir: Path | None) -> dict[str, Any]:
    """The config with every fixed word applied; an axis' first value stands in, so that its key is checked too."""
    words = [override.input_line or "" for override in parsed.fixed]
    firsts = [f"{axis.path}={_hydra_text(axis.values[0])}" for axis in parsed.axes if axis.values]
    with _hydra(config_dir):
        config = _compose([*words, *firsts], config_dir)
        dropped = [
            o.key_or_group for o in parsed.fixed if o.key_or_group in _group_names() and o.key_or_group not in CHOICES
        ]
        if dropped and any(o.key_or_group in CHOICES for o in parsed.fixed):
            # A group chosen on the command line drops what preset and study say about it.
            plain = [w for w in [*words, *firsts] if not w.lstrip("+~").startswith(tuple(f"{c}=" for c in CHOICES))]
            alone = _compose([w for w in plain if _belongs(w, dropped)], config_dir)
            config |= {group: alone[group] for group in dropped}
    return config


def _belongs(word: str, groups: Sequence[str]) -> bool:
    return word.lstrip("+~").split("=")[0].split(".")[0] in groups


def _compose(words: Sequence[str], config_dir: Path | None) -> dict[str, Any]:
    search = [f"hydra.searchpath=[file://{config_dir.resolve()}]"] if config_dir else []
    try:
        composed = hydra_compose("config", overrides=[*words, *search])
        config = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise _readable(error, words, config_dir) from error
    assert isinstance(config, dict)
    return {str(key): value for key, value in config.items()}


@contextmanager
def _hydra(config_dir: Path | None) -> Iterator[None]:
    """Hydra's process-wide state, entered and left here and nowhere else."""
    if GlobalHydra.instance().is_initialized():
        yield
        return
    _register_plugins(config_dir)
    with initialize_config_module("grokstudy.conf", version_base="1.3"):
        yield


def _register_plugins(config_dir: Path | None) -> None:
    """Offers the defaults of every plug-in without a YAML of its own as a config option: a new plug-in is one file."""
    store = ConfigStore.instance()
    for group, room in GROUPS.items():
        for option in set(plugins.names(room)) - set(yaml_names(group, config_dir)):
            fields = dataclasses.fields(plugins.load(room, option))
            defaults = {f.name: "???" if f.default is dataclasses.MISSING else _yaml(f.default) for f in fields}
            store.store(group=group, name=option, node={"name": option, **defaults})
    terms = dict.fromkeys(plugins.names("regularizers"), 0.0)
    store.store(group="regularization", name="every_term", node=terms)


def yaml_names(group: str, config_dir: Path | None) -> list[str]:
    """The files of a folder of `conf/`, and of the user's own folder of that name."""
    shipped = importlib.resources.files("grokstudy.conf").joinpath(*group.split("/"))
    names = [Path(entry.name).stem for entry in shipped.iterdir() if entry.name.endswith(".yaml")]
    return names + ([path.stem for path in (config_dir / group).glob("*.yaml")] if config_dir else [])


def _axes(config: Mapping[str, Any], parsed: grammar.Words) -> list[Axis]:
    """The study's axes, those given as words in place of (or, with one value, instead of) its own."""
    given = {axis.path: axis for axis in parsed.axes}
    fixed = {override.get_key_element().lstrip("+~") for override in parsed.fixed}
    axes = config["axes"] or {}
    if not isinstance(axes, Mapping):
        raise BadInput(f"axes: expected settings with values, got {axes!r}.")
    own = [grammar.axis_of(str(path), text) for path, text in axes.items()]
    kept = [given.pop(axis.path, axis) for axis in own if axis.path not in fixed]
    return [*kept, *given.values()]


def _readable(error: Exception, words: Sequence[str], config_dir: Path | None) -> BadInput:
    """Hydra's and OmegaConf's errors in one line, with the nearest name."""
    lines = [line for cause in _chain(error) for line in str(cause).strip().splitlines()[:1]]
    text = " ".join(dict.fromkeys(lines))
    for word in words:
        key, _, value = word.lstrip("+~").partition("=")
        if f"'{key}/{value}'" in text:
            return unknown(key, value, options(key, config_dir))
        if f"'{key}'" in text and "Could not override" in text:
            groups = [word for word in words if word.partition("=")[0] in _group_names()]
            return _no_such_setting(key, _compose(groups, config_dir))
    where = next((path for cause in _chain(error) if (path := getattr(cause, "full_key", None))), None)
    return BadInput(f"{where}: {text}." if where else text)


def _no_such_setting(path: str, config: Mapping[str, Any]) -> BadInput:
    """Error for a path that the chosen groups do not have: names what its deepest existing group offers."""
    node, at, rest = config, "", path
    while isinstance(node.get(rest.partition(".")[0]), Mapping) and "." in rest:
        head, _, rest = rest.partition(".")
        node, at = node[head], f"{at}{head}."
    option = f" of {at}{node['name']}".replace(".", "=", 1) if at and "name" in node else ""
    names = [key for key in map(str, node) if not at or key != "name"]
    owners = _options_with(at[:-1], rest)
    near = nearest(rest.partition(".")[0], names).replace("'", f"'{at}", 1)
    hint = f"; it belongs to {', '.join(owners)}." if owners else near
    allowed = f"Allowed: {', '.join(at + n for n in names)}." if names else "It has no settings."
    return BadInput(f"{path}: no such setting{option}{hint} {allowed}")


def _options_with(group: str, key: str) -> list[str]:
    """Which options of the group have this setting, e.g. ["model=transformer"] for n_heads."""
    room = GROUPS.get(group)
    loaded = {name: plugins.load(room, name) for name in plugins.names(room)} if room else {}
    return [
        f"{group}={name}" for name, cls in loaded.items() if key in (path_name(f.name) for f in dataclasses.fields(cls))
    ]


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _group_names() -> tuple[str, ...]:
    return (*GROUPS, "regularization", "init", "noise", "engine", "cluster", "tracking", "storage", *CHOICES)


def _hydra_text(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _yaml(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _int(value: Any, path: str) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or int(value) != value:
        raise BadInput(f"{path}: expected a whole number, got {value!r}.")
    return int(value)
