"""The verb `report`: everything about a study on one page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from grokstudy.cli.read import Storage, StudyName
from grokstudy.cli.show import out


def add_to(app: typer.Typer) -> None:
    """Registers the verb."""
    app.command()(report)


def report(
    study: StudyName,
    target: Annotated[
        Path | None,
        typer.Option("--out", help="file ending in .html or .md, or a directory for both; default STUDY-report.html"),
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="open the page in a browser")] = False,
    storage: Storage = None,
) -> None:
    """A report to read, print and mail: question, diagrams, statistics, example trials, circuits, commands, limits.

    Example: grokstudy report demo --out demo.html ; grokstudy report demo --out handout
    """
    from grokstudy.study.api import open
    from grokstudy.study.report import check_target, write_study_report

    folder = open(study, storage).folder
    path = write_study_report(folder, check_target(target or Path(f"{folder.name}-report.html")))
    out.print(str(path), markup=False)
    if show:
        import webbrowser

        webbrowser.open(path.resolve().as_uri())
