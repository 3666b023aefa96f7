"""What each file of a study folder is, by its name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

from grokstudy.store.disk import UNFINISHED
from grokstudy.store.folder import StudyFolder
from grokstudy.store.parts import PREFIXES, Kind

Other = Literal["weights", "snapshot", "settings", "ending", "gone", "report", "working", "quarantine", "unknown"]
FileKind = Kind | Other
"""Parts by their kind (those of checkpoints are the index of the weights), and what is no part."""
PARTS: tuple[Kind, ...] = tuple(PREFIXES)
SETTINGS = "study.yaml"
ATTEMPTS = "attempts/"
ENDING = "proposals/end.json"
"""Why an adaptive sampler asked for no more."""
GONE = "checkpoints/removed.json"
"""Which checkpoints were deleted on purpose."""
COPY = "README.md"
"""Only in a folder that `share` wrote: it may hold a choice of the weights, or none."""
QUARANTINE = "quarantine/"
WORKING = re.compile(r"(lock|takeover-.*|progress)\.json")
"""What a process that works on the study keeps there meanwhile."""
_WEIGHTS = re.compile(r"checkpoints/[^/]+/.+\.safetensors")
_SNAPSHOT = re.compile(r"snapshots/[^/]+\.safetensors")


def kind_of(name: str) -> FileKind:
    """What a file is, from its name relative to the study folder."""
    for kind, prefix in PREFIXES.items():
        if name.startswith(prefix) and name.endswith(".parquet") and "/" not in name.removeprefix(prefix):
            return kind
    if name == SETTINGS or (name.startswith(ATTEMPTS) and name.endswith(".yaml")):
        return "settings"
    if name in (ENDING, GONE):
        return "ending" if name == ENDING else "gone"
    if name.startswith("report/") or name == COPY:
        return "report"
    if name.startswith(QUARANTINE):
        return "quarantine"
    if _WEIGHTS.fullmatch(name):
        return "weights"
    if _SNAPSHOT.fullmatch(name):
        return "snapshot"
    return "working" if WORKING.fullmatch(name) else "unknown"


def by_kind(names: Iterable[str]) -> Mapping[FileKind, tuple[str, ...]]:
    """Sorted names by what they are; kinds without a file are not in it."""
    found: dict[FileKind, list[str]] = {}
    for name in sorted(names):
        found.setdefault(kind_of(name), []).append(name)
    return {kind: tuple(some) for kind, some in found.items()}


def unfinished(folder: StudyFolder) -> list[str]:
    """Names of files that were begun and never became whole, which no listing shows; only a disk has such."""
    top = folder.storage.local_path(folder.key(SETTINGS))
    if top is None:
        return []
    paths: Iterable[Path] = top.parent.rglob(f".*{UNFINISHED}")
    return sorted(path.relative_to(top.parent).as_posix() for path in paths)
