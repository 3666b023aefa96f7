"""Writes docs/config.md: every dotted key of a study's config, read from the dataclasses and from conf/."""

from __future__ import annotations

import dataclasses
import inspect
import re
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from grokstudy.spec import plugins
from grokstudy.spec.compose import compose_study, options
from grokstudy.spec.fields import ALWAYS, path_name
from grokstudy.spec.identity import Leaf, leaves
from grokstudy.spec.rooms import GROUPS
from grokstudy.spec.settings import (
    CheckpointSettings,
    ClusterSettings,
    EngineSettings,
    StorageSettings,
    TrackingSettings,
)
from grokstudy.spec.study import MeasureSettings
from grokstudy.spec.trial import Init, Noise, Numerics, Seeds, TrialSpec

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "docs/config.md"
RECORDS: Mapping[str, type] = {
    "checkpoint": CheckpointSettings,
    "cluster": ClusterSettings,
    "engine": EngineSettings,
    "measures": MeasureSettings,
    "storage": StorageSettings,
    "tracking": TrackingSettings,
}
"""Groups of settings that say how a study is run; none of them changes a trial's identity."""
HEAD = """# Every setting

Made by `make docs` from the dataclasses and `conf/`; do not edit. A setting is given on the command line as a word
(`optimizer.lr=0.01`), with several values as an axis (`'optimizer.lr=log(1e-4,1e-2,5)'`), or in a study's YAML.

- **default**: the value when the option is chosen and nothing else is said; presets and studies set their own.
- **id**: whether the setting is part of `trial_id`. `always`: it is. A value: it is unless it has this *neutral* value,
  which is what the code did before the setting existed. `no`: it never is, it does not say what a trial is.
- **pack**: whether trials that differ in it (`any`) can be stepped together, as long as their train rows fill the same
  multiple of 64 and the same regularization terms are at work. Only a question of speed.
"""
COLUMNS = ("key", "type", "default", "id", "pack", "meaning")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One setting."""

    key: str
    type: str
    default: object
    leaf: Leaf | None
    """Its part in a trial's identity; None if it has none."""
    meaning: str

    def cells(self) -> tuple[str, ...]:
        identity, pack = "no", ""
        if self.leaf is not None:
            identity = "always" if self.leaf.neutral is ALWAYS else _code(self.leaf.neutral)
            pack = "any" if self.leaf.per_member else "equal"
        return f"`{self.key}`", self.type.replace("|", "\\|"), _code(self.default), identity, pack, self.meaning


def main() -> None:
    TARGET.write_text(config_table())


def config_table() -> str:
    """The page as Markdown."""
    plain = compose_study([])
    trial = leaves(plain.trial({}))
    sections = [
        HEAD,
        _section("Groups", _groups(), ("group", "options", "default")),
        _section("The study", _top_level()),
        _section("Seeds", _seeds(trial)),
    ]
    for group, room in GROUPS.items():
        for option in plugins.names(room):
            sections.append(_section(f"{group}={option}", _plugin(group, option)))
    sections.append(_section("regularization", _regularization()))
    for group, kind in {"init": Init, "noise": Noise}.items():
        sections.append(_section(group, _fields(group, kind, _defaults(kind), in_id=True)))
    numerics = _fields("engine", Numerics, plain.base["engine"], in_id=True)
    sections.append(_section("engine (part of a trial)", numerics))
    for group, record in RECORDS.items():
        sections.append(_section(group, _fields(group, record, _defaults(record), in_id=False)))
    sections.append(_section("Presets and studies", _choices(), ("word", "what it is", "source")))
    return "\n".join(sections)


def _section(title: str, rows: Sequence[Row | tuple[str, ...]], columns: Sequence[str] = COLUMNS) -> str:
    if not rows:
        return f"## {title}\n\nNo settings.\n"
    lines = [columns, ("---",) * len(columns), *(row.cells() if isinstance(row, Row) else row for row in rows)]
    return f"## {title}\n\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines) + "\n"


def _top_level() -> list[Row]:
    """Settings that conf/config.yaml itself declares; its comments are their meanings."""
    hints = typing.get_type_hints(TrialSpec) | {"name": str | None, "budget": int, "axes": dict, "source": str}
    spec = compose_study(["name=study"])
    known = leaves(spec.trial({}))
    rows = []
    for line in (ROOT / "conf/config.yaml").read_text().splitlines():
        match = re.fullmatch(r"(\w+): *(.*?) *# (.*)", line)
        if match is not None and match[1] in hints:
            key, default, meaning = match.groups()
            rows.append(
                Row(
                    key=key,
                    type=_type(hints[key]),
                    default=default,
                    leaf=None if key == "seed" else known.get(key),
                    meaning=meaning,
                )
            )
    return rows


def _seeds(known: Mapping[str, Leaf]) -> list[Row]:
    return [
        Row(
            key=f"seeds.{field.name}",
            type="int | null",
            default=None,
            leaf=dataclasses.replace(known[f"seeds.{field.name}"], per_member=True),
            meaning=f"{field.metadata['help']}; null = `seed`",
        )
        for field in dataclasses.fields(Seeds)
    ]


def _plugin(group: str, option: str) -> list[Row]:
    """Settings of one plug-in with the defaults that its config option gives."""
    kind = plugins.load(GROUPS[group], option)
    path = ROOT / f"conf/{group}/{option}.yaml"
    given = yaml.safe_load(path.read_text()) if path.exists() else {}
    return _fields(group, kind, {**_defaults(kind), **given}, in_id=group != "sampler")


def _regularization() -> list[Row]:
    known = leaves(compose_study(["regularization=none"]).trial({}))
    return [
        Row(
            key=f"regularization.{term}",
            type="float",
            default=0.0,
            leaf=known[f"regularization.{term}"],
            meaning=_first_line(plugins.load("regularizers", term)),
        )
        for term in plugins.names("regularizers")
    ]


def _fields(group: str, record: type, values: Mapping[str, object], *, in_id: bool) -> list[Row]:
    hints = typing.get_type_hints(record)
    return [
        Row(
            key=f"{group}.{path_name(field.name)}",
            type=_type(hints[field.name]),
            default=values[path_name(field.name)],
            leaf=Leaf(None, field.metadata["neutral"], field.metadata["per_member"]) if in_id else None,
            meaning=field.metadata["help"],
        )
        for field in dataclasses.fields(record)
    ]


def _defaults(record: type) -> dict[str, object]:
    return {path_name(field.name): field.default for field in dataclasses.fields(record)}


def _groups() -> list[tuple[str, ...]]:
    """Config groups whose options a word such as `model=quad_mlp` chooses."""
    chosen = yaml.safe_load((ROOT / "conf/config.yaml").read_text())["defaults"]
    defaults = {group: option for entry in chosen if isinstance(entry, dict) for group, option in entry.items()}
    return [
        (f"`{group}`", ", ".join(f"`{option}`" for option in _options(group)), f"`{default}`")
        for group, default in defaults.items()
    ]


def _options(group: str) -> list[str]:
    return sorted({*options(group), *(path.stem for path in (ROOT / "conf" / group).glob("*.yaml"))})


def _choices() -> list[tuple[str, ...]]:
    """Presets and studies with the comment that opens their file."""
    rows: list[tuple[str, ...]] = []
    for group in ("preset", "study"):
        for option in options(group):
            text = (ROOT / f"conf/{group}/{option}.yaml").read_text()
            comments = [line.removeprefix("# ") for line in text.splitlines() if line.startswith("# ")]
            what = " ".join(line for line in comments if "@package" not in line)
            rows.append((f"`{group}={option}`", what, yaml.safe_load(text).get("source", "")))
    return rows


def _first_line(kind: type) -> str:
    return (inspect.getdoc(kind) or "").splitlines()[0]


def _type(hint: object) -> str:
    if typing.get_origin(hint) is typing.Literal:
        return ", ".join(str(value) for value in typing.get_args(hint))
    arguments = typing.get_args(hint)
    if type(None) in arguments:
        return " | ".join([*(_type(one) for one in arguments if one is not type(None)), "null"])
    if typing.get_origin(hint) is Mapping:
        return f"{_type(arguments[1])} by name"
    if typing.get_origin(hint) is tuple:
        inner = [_type(one) for one in arguments if one is not Ellipsis]
        return f"list of {inner[0]}" if Ellipsis in arguments else f"[{', '.join(inner)}]"
    return "axes" if hint is dict else getattr(hint, "__name__", str(hint))


def _code(value: object) -> str:
    if value is None:
        return "`null`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, (tuple, list)):
        return "`[" + ", ".join(_code(one).strip("`") for one in value) + "]`"
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


if __name__ == "__main__":
    main()
