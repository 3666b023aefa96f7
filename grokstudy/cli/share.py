"""Verbs that make folders of studies: share, merge."""

from __future__ import annotations

from typing import Annotated

import typer

from grokstudy.cli.read import Storage, StudyName
from grokstudy.cli.show import Format, check_document, out, print_json, size

Output = Annotated[Format, typer.Option("--format", help="table, or json: one document on stdout")]


def add_to(app: typer.Typer) -> None:
    """Registers the verbs."""
    app.command()(share)
    app.command()(merge)


def share(
    study: StudyName,
    to: Annotated[str, typer.Option("--to", help="directory or s3:// address that gets the folder STUDY")],
    checkpoints: Annotated[
        str, typer.Option("--checkpoints", help="none, final (start, last generalised, end) or all")
    ] = "final",
    format: Output = Format.table,
    storage: Storage = None,
) -> None:
    """A copy of a study to hand on: compacted, with its report and a README, without snapshots and local paths.

    Example: grokstudy share demo --to handout ; then grokstudy trials demo --storage handout
    """
    from grokstudy.study.api import open
    from grokstudy.study.share import share_study

    check_document(format)
    done = share_study(open(study, storage).folder, to, checkpoints)
    where, root = done.folder.where("")[:-1], done.folder.storage.uri
    if format is Format.json:
        print_json({"folder": where, "trials": done.trials, "checkpoints": done.checkpoints, "bytes": done.size})
        return
    out.print(f"{where}: {done.trials:,} trials, {done.checkpoints:,} checkpoints, {size(done.size)}.", markup=False)
    out.print(f'  open   gs.open("{done.folder.name}", "{root}")', markup=False)
    out.print(f"  ask    grokstudy trials {done.folder.name} --storage {root}", markup=False)


def merge(
    a: Annotated[str, typer.Argument(help="a study, or path of its folder", metavar="A")],
    b: Annotated[str, typer.Argument(help="the study to unite it with", metavar="B")],
    name: Annotated[str | None, typer.Option("--name", help="name of the new study; default A-B")] = None,
    format: Output = Format.table,
    storage: Storage = None,
) -> None:
    """Unites two studies in a new one: every trial once, with its curves, measures and checkpoints; A and B stay.

    Example: grokstudy merge monday tuesday --name week
    """
    from grokstudy.study.api import open, storage_root
    from grokstudy.study.merge import merge_studies

    check_document(format)
    one, other = open(a, storage).folder, open(b, storage).folder
    done = merge_studies(one, other, storage_root(storage), name or f"{one.name}-{other.name}")
    where = done.folder.where("")[:-1]
    if format is Format.json:
        print_json({"study": done.folder.name, "folder": where, "trials": done.trials, "shared": done.shared})
        return
    both = f", {done.shared:,} of them in both" if done.shared else ""
    out.print(f"{done.folder.name}: {done.trials:,} trials{both}. {where}", markup=False)
