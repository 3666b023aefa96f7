"""Verbs that train: run, train, demo."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grokstudy.cli.live import Mode, Progress, at, shown
from grokstudy.cli.show import Format, check_document, err, out, print_json
from grokstudy.spec.axes import is_seed
from grokstudy.spec.errors import BadInput
from grokstudy.spec.study import StudySpec
from grokstudy.study.board import Board
from grokstudy.study.progress_words import duration

if TYPE_CHECKING:
    from grokstudy.study.run import StudyResult

Words = Annotated[list[str] | None, typer.Argument(help="settings, e.g. study=demo optimizer.lr=0.01 seed='seeds(3)'")]
Name = Annotated[str | None, typer.Option("--name", help="name of the study; default the study's or preset's name")]
Steps = Annotated[int | None, typer.Option("--steps", help="budget: updates per trial")]
ConfigDir = Annotated[Path | None, typer.Option("--config-dir", help="folder with your own config groups")]
Plugins = Annotated[list[Path] | None, typer.Option("--plugin", help="your own plug-in file, e.g. tasks/mine.py")]
FromFile = Annotated[
    Path | None,
    typer.Option(
        "--from",
        help="a study.yaml, run as it stands; words may set cluster.*, storage.*, tracking.* and budget",
    ),
]
Output = Annotated[Format, typer.Option("--format", help="table, or json: one document on stdout")]
INTERRUPTED = 130
"""Exit code, as of any program that an interrupt ends."""
NOTHING_RAN = 1
"""Exit code when every trial that ran failed."""
GOES_ON = "Everything finished is kept; the same command goes on."


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
    from_file: FromFile = None,
    format: Output = Format.table,
    progress: Progress = Mode.auto,
) -> None:
    """Runs a study; again = resume, wider = only what is new, more --steps = extend.

    Example: grokstudy run preset=quad23 'regularization.weight_decay=log(0.1,10,9)' 'seed=seeds(3)' --name mine
    """
    check_document(format)
    with polite():
        spec = asked_study(words, name, steps, config_dir, plugin, from_file)
        if dry_run:
            from grokstudy.cli.describe import describe

            describe(spec, only_censored, format)
        else:
            _run(spec, format, progress, only_censored=only_censored, max_hours=max_hours)


def train(
    words: Words = None,
    name: Name = None,
    steps: Steps = None,
    config_dir: ConfigDir = None,
    plugin: Plugins = None,
    format: Output = Format.table,
    progress: Progress = Mode.auto,
) -> None:
    """Trains one trial here with live losses; all cores where the network is large enough to use them.

    Example: grokstudy train preset=small31 optimizer.lr=0.001
    """
    check_document(format)
    with polite():
        from grokstudy.study.launch import one_trial

        spec = composed(words and [*words, "cluster=none"], name, steps, config_dir, plugin)
        threads_given = any(word.startswith("engine.threads=") for word in words or [])
        _run(one_trial(spec, name=name, threads_given=threads_given), format, progress)


def demo(format: Output = Format.table, progress: Progress = Mode.auto) -> None:
    """A first phase diagram on a laptop: 90 trainings, no account, no cluster.

    Example: grokstudy demo
    """
    check_document(format)
    with polite():
        _run(composed(["study=demo"], None, None, None, None), format, progress)


@contextmanager
def polite() -> Iterator[None]:
    """Says what became of an interrupt that comes before the first trial, or a second time."""
    try:
        yield
    except KeyboardInterrupt:
        err.print(f"Interrupted. {GOES_ON}", markup=False)
        raise typer.Exit(INTERRUPTED) from None


def composed(
    words: list[str] | None, name: str | None, steps: int | None, config_dir: Path | None, plugin: list[Path] | None
) -> StudySpec:
    """The study that the words describe. Without any, the defaults would train for minutes what nobody asked for."""
    from grokstudy.spec import plugins
    from grokstudy.spec.compose import check_folder, compose_study

    if not words:
        raise BadInput("words: none given. Say what to train, e.g. preset=quad23; `grokstudy list presets` names them.")
    for path in plugin or []:
        plugins.add_file(path)
    check_folder("--config-dir", config_dir)
    extra = [] if steps is None else [f"budget={steps}"]
    return compose_study([*(words or []), *extra], name=name, config_dir=config_dir)


def asked_study(
    words: list[str] | None,
    name: str | None,
    steps: int | None,
    config_dir: Path | None,
    plugin: list[Path] | None,
    file: Path | None,
) -> StudySpec:
    """The study that the words describe, or that a resolved file holds; what differs from its versions is said."""
    if file is None:
        return composed(words, name, steps, config_dir, plugin)
    from grokstudy.spec import plugins
    from grokstudy.study.resolved import resolved_study

    if config_dir is not None:
        raise BadInput("--config-dir: --from runs a study that is composed already; leave one of them out.")
    for path in plugin or []:
        plugins.add_file(path)
    found = resolved_study(file, words or [], name=name, steps=steps)
    for notice in found.notices:
        err.print(notice, markup=False)
    return found.spec


def _run(
    spec: StudySpec, form: Format, mode: Mode, *, only_censored: bool = False, max_hours: float | None = None
) -> None:
    from grokstudy.study.begin import begin_study

    board, since = Board(study=spec.name), time.monotonic()
    with shown(board, mode, form):
        result = begin_study(spec, board, only_censored=only_censored, max_hours=max_hours)
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
                "over": result.over,
            }
        )
    else:
        out.print(_summary(spec, result, duration(time.monotonic() - since)), markup=False)
        if mode is not Mode.quiet:
            _next_steps(spec, result)
    if result.stopped and max_hours is None:
        raise typer.Exit(INTERRUPTED)
    if result.all_failed:
        raise typer.Exit(NOTHING_RAN)  # whoever submitted it shall not read "succeeded"


def _summary(spec: StudySpec, result: StudyResult, elapsed: str) -> str:
    counts = ", ".join(f"{count} {name}" for name, count in sorted(result.outcomes.items()))
    counts = f" ({counts})" if counts else ""
    if result.stopped:
        return f"{spec.name}: stopped after {result.ran} trials{counts}. {GOES_ON}"
    if result.over is not None:
        did = "nothing to do" if result.ran == 0 else f"ran {result.ran} of {result.planned} trials in {elapsed}"
        return f"{spec.name}: {did}{counts}. The sampler is done: {result.over}."
    if result.ran == 0:
        return f"{spec.name}: nothing to do, all {result.planned} trials have {spec.budget:,} steps{counts}."
    return f"{spec.name}: ran {result.ran} of {result.planned} trials in {elapsed}{counts}."


def errors_query(result: StudyResult) -> str:
    """The command that says why trials of a study failed."""
    why = "SELECT error, count(*) AS trials FROM trials WHERE status = 'failed' GROUP BY 1"
    return f'grokstudy query {result.folder.name} "{why}"{at(result.folder.storage.uri)}'


def _next_steps(spec: StudySpec, result: StudyResult) -> None:
    """Where the results are, and the commands that ask them."""
    root, name = result.folder.storage.uri, spec.name
    folder, there = f"{root}/{name}", at(root)
    axes = [axis.path for axis in spec.axes if not is_seed(axis.path)]
    lines = [("results", folder)]
    if result.report:
        lines += [("picture", f"{folder}/report/phase.png"), ("page", f"{folder}/report/phase.html")]
    if len(axes) >= 2:
        lines.append(
            ("diagram", f"grokstudy phases {name} --x {axes[0]} --y {axes[1]} --value log10_delay_ratio{there}")
        )
    lines += [
        ("trials", f"grokstudy trials {name} --where 't_gen > 500'{there}"),
        ("query", f'grokstudy query {name} "SELECT outcome, count(*) FROM trials GROUP BY 1"{there}'),
        ("explore", f"grokstudy ui {name}{there}"),
    ]
    if spec.tracking.enabled:
        uri = f" --uri {spec.tracking.uri}" if spec.tracking.uri else ""
        lines.append(("browse", f"grokstudy mlflow{there}{uri}"))
    if result.outcomes.get("failed"):
        lines.insert(0, ("errors", errors_query(result)))
    for label, text in lines:
        out.print(f"  {label:8} {text}", markup=False)
