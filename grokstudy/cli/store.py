"""The verbs `store check`, `store compact` and `store gc`: the files of a study."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Annotated

import typer

from grokstudy.cli.live import Mode, Progress
from grokstudy.cli.read import Storage, StudyName
from grokstudy.cli.show import Format, check_document, out, print_json, size
from grokstudy.spec.errors import BadInput
from grokstudy.study.board import Board

if TYPE_CHECKING:
    from grokstudy.store.folder import StudyFolder
    from grokstudy.store.gc import Waste

NOT_WHOLE = 1
"""Exit code of a check that found damage."""
Output = Annotated[Format, typer.Option("--format", help="table, or json: one document on stdout")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="say what would be done, with sizes; change nothing")]

verbs = typer.Typer(name="store", help="The files of a study: check, compact, gc.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Registers the verbs."""
    app.add_typer(verbs)


@verbs.command()
def check(
    study: StudyName,
    repair: Annotated[
        bool, typer.Option("--repair", help="move what is damaged aside, so that the next run computes it again")
    ] = False,
    dry_run: DryRun = False,
    format: Output = Format.table,
    progress: Progress = Mode.auto,
    storage: Storage = None,
) -> None:
    """Reads every file of a study: what is damaged, what is lost, what brings it back. Exit code 1 if it is not whole.

    Examples: grokstudy store check mine ; grokstudy store check mine --repair
    """
    from grokstudy.cli.store_progress import watched
    from grokstudy.cli.store_words import document, lines
    from grokstudy.study.holding import held
    from grokstudy.study.store_check import check_study
    from grokstudy.study.store_repair import repair_study

    check_document(format)
    folder = _opened(study, storage)
    repairs = repair and not dry_run
    with held(folder, Board(study=folder.name)) if repairs else contextlib.nullcontext():
        checked = watched(folder.name, check_study(folder), progress, format)
        moved = repair_study(checked) if repairs else None
    if format is Format.json:
        print_json(document(checked, moved))
    else:
        for line in lines(checked, moved):
            out.print(line, markup=False)
    stays = bool(checked.settings_lost and checked.repair.settings_from is None)
    if not checked.is_whole and (moved is None or stays):
        raise typer.Exit(NOT_WHOLE)


@verbs.command()
def compact(study: StudyName, dry_run: DryRun = False, format: Output = Format.table, storage: Storage = None) -> None:
    """Makes the parts of trials, curves, measures and proposals one each, so that questions open few files.

    Example: grokstudy store compact mine
    """
    from grokstudy.store.compact import compact, parts_now
    from grokstudy.study.holding import held

    check_document(format)
    folder = _opened(study, storage)
    with contextlib.nullcontext() if dry_run else held(folder, Board(study=folder.name)):
        before = parts_now(folder)
        if not dry_run:
            compact(folder)
        after = before if dry_run else parts_now(folder)
    if format is Format.json:
        both = {"before": before, "after": after}
        parts = {word: [dataclasses.asdict(kind) for kind in kinds] for word, kinds in both.items()}
        print_json({"study": folder.name, "dry_run": dry_run, **parts})
        return
    for old, new in zip(before, after, strict=True):
        if old.damaged:
            told = f"{old.parts:,} parts stay: {old.damaged:,} damaged, see `grokstudy store check {folder.name}`"
        elif not old.is_due:
            told = f"{old.parts:,} part{'s' if old.parts != 1 else ''}, nothing to do"
        elif dry_run:
            told = f"{old.parts:,} parts, {size(old.size)}, would become one"
        else:
            told = f"{old.parts:,} parts, {size(old.size)} -> {new.parts:,}, {size(new.size)}"
        out.print(f"  {old.kind:10} {told}", markup=False)


@verbs.command()
def gc(
    study: Annotated[
        str | None,
        typer.Argument(help="a study, or path of its folder; none with --cache: all", metavar="STUDY"),
    ] = None,
    checkpoints: Annotated[
        str,
        typer.Option(
            "--checkpoints",
            help="which stay: all; scheduled (all but the dense windows); transition (start, t_mem to t_gen, last "
            "generalised, end); final (start, last generalised, end)",
        ),
    ] = "all",
    snapshots: Annotated[
        str,
        typer.Option(
            "--snapshots",
            help="which go: keep (none); superseded (no trial would go on from them); all (a larger budget then "
            "trains from step 0)",
        ),
    ] = "superseded",
    older_than: Annotated[
        float, typer.Option("--older-than", help="days that damaged files stay in quarantine")
    ] = 30.0,
    cache: Annotated[bool, typer.Option("--cache", help="delete this machine's copies of files in S3 too")] = False,
    dry_run: DryRun = False,
    format: Output = Format.table,
    storage: Storage = None,
) -> None:
    """Deletes what a study can do without: weights by policy, old states, what killed runs left, old quarantine.

    Examples: grokstudy store gc mine --checkpoints final --dry-run ; grokstudy store gc --cache --storage s3://lab/grok
    """
    from grokstudy.store.gc import cache_copies
    from grokstudy.store.storage import Storage as Root
    from grokstudy.study.api import storage_root
    from grokstudy.study.holding import held
    from grokstudy.study.store_gc import Policy, collect, planned_gc

    check_document(format)
    policy = Policy(checkpoints=checkpoints, snapshots=snapshots, older_than=older_than)
    waste: tuple[Waste, ...] = ()
    if study is None and not cache:
        raise BadInput("store gc: give a STUDY, or --cache for this machine's copies of all studies.")
    folder = None if study is None else _opened(study, storage)
    if folder is not None:
        with contextlib.nullcontext() if dry_run else held(folder, Board(study=folder.name)):
            waste = planned_gc(folder, policy) if dry_run else collect(folder, policy)
    if cache:
        root = Root.open(storage_root(storage)) if folder is None else folder.storage
        copies = cache_copies(root, None if folder is None else folder.name)
        if not dry_run:
            _forget(copies)
        waste = (*waste, copies)
    _print_waste(folder.name if folder else "cache", waste, format, dry_run=dry_run)


def _print_waste(name: str, waste: tuple[Waste, ...], form: Format, *, dry_run: bool) -> None:
    if form is Format.json:
        groups = [{"group": some.group, "files": len(some.names), "bytes": some.size} for some in waste]
        print_json({"study": name, "dry_run": dry_run, "deleted": groups, "names": [n for s in waste for n in s.names]})
        return
    total, files = sum(some.size for some in waste), sum(len(some.names) for some in waste)
    verb = "would delete" if dry_run else "deleted"
    out.print(f"{name}: {f'{verb} {files:,} files, {size(total)}' if files else 'nothing to delete'}.", markup=False)
    for some in waste:
        if some.names:
            out.print(f"  {some.group:13} {len(some.names):,} files, {size(some.size)}", markup=False)


def _forget(copies: Waste) -> None:
    from pathlib import Path

    for name in copies.names:
        Path(name).unlink(missing_ok=True)


def _opened(study: str, storage: str | None) -> StudyFolder:
    """The folder of a study; one whose study.yaml is gone counts as a study while its attempts are there."""
    from grokstudy.store.contents import ATTEMPTS
    from grokstudy.store.folder import StudyFolder
    from grokstudy.study.api import open, storage_root

    try:
        return open(study, storage).folder
    except BadInput:
        root, slash, name = study.rstrip("/").rpartition("/")
        folder = StudyFolder.open(root or "/" if slash and storage is None else storage_root(storage), name)
        if folder.names(ATTEMPTS.rstrip("/")):
            return folder
        raise
