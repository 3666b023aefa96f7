"""Verbs that train: run, train, demo."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grokstudy.cli.show import Format, duration, elapsed, err, out, print_json, progress, size
from grokstudy.spec.axes import is_seed
from grokstudy.spec.errors import BadInput
from grokstudy.spec.study import StudySpec
from grokstudy.study.board import Board

if TYPE_CHECKING:
    from grokstudy.study.run import StudyResult

Words = Annotated[list[str] | None, typer.Argument(help="settings, e.g. study=demo optimizer.lr=0.01 seed='seeds(3)'")]
Name = Annotated[str | None, typer.Option("--name", help="name of the study; default the study's or preset's name")]
Steps = Annotated[int | None, typer.Option("--steps", help="budget: updates per trial")]
ConfigDir = Annotated[Path | None, typer.Option("--config-dir", help="folder with your own config groups")]
Plugins = Annotated[list[Path] | None, typer.Option("--plugin", help="your own plug-in file, e.g. tasks/mine.py")]
Output = Annotated[Format, typer.Option("--format", help="table, or json: one document on stdout")]


def add_to(app: typer.Typer) -> None:
    """Registers the verbs."""
    app.command()(run)
    app.command()(train)
    app.command()(demo)


def run(
    words: Words = None,
    name: Name = None,
    steps: Steps = None,
    only_censored: Annotated[
        bool, typer.Option("--only-censored", help="extend only trials that have not generalised")
    ] = False,
    max_hours: Annotated[float | None, typer.Option("--max-hours", help="stop in time; run again to go on")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="print what would be done and its cost")] = False,
    config_dir: ConfigDir = None,
    plugin: Plugins = None,
    format: Output = Format.table,
) -> None:
    """Runs a study; again = resume, wider = only what is new, more --steps = extend.

    Example: grokstudy run preset=quad23 'regularization.weight_decay=log(0.1,10,9)' 'seed=seeds(3)' --name mine
    """
    spec = _composed(words, name, steps, config_dir, plugin)
    if dry_run:
        _dry_run(spec, only_censored, format)
    else:
        _run(spec, format, only_censored=only_censored, max_hours=max_hours)


def train(
    words: Words = None,
    name: Name = None,
    steps: Steps = None,
    config_dir: ConfigDir = None,
    plugin: Plugins = None,
    format: Output = Format.table,
) -> None:
    """Trains one trial here with live losses; all cores where the network is large enough to use them.

    Example: grokstudy train preset=small31 optimizer.lr=0.001
    """
    from grokstudy.study.launch import one_trial

    spec = _composed([*(words or []), "cluster=none"], name, steps, config_dir, plugin)
    threads_given = any(word.startswith("engine.threads=") for word in words or [])
    _run(one_trial(spec, name=name, threads_given=threads_given), format)


def demo(format: Output = Format.table) -> None:
    """A first phase diagram on a laptop: 90 trainings, no account, no cluster.

    Example: grokstudy demo
    """
    _run(_composed(["study=demo"], None, None, None, None), format)


def _composed(
    words: list[str] | None, name: str | None, steps: int | None, config_dir: Path | None, plugin: list[Path] | None
) -> StudySpec:
    from grokstudy.spec import plugins
    from grokstudy.spec.compose import compose_study

    for path in plugin or []:
        plugins.add_file(path)
    if config_dir is not None and not config_dir.is_dir():
        raise BadInput(f"--config-dir: no folder '{config_dir}'.")
    extra = [] if steps is None else [f"budget={steps}"]
    return compose_study([*(words or []), *extra], name=name, config_dir=config_dir)


def _run(spec: StudySpec, form: Format, *, only_censored: bool = False, max_hours: float | None = None) -> None:
    from grokstudy.study.run import run_study

    board, since = Board(study=spec.name), time.monotonic()
    with progress(board, quiet=form is Format.json):
        result = run_study(spec, board, only_censored=only_censored, max_hours=max_hours)
    folder = f"{result.folder.storage.uri}/{result.folder.name}"
    if form is Format.json:
        print_json(
            {
                "study": spec.name,
                "folder": folder,
                "planned": result.planned,
                "ran": result.ran,
                "outcomes": result.outcomes,
                "report": [f"{folder}/report/{name}" for name in result.report],
                "stopped": result.stopped,
            }
        )
    else:
        _tell(spec, result, since)
        _next_steps(spec, folder, list(result.report))
    if result.stopped and max_hours is None:
        raise KeyboardInterrupt


def _tell(spec: StudySpec, result: StudyResult, since: float) -> None:
    counts = ", ".join(f"{count} {name}" for name, count in sorted(result.outcomes.items()))
    counts = f" ({counts})" if counts else ""
    if result.stopped:
        text = f"stopped after {result.ran} trials{counts}. Everything finished is kept; the same command goes on."
    elif result.ran == 0:
        text = f"nothing to do, all {result.planned} trials have {spec.budget:,} steps{counts}."
    else:
        text = f"ran {result.ran} of {result.planned} trials in {elapsed(since)}{counts}."
    out.print(f"{spec.name}: {text}", markup=False)


def _next_steps(spec: StudySpec, folder: str, report: list[str]) -> None:
    axes = [axis.path for axis in spec.axes if not is_seed(axis.path)]
    lines = [("results", folder)]
    if report:
        lines += [("picture", f"{folder}/report/phase.png"), ("page", f"{folder}/report/phase.html")]
    if len(axes) >= 2:
        lines.append(("diagram", f"grokstudy phases {spec.name} --x {axes[0]} --y {axes[1]} --value log10_delay_ratio"))
    lines += [
        ("trials", f"grokstudy trials {spec.name} --where 't_gen > 500'"),
        ("query", f'grokstudy query {spec.name} "SELECT outcome, count(*) FROM trials GROUP BY 1"'),
    ]
    if spec.tracking.enabled:
        lines.append(("browse", "grokstudy mlflow"))
    for label, text in lines:
        out.print(f"  {label:8} {text}", markup=False)


def _dry_run(spec: StudySpec, only_censored: bool, form: Format) -> None:
    from grokstudy.execution.executor import executor
    from grokstudy.study.document import to_yaml
    from grokstudy.study.estimate import estimate
    from grokstudy.study.run import plan_study

    with executor(spec.cluster) as execution:
        slots = execution.slots()
    plan = plan_study(spec, slots, only_censored=only_censored)
    cost = estimate(plan, slots)
    if form is Format.json:
        print_json(
            {
                "study": spec.name,
                "trials": len(plan.trials),
                "done": len(plan.trials) - len(plan.left),
                "packs": [len(job.trials) for job in plan.jobs],
                "slots": slots,
                "steps": plan.updates,
                "seconds": cost.seconds,
                "bytes": cost.bytes,
            }
        )
        return
    out.print(to_yaml(spec), markup=False)
    sizes = [len(job.trials) for job in plan.jobs]
    out.print(f"trials   {len(plan.trials)} ({len(plan.trials) - len(plan.left)} done already)")
    out.print(f"packs    {len(sizes)} of {min(sizes, default=0)}-{max(sizes, default=0)} trials, {slots} at a time")
    out.print(f"steps    {plan.updates:,}")
    out.print(f"time     about {duration(cost.seconds)} of stepping on this machine")
    out.print(f"disk     at most {size(cost.bytes)}")
    err.print("Nothing was run or written.")
