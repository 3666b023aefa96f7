"""A study whose files are damaged in every way, and what a check, a repair and the next run make of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import TypeVar

import pytest

from grokstudy.spec.compose import compose_study
from grokstudy.store.contents import QUARANTINE, kind_of
from grokstudy.store.folder import StudyFolder
from grokstudy.store.lock import study_lock
from grokstudy.study import run
from grokstudy.study.board import Board
from grokstudy.study.run import StudyResult, run_study
from grokstudy.study.store_check import Checked, check_study
from grokstudy.study.store_repair import repair_study

from .conftest import SMALL

Result = TypeVar("Result")
FIXED = ["task.frac_train=0.7", "budget=300", "measures.names=[cross_entropy,fourier_losses]"]
ATTEMPTS = (["regularization.weight_decay=3"], ["regularization.weight_decay=1,3", "seed=seeds(2)"])
"""Two packs, two attempts and several parts of every kind; two of the four trials pass a transition."""


def train(root: str) -> StudyResult:
    """What `grokstudy run` of the study does, in this process."""
    for words in ATTEMPTS if StudyFolder.open(root, "s").get_text("study.yaml") is None else ATTEMPTS[-1:]:
        spec = compose_study([*SMALL, f"storage.root={root}", *FIXED, *words], name="s")
        result = run_study(spec, Board(study="s"))
    return result


def trained(root: Path) -> Path:
    """The folder of the study, run under an empty root without its report, which takes most of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "_report", lambda *_, **__: [])
        train(str(root))
    return root / "s"


def result_of(steps: Generator[object, None, Result]) -> Result:
    """What a generator returns."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: Result = end.value
            return found


def checked(folder: StudyFolder) -> Checked:
    return result_of(check_study(folder))


def repaired(folder: StudyFolder) -> list[str]:
    """Names of the files that `check --repair` moved aside."""
    with study_lock(folder):
        return repair_study(checked(folder))


def files(folder: StudyFolder, kind: str) -> list[str]:
    """Files that can be damaged, by what they are."""
    return [name for name in folder.names("") if kind_of(name) == kind]


def copied(study: Path, root: Path) -> StudyFolder:
    """A study to damage."""
    shutil.copytree(study, root / "s")
    return StudyFolder.open(str(root), "s")


def flipped(data: bytes, at: float = 0.5) -> bytes:
    place = int(at * (len(data) - 1))
    return data[:place] + bytes([data[place] ^ 0x10]) + data[place + 1 :]


DAMAGES: Mapping[str, Callable[[bytes], bytes | None]] = {
    "truncated": lambda data: data[: 2 * len(data) // 3],
    "emptied": lambda data: b"",
    "zeroed": lambda data: bytes(len(data)),
    "flipped": flipped,
    "deleted": lambda data: None,
}


def damage(folder: StudyFolder, name: str, how: Callable[[bytes], bytes | None]) -> bytes | None:
    """Damages a file; what is left of it."""
    data = folder.get_bytes(name)
    assert data is not None
    left = how(data)
    assert left != data
    if left is None:
        folder.delete([name])
    else:
        folder.put_bytes(name, left)
    return left


def quarantined(folder: StudyFolder) -> dict[str, bytes]:
    """What was moved aside, by the name that it had."""
    kept = {}
    for name in folder.names(QUARANTINE.rstrip("/")):
        if not name.endswith(".txt"):
            assert (folder.get_text(f"{name}.txt") or "").startswith(folder.where(name.split("/", 2)[2]))
            kept[name.split("/", 2)[2]] = folder.get_bytes(name) or b""
    return kept
