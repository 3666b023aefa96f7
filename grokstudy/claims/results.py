"""Where a claim's rows are: in studies that were run here, or in those that are committed with the repository."""

from __future__ import annotations

import importlib.resources
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from grokstudy.claims.library import Claim
from grokstudy.phase.columns import columns_of
from grokstudy.spec.claim import COSTS
from grokstudy.spec.errors import BadInput
from grokstudy.store.copy import copy_rows
from grokstudy.store.folder import StudyFolder
from grokstudy.store.views import connect
from grokstudy.study.document import FILE, without_places

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


def keep(claims: Sequence[Claim], folders: Mapping[str, StudyFolder], root: Path) -> int:
    """Writes what is needed to judge claims under other thresholds: trials, accuracies, measures. Returns its bytes.

    What was kept of an earlier run is replaced.

    Args:
        claims: all that these studies are judged for: several may share one.
        folders: the studies, by arm.
        root: of the committed results.

    Raises:
        BadInput: they are the studies themselves.
    """
    size = 0
    for source in folders.values():
        target = StudyFolder.open(str(root), source.name)
        if target.where("") == source.where(""):
            raise BadInput(f"--results: {root} holds the studies that were run; what is kept would replace them.")
        target.delete(target.names(""))
        with connect([source]) as connection:
            ids = [row[0] for row in connection.execute("SELECT trial_id FROM trials").fetchall()]
            columns = columns_of(connection, "curves")
        copy_rows(source, target, "trials", ids)
        copy_rows(source, target, "curves", ids, columns=(*CURVES, *_asked(claims, columns)))
        if source.parts("measures"):
            copy_rows(source, target, "measures", ids)
        target.put_text(FILE, without_places(source, FILE))
        size += target.size()
    return size


def _folders(claim: Claim, root: str) -> dict[str, StudyFolder]:
    return {arm: StudyFolder.open(root, study) for arm, study in claim.arms.items()}


def _asked(claims: Sequence[Claim], columns: Sequence[str]) -> list[str]:
    """Columns of curves that the questions of claims name."""
    texts = [check.sql for claim in claims for check in claim.record.checks]
    texts += [claim.record.figure.sql for claim in claims if claim.record.figure is not None]
    return [name for name in columns if any(re.search(rf"\b{name}\b", text) for text in texts)]
