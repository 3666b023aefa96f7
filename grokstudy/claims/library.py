"""Which claims there are: `conf/study/claims/*.yaml`, each a study with a record of what was published."""

from __future__ import annotations

import dataclasses
import importlib.resources
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml

from grokstudy.spec import bounded_yaml
from grokstudy.spec.axes import Point
from grokstudy.spec.claim import MAIN, ClaimRecord
from grokstudy.spec.compose import compose_study, yaml_names
from grokstudy.spec.decode import decode
from grokstudy.spec.errors import BadInput, unknown
from grokstudy.spec.study import StudySpec

GROUP = "claims"
"""Folder of the config group `study`."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Claim:
    """A claim as its file says. Its studies are composed when they are asked for: that takes longer than judging."""

    name: str
    study: str
    """Name of the main study, which several claims may share."""
    record: ClaimRecord
    config_dir: Path | None = None

    @property
    def arms(self) -> dict[str, str]:
        """Names of its studies by arm; the main one first."""
        return {MAIN: self.study} | {arm.name: f"{self.study}-{arm.name}" for arm in self.record.arms}

    def composed(self, words: Sequence[str] = ()) -> dict[str, StudySpec]:
        """Its studies by arm, with overrides that hold for all of them.

        Raises:
            BadInput: a setting that cannot be used.
        """
        given = {_key(word) for word in words}
        own = {arm.name: [word for word in arm.words if _key(word) not in given] for arm in self.record.arms}
        chosen = f"study={GROUP}/{self.name}"
        return {
            arm: compose_study([chosen, *own.get(arm, ()), *words], name=study, config_dir=self.config_dir)
            for arm, study in self.arms.items()
        }


def planned(studies: Mapping[str, StudySpec]) -> int:
    """Trials of all arms."""
    return sum(len(_points(spec)) for spec in studies.values())


def updates(studies: Mapping[str, StudySpec]) -> int:
    """Member updates of all arms, to their budgets."""
    return sum(len(_points(spec)) * spec.budget for spec in studies.values())


def names(config_dir: Path | None = None) -> list[str]:
    """Of all claims."""
    return sorted(set(yaml_names(f"study/{GROUP}", config_dir)))


def load(name: str, config_dir: Path | None = None) -> Claim:
    """A claim by name.

    Raises:
        BadInput: no such claim, or one without a record that can be judged.
    """
    known = names(config_dir)
    if name not in known:
        raise unknown("claim", name, known, "See `grokstudy claim list`.")
    config = _read(name, config_dir)
    if not isinstance(config.get("claim"), Mapping):
        raise BadInput(f"claim: {name}.yaml has no record `claim` of what was published.")
    record = decode(ClaimRecord, config["claim"], f"{name}.claim")
    return Claim(name=name, study=str(config.get("name") or name), record=record, config_dir=config_dir)


def every(config_dir: Path | None = None) -> list[Claim]:
    """All claims in the order of their numbers."""
    return sorted((load(name, config_dir) for name in names(config_dir)), key=_order)


def _read(name: str, config_dir: Path | None) -> dict[str, Any]:
    """Name and record as the file says, over those of the claim whose trials it shares (`defaults: [claims/OTHER]`).

    Neither holds anything that Hydra would resolve, and forty compositions take ten seconds.
    """
    path = next(p for folder in _folders(config_dir) if (p := folder / f"{name}.yaml").is_file())
    try:
        own = bounded_yaml.load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = str(error).partition("\n")[0]
        raise BadInput(f"claim: {name}.yaml cannot be read ({reason}).") from error
    found: dict[str, Any] = {"name": None, "claim": {}}
    for entry in own.get("defaults") or ():
        if isinstance(entry, str) and entry.startswith(f"{GROUP}/"):
            other = entry.removeprefix(f"{GROUP}/")
            base = _read(other, config_dir)
            found = {"name": base["name"] or other, "claim": base["claim"]}
    if own.get("name"):
        found["name"] = own["name"]
    return {"name": found["name"], "claim": {**(found["claim"] or {}), **(own.get("claim") or {})} or None}


def _folders(config_dir: Path | None) -> Iterator[Traversable]:
    """The user's own first."""
    if config_dir is not None and (config_dir / "study" / GROUP).is_dir():
        yield config_dir / "study" / GROUP
    yield importlib.resources.files("grokstudy.conf") / "study" / GROUP


def _key(word: str) -> str:
    """What an override sets: a word of the command line takes the place of an arm's own."""
    return word.lstrip("+~").partition("=")[0]


def _points(spec: StudySpec) -> Sequence[Point]:
    return spec.sampler.propose(spec.axes, 0, ()) or ()


def _order(claim: Claim) -> tuple[int, str, str]:
    digits = "".join(letter for letter in claim.record.number if letter.isdigit())
    return int(digits or 0), claim.record.number, claim.name
