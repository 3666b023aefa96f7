"""The verb `progress`: what measures say before the test accuracy does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from grokstudy.cli.read import Storage, StudyName
from grokstudy.cli.show import Format, check_picture, err, out, print_rows
from grokstudy.spec.errors import BadInput


def add_to(app: typer.Typer) -> None:
    """Registers the verb."""
    app.command()(progress)


def progress(
    study: StudyName,
    trial: Annotated[
        str | None, typer.Option("--trial", help="beginning of a trial's id; none = a typical one")
    ] = None,
    at: Annotated[
        int | None, typer.Option("--at", help="step: how measures there rank the trials by their later t_gen")
    ] = None,
    target: Annotated[Path | None, typer.Option("--out", help="picture of one trial: .png .svg .pdf .html")] = None,
    format: Annotated[Format, typer.Option("--format", help="what is printed without --out")] = Format.table,
    storage: Storage = None,
) -> None:
    """Hidden progress: curves beside circuit measures of one trial, or which measures foretell t_gen.

    Examples: grokstudy progress mine --out progress.png ; grokstudy progress mine --at 300
    """
    from grokstudy.phase.progress import foretelling, trial_progress
    from grokstudy.store.views import connect
    from grokstudy.study.api import open

    if at is not None and (target is not None or trial is not None):
        raise BadInput("--at: looks at all trials; give it without --trial and --out.")
    if target is not None:
        from grokstudy.phase.export import PICTURES

        check_picture(target, PICTURES)
    found = open(study, storage)
    with connect([found.folder]) as connection:
        if connection.execute("SELECT 1 FROM measures_long LIMIT 1").fetchone() is None:
            raise BadInput(
                f"{found.name}: nothing was measured yet; run `grokstudy measure {found.name} --checkpoints all` first."
            )
        if at is not None:
            print_rows(foretelling(connection, at), format, None)
            return
        seen = trial_progress(connection, trial)
    if target is not None:
        from grokstudy.phase.circuit_figures_plotly import figure
        from grokstudy.phase.circuit_figures_steps import progress as picture

        figure(picture(seen, None, f"{found.name} {seen.trial_id[:8]}: progress measures")).save(target)
        out.print(str(target), markup=False)
        return
    wanted = ("step", "ce_train", "ce_test", "restricted_loss.all", "excluded_loss.train", "fve", "gini_W_E")
    table = seen.measures
    if format is Format.table:
        shown = table[[name for name in wanted if name in table]]
        table = shown.rename(columns={name: name.partition(".")[0] for name in shown})  # a terminal is narrow
    print_rows(table, format, None, most=None)
    if format is Format.table:
        err.print(f"trial {seen.trial_id}; a picture: --out progress.png; which measure foretells t_gen: --at STEP.")
