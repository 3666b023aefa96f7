"""The verb `critical`: where along one setting trainings stop to memorise and to generalise."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Annotated

import typer

from grokstudy.cli.describe import describe
from grokstudy.cli.live import Mode, Progress, at, shown
from grokstudy.cli.read import Budget, Rule, Tau
from grokstudy.cli.run import (
    GOES_ON,
    INTERRUPTED,
    ConfigDir,
    Name,
    Output,
    Plugins,
    Steps,
    Words,
    composed,
    polite,
)
from grokstudy.cli.show import Format, check_document, err, out, print_json
from grokstudy.spec.errors import BadInput
from grokstudy.study.board import Board

if TYPE_CHECKING:
    from grokstudy.phase.critical import Critical, CriticalValue
    from grokstudy.study.run import StudyResult


def add_to(app: typer.Typer) -> None:
    """Registers the verb."""
    app.command()(critical)


def critical(
    param: Annotated[list[str], typer.Option("--param", help="setting to search along, e.g. noise.temperature")],
    words: Words = None,
    trials: Annotated[int, typer.Option("--trials", min=1, help="most trials to run")] = 60,
    band: Annotated[
        float, typer.Option("--band", help="stop when every interval is so narrow: half-width as a share of the axis")
    ] = 0.025,
    name: Name = None,
    steps: Steps = None,
    tau: Tau = 0.95,
    budget: Budget = None,
    rule: Rule = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print what would be searched and its cost")] = False,
    config_dir: ConfigDir = None,
    plugin: Plugins = None,
    format: Output = Format.table,
    progress: Progress = Mode.auto,
) -> None:
    """Searches the critical values of one setting: where half of all seeds still memorise (T_mem), generalise (T_gen).

    Trials are placed one after the other where they tell most, each with a seed of its own; run it again to go on.

    Example: grokstudy critical study=langevin --param noise.temperature
    """
    from grokstudy.study.critical import critical_of, critical_study, search_words
    from grokstudy.study.run import run_study

    check_document(format)
    with polite():
        base = composed(words and search_words(words), None, steps, config_dir, plugin)
        spec = critical_study(base, _one(param), trials=trials, band=band, name=name)
        if dry_run:
            describe(spec, False, format)
            return
        board = Board(study=spec.name)
        with shown(board, progress, format):
            result = run_study(spec, board)
    found = critical_of(result.folder, spec, tau=tau, budget=budget, rule=rule)
    if format is Format.json:
        print_json({"study": spec.name, **dataclasses.asdict(found)})
    else:
        _show(found, result)
    if result.stopped:
        raise typer.Exit(INTERRUPTED)


def _one(params: list[str]) -> str:
    """The one setting to search along."""
    if len(params) > 1:
        raise BadInput(
            f"--param: got {', '.join(params)}; a search goes along one setting. Run one for each, under different "
            "names; a boundary in several settings is `grokstudy run sampler=boundary`."
        )
    return params[0]


def _show(found: Critical, result: StudyResult) -> None:
    for value in found.values:
        out.print(_line(found, value), markup=False)
    for text in found.unseen:
        out.print(text, markup=False)
    out.print(
        f"  {found.trials} trials between {found.low:g} and {found.high:g}, T = {found.budget:,} steps, "
        f"accuracy >= {found.tau:g}; {found.confidence:.0%} intervals of where half of all seeds do.",
        markup=False,
    )
    for note in found.notes:
        err.print(f"  {note}", markup=False)
    if result.stopped:
        err.print(GOES_ON)
    root = result.folder.storage.uri
    out.print(f"  results  {root}/{result.folder.name}", markup=False)
    diagram = f"grokstudy phases {result.folder.name} --x {found.setting} --budget {found.budget}"
    diagram += f" --out critical.png{at(root)}"
    out.print(f"  diagram  {diagram}", markup=False)


def _line(found: Critical, value: CriticalValue) -> str:
    """T_gen = 0.0182 [0.0165, 0.0199]: half of the seeds generalise below it."""
    low = "<" if value.open_low else ""
    high = ">" if value.open_high else ""
    what = "generalise" if value.event == "t_gen" else "memorise"
    return (
        f"{value.name} = {value.value:.3g} [{low}{value.low:.3g}, {high}{value.high:.3g}]: {value.happens} this "
        f"{found.setting} most seeds {what} within T."
    )
