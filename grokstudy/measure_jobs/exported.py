"""What an exported folder says of its network: three files that other code bases can read and that we read back."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from grokstudy.measure_jobs.layouts import LAYOUTS, Layout
from grokstudy.spec.errors import DamagedFile

WEIGHTS, CONFIG, SPLIT = "model.safetensors", "config.json", "split.json"
OURS = "grokstudy"
"""Key of config.json under which our own description stands; the keys beside it are TransformerLens's."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """The trial and step that an exported network is."""

    trial_id: str
    step: int
    layout: Layout
    trial: Mapping[str, Any]
    """Plain config that `decode_trial` reads."""
    reason: str | None
    """Why TransformerLens has no such model; None if the tensors have its layout."""


def config_json(exported: Exported, model: Mapping[str, object]) -> str:
    """config.json: the model in TransformerLens's words (empty if it has none), and our own description."""
    return json.dumps({**model, OURS: dataclasses.asdict(exported)}, indent=2) + "\n"


def exported_beside(file: Path) -> Exported | None:
    """What the config.json in a weights file's folder says, if `grokstudy export` wrote it.

    Raises:
        DamagedFile: it is ours and cannot be understood.
    """
    path = file.with_name(CONFIG)
    if not path.is_file():
        return None
    try:
        document = json.loads(path.read_text())
    except ValueError:
        return None  # another program's
    if not isinstance(document, dict) or OURS not in document:
        return None
    try:
        exported = Exported(**document[OURS])
    except TypeError as error:
        raise DamagedFile(f"--weights: '{path}' is not as `grokstudy export` writes it ({error}).") from error
    if exported.layout not in LAYOUTS or not isinstance(exported.trial, Mapping):
        raise DamagedFile(f"--weights: '{path}' is not as `grokstudy export` writes it; export the trial again.")
    return exported
