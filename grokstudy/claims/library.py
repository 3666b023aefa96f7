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
from grokstudy.spec.compose import check_folder, compose_study, yaml_names
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
    """Of all claims.

    Raises:
        BadInput: there is no such folder of the user's own.
    """
    check_folder("--config-dir", config_dir)
    return sorted(set(yaml_names(f"study/{GROUP}", config_dir)))


def load(name: str, config_dir: Path | None = None) -> Claim:
    """A claim by name.

    Raises:
        BadInput: no such claim, a file that cannot be read, or one without a record that can be judged.
    """
    known = names(config_dir)
    if name not in known:
        raise unknown("claim", name, known, "See `grokstudy claim list`.")
    config = _read((name,), known, config_dir)
    if config["claim"] is None:
        raise BadInput(f"claim: {name}.yaml has no record `claim` of what was published.")
    record = decode(ClaimRecord, config["claim"], f"{name}.claim")
    return Claim(name=name, study=str(config.get("name") or name), record=record, config_dir=config_dir)


def every(config_dir: Path | None = None) -> list[Claim]:
    """All claims in the order of their numbers.

    Raises:
        BadInput: one of them cannot be used.
    """
    return sorted((load(name, config_dir) for name in names(config_dir)), key=_order)


def _read(via: tuple[str, ...], known: Sequence[str], config_dir: Path | None) -> dict[str, Any]:
    """Name and record as the file says, over those of the claim whose trials it shares (`defaults: [claims/OTHER]`).

    Neither holds anything that Hydra would resolve, and forty compositions take ten seconds.

    Args:
        via: the claim, and before it those whose defaults led here.
        known: all claims.
        config_dir: the user's own folder.

    Raises:
        BadInput: the file cannot be read, or a key of it cannot be used.
    """
    name = via[-1]
    own = _document(name, config_dir)
    found: dict[str, Any] = {"name": None, "claim": {}}
    for entry in _of_type(own, "defaults", list, name) or ():
        if isinstance(entry, str) and entry.startswith(f"{GROUP}/"):
            other = entry.removeprefix(f"{GROUP}/")
            if other not in known:
                raise unknown(f"defaults of {name}.yaml", entry, [f"{GROUP}/{one}" for one in known])
            if other in via:
                raise BadInput(
                    f"defaults of {name}.yaml: got {entry}, which includes itself ({' -> '.join((*via, other))}); "
                    "name another claim, or leave it out."
                )
            base = _read((*via, other), known, config_dir)
            found = {"name": base["name"] or other, "claim": base["claim"]}
    record = {**(found["claim"] or {}), **(_of_type(own, "claim", dict, name) or {})}
    return {"name": own.get("name") or found["name"], "claim": record or None}


def _document(name: str, config_dir: Path | None) -> dict[str, Any]:
    """What the file of a claim holds.

    Raises:
        BadInput: it is no YAML, or holds no settings by name.
    """
    path = next(p for folder in _folders(config_dir) if (p := folder / f"{name}.yaml").is_file())
    try:
        own = bounded_yaml.load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        reason = str(error).partition("\n")[0]
        raise BadInput(f"claim: {name}.yaml cannot be read ({reason}).") from error
    if not isinstance(own, dict):
        what = "nothing" if own is None else f"a {type(own).__name__}"
        raise BadInput(
            f"claim: {name}.yaml holds {what}, must hold settings by name, `claim` among them (docs/claims.md)."
        )
    return own


def _of_type(own: Mapping[str, Any], key: str, kind: type, name: str) -> Any:
    """The value of a key, None if it is not given.

    Raises:
        BadInput: it is of another kind.
    """
    value = own.get(key)
    if value is not None and not isinstance(value, kind):
        expected = "a list, e.g. [claims/parity]" if kind is list else "a record: settings by name"
        raise BadInput(f"{key} of {name}.yaml: got {value!r:.60}, must be {expected}.")
    return value


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
