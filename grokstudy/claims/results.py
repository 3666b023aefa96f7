"""Where a claim's rows are: in studies that were run here, or in those that are committed with the repository."""

from __future__ import annotations

import dataclasses
import importlib.resources
import re
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from grokstudy.claims.library import Claim
from grokstudy.phase.columns import columns_of
from grokstudy.spec.claim import COSTS
from grokstudy.spec.errors import BadInput
from grokstudy.spec.study import StudySpec
from grokstudy.store.copy import copy_rows
from grokstudy.store.folder import StudyFolder
from grokstudy.store.views import connect
from grokstudy.study.document import FILE, check_same_study, stored_spec, without_places

COMMITTED = "docs/claims"
CURVES = ("trial_id", "step", "train_acc", "test_acc")
"""Columns of curves that are committed: enough to read times and outcomes under any threshold."""


def committed_root() -> Path | None:
    """`docs/claims` of the repository that this package is installed from; None from a wheel."""
    root = Path(str(importlib.resources.files("grokstudy.conf"))).resolve().parent / COMMITTED
    return root if root.is_dir() else None


def here(claim: Claim, root: str) -> dict[str, StudyFolder] | None:
    """The claim's studies under a storage root, by arm; None unless each has trials."""
    return None if unrun(claim, root) else _folders(claim, root)


def unrun(claim: Claim, root: str) -> list[str]:
    """Arms of a claim without a trial under a storage root."""
    return [arm for arm, folder in _folders(claim, root).items() if not folder.parts("trials")]


def found(claim: Claim, root: str, committed: Path | None) -> dict[str, StudyFolder]:
    """The claim's studies: run here, else committed.

    Raises:
        BadInput: neither.
    """
    folders = here(claim, root) or (None if committed is None else here(claim, str(committed)))
    if folders is None:
        raise BadInput(
            f"claim: {claim.name} has not been run, neither under {root} nor for the repository; "
            f"`grokstudy claim run {claim.name}` runs it ({COSTS[claim.record.cost]})."
        )
    return folders


def check_current(claim: Claim, studies: Mapping[str, StudySpec], folders: Mapping[str, StudyFolder]) -> None:
    """Accepts rows of the studies that the claim describes today; a preset may have changed since they were run.

    Args:
        claim: whose rows they are.
        studies: as composed today, by arm.
        folders: with the rows, by arm.

    Raises:
        BadInput: rows are of another study.
    """
    for arm, folder in folders.items():
        stored = stored_spec(folder)
        try:
            if stored is None:
                raise BadInput(f"{FILE}: there is none.")
            check_same_study(stored, studies[arm])
        except BadInput as error:
            raise BadInput(
                f"claim: {folder.where('')} does not hold the study that {claim.name} describes today, so it says "
                f"nothing about it. Run the claim again: `grokstudy claim run {claim.name} storage.root=DIR` in a new "
                f"folder, which --storage DIR then reads. The difference: {error}"
            ) from error


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What was written of a claim, all arms."""

    trials: int
    size: int
    """Bytes."""


def keep(claims: Sequence[Claim], folders: Mapping[str, StudyFolder], root: Path, *, fewer: bool = False) -> Kept:
    """Writes what is needed to judge claims under other thresholds: trials, accuracies, measures.

    What was kept of an earlier run is replaced once everything is copied.

    Args:
        claims: all that these studies are judged for: several may share one.
        folders: the studies, by arm.
        root: of the committed results.
        fewer: whether they may be fewer trials, or shorter ones, than are kept already.

    Raises:
        BadInput: they are the studies themselves, or show less than what is kept already.
        DamagedFile: a file of them cannot be read. What was kept stays.
    """
    for source in folders.values():
        target = StudyFolder.open(str(root), source.name)
        if target.where("") == source.where(""):
            raise BadInput(f"--results: {root} holds the studies that were run; what is kept would replace them.")
        if not fewer:
            _refuse_fewer(source, target)
    root = root.expanduser().absolute()  # as a storage root is read
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".keep-", dir=root) as beside:
        new, old = Path(beside, "new"), Path(beside, "old")
        old.mkdir()
        copies = [StudyFolder.open(str(new), source.name) for source in folders.values()]
        trials = sum(_copy(claims, *pair) for pair in zip(folders.values(), copies, strict=True))
        size = sum(copy.size() for copy in copies)
        for copy in copies:
            if (root / copy.name).exists():
                (root / copy.name).rename(old / copy.name)
            (new / copy.name).rename(root / copy.name)
    return Kept(trials=trials, size=size)


def _copy(claims: Sequence[Claim], source: StudyFolder, target: StudyFolder) -> int:
    """Writes what is kept of one study; its trials."""
    with connect([source]) as connection:
        ids = [row[0] for row in connection.execute("SELECT trial_id FROM trials").fetchall()]
        columns = columns_of(connection, "curves")
    copy_rows(source, target, "trials", ids)
    copy_rows(source, target, "curves", ids, columns=(*CURVES, *_asked(claims, columns)))
    if source.parts("measures"):
        copy_rows(source, target, "measures", ids)
    target.put_text(FILE, without_places(source, FILE))
    return len(ids)


def _refuse_fewer(source: StudyFolder, target: StudyFolder) -> None:
    """Raises BadInput if what is kept already shows more: a first look at a claim shall not replace its results."""
    before, now = _extent(target), _extent(source)
    if any(there > here for there, here in zip(before, now, strict=True)):
        raise BadInput(
            f"claim: {source.where('')} has trials={now[0]}, budget={now[1]}, but kept in {target.where('')} are "
            f"trials={before[0]}, budget={before[1]} already. Run the claim without words that make it smaller, or let "
            "--fewer replace them."
        )


def _extent(folder: StudyFolder) -> tuple[int, int]:
    """Trials of a study, and its budget."""
    spec = stored_spec(folder)
    with connect([folder]) as connection:
        trials = connection.execute("SELECT count(*) FROM trials").fetchall()[0][0]
    return int(trials), 0 if spec is None else spec.budget


def _folders(claim: Claim, root: str) -> dict[str, StudyFolder]:
    return {arm: StudyFolder.open(root, study) for arm, study in claim.arms.items()}


def _asked(claims: Sequence[Claim], columns: Sequence[str]) -> list[str]:
    """Columns of curves that the questions of claims name."""
    texts = [check.sql for claim in claims for check in claim.record.checks]
    texts += [claim.record.figure.sql for claim in claims if claim.record.figure is not None]
    return [name for name in columns if any(re.search(rf"\b{name}\b", text) for text in texts)]
