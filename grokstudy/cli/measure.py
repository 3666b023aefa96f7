"""The verb `measure`: post-hoc measures of a study's checkpoints, or of one weights file."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grokstudy.cli.live import Mode, Progress, at, shown
from grokstudy.cli.read import Storage
from grokstudy.cli.run import Plugins
from grokstudy.cli.show import Format, err, out, print_json
from grokstudy.spec import plugins
from grokstudy.spec.errors import BadInput, DamagedFile
from grokstudy.study.board import Board

if TYPE_CHECKING:
    from grokstudy.spec.settings import ClusterSettings
    from grokstudy.store.folder import StudyFolder


class Which(StrEnum):
    """Checkpoints to measure."""

    final = "final"
    all = "all"


class Where(StrEnum):
    """What measures."""

    local = "local"
    ray = "ray"
    none = "none"


class WeightsLayout(StrEnum):
    """Whose tensor names and shapes a weights file has."""

    nanda = "nanda"
    transformer_lens = "transformer_lens"
    grokstudy = "grokstudy"


def add_to(app: typer.Typer) -> None:
    """Registers the verb."""
    app.command()(measure)


def measure(
    words: Annotated[
        list[str] | None, typer.Argument(help="STUDY; with --weights: settings such as task.p=113")
    ] = None,
    checkpoints: Annotated[
        Which, typer.Option("--checkpoints", help="start, last generalised and end; or all")
    ] = Which.final,
    only: Annotated[list[str] | None, typer.Option("--only", help="measure plug-in; may be repeated")] = None,
    key_freq_rule: Annotated[str, typer.Option("--key-freq-rule", help="neuron, w_l or w_e")] = "neuron",
    weights: Annotated[
        Path | None, typer.Option("--weights", help="weights file: .safetensors, or a state dict in .pt or .pth")
    ] = None,
    layout: Annotated[
        WeightsLayout | None,
        typer.Option("--layout", help="of --weights; default: as exported, else transformer_lens"),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            "--split",
            help="of --weights: python_random:SEED:FRAC or a split.json; default: as exported, else seed 0, share 0.3",
        ),
    ] = None,
    cluster: Annotated[
        Where | None,
        typer.Option("--cluster", help="local, ray (the cluster around it) or none; default: this machine"),
    ] = None,
    plugin: Plugins = None,
    format: Annotated[Format, typer.Option("--format", help="table or json")] = Format.table,
    progress: Progress = Mode.auto,
    storage: Storage = None,
) -> None:
    """Measures what is missing of a study (idempotent), or one weights file.

    Examples: grokstudy measure demo --checkpoints all --only fourier_losses ;
    grokstudy measure --weights net.pth --layout nanda task=modular task.p=113 --split python_random:1:0.3
    """
    for path in plugin or []:
        plugins.add_file(path)
    if format not in (Format.table, Format.json):
        raise BadInput(
            f"--format: got {format.value}, must be table or json; `grokstudy measures STUDY` has the others."
        )
    if weights is not None:
        if checkpoints is Which.all:
            raise BadInput("--checkpoints: --weights is one network; leave it out.")
        _file(weights, layout, words or [], split, key_freq_rule, only, format, progress)
    elif not words or len(words) != 1 or "=" in words[0]:
        raise BadInput("measure: give one STUDY, or --weights FILE with settings of its task.")
    elif layout is not None or split is not None:
        raise BadInput("--layout, --split: say how to read a weights file; a study knows both.")
    else:
        _study(words[0], checkpoints, only, key_freq_rule, cluster, format, progress, storage)


def _study(
    name: str,
    which: Which,
    only: list[str] | None,
    rule: str,
    where: Where | None,
    form: Format,
    mode: Mode,
    storage: str | None,
) -> None:
    from grokstudy.circuits._measure import measures
    from grokstudy.execution.executor import executor
    from grokstudy.measure_jobs.run import measure_study
    from grokstudy.store.gc import removal_note
    from grokstudy.study.api import open
    from grokstudy.study.holding import held
    from grokstudy.study.live import Projection

    study = open(name, storage)
    found = measures(only, rule)
    names = [name for name, _ in found]
    board = Board(study=study.name, where=study.folder.where("")[:-1])
    damaged: tuple[str, ...] = ()
    with (
        shown(board, mode, form),
        executor(_cluster(study.spec.cluster, where)) as execution,
        held(study.folder, board) as lock,
        Projection(study.spec, study.folder, board, lost=lock.lost)
        if study.spec.tracking.enabled
        else contextlib.nullcontext(),
    ):
        for measured in measure_study(study.folder, execution, names, rule, which.value):
            board.measuring(measured)
            damaged = measured.damaged
        board.stage = "finished"
    if damaged:
        raise DamagedFile(f"{study.name}: measured {board.measured} checkpoints, {len(damaged)} not: {damaged[0]}")
    if form is Format.json:
        print_json({"study": study.name, "measures": names, "checkpoints_measured": board.measured})
    elif board.to_measure == 0:
        out.print(f"{study.name}: nothing to do, every checkpoint has these measures.", markup=False)
    else:
        out.print(f"{study.name}: measured {board.measured} checkpoints.", markup=False)
        if mode is not Mode.quiet:
            out.print(f"  values   grokstudy measures {study.name}{at(study.folder.storage.uri)}", markup=False)
    if which is Which.all and form is Format.table and (note := removal_note(study.folder)):
        err.print(f"Only checkpoints that are left were looked at:{note}", markup=False)
    for line in _raised(study.folder, [value for _, measure in found for value in measure.names]):
        err.print(line, markup=False)


def _cluster(stored: ClusterSettings, where: Where | None) -> ClusterSettings:
    """A study that ran on a cluster is measured on this machine unless the cluster is asked for."""
    if where is Where.ray:
        return dataclasses.replace(stored, kind="ray")
    here = where is Where.none or (where is None and stored.kind == "none")
    return dataclasses.replace(stored, kind="none" if here else "local", address=None, resources=None)


def _raised(folder: StudyFolder, values: Sequence[str]) -> list[str]:
    """One line for every value that is missing because its measure raised an exception."""
    from grokstudy.spec.rows import RAISED
    from grokstudy.store.views import connect

    with connect([folder]) as connection:
        rows = connection.execute(
            "SELECT measure, count(*), min(reason) FROM measures_long "
            "WHERE starts_with(reason, ?) AND list_contains(?, measure) GROUP BY 1 ORDER BY 1",
            [RAISED, list(values)],
        ).fetchall()
    return [
        f"{name}: missing at {count} checkpoints: {why}. GROKSTUDY_DEBUG=1 shows where." for name, count, why in rows
    ]


def _file(
    file: Path,
    layout: WeightsLayout | None,
    words: list[str],
    split: str | None,
    rule: str,
    only: list[str] | None,
    form: Format,
    mode: Mode,
) -> None:
    from grokstudy.circuits._json import as_json
    from grokstudy.measure_jobs.weights import measure_weights

    trial = trial_of(words) if words else None
    with shown(Board(study=str(file), stage="measuring", to_measure=1), mode, form):
        values, keys = measure_weights(file, None if layout is None else layout.value, trial, split, rule, only)
    if form is Format.json:
        print_json({**as_json(values, keys, rule), "measures": [dataclasses.asdict(value) for value in values]})
        return
    for value in values:
        text = value.reason if value.value is None else f"{value.value:.6g}"
        out.print(f"{value.measure:32} {text:>14}  {value.protocol}", markup=False)


def trial_of(words: list[str]) -> Mapping[str, Any]:
    """The config of one network: a transformer unless the words name another model."""
    from grokstudy.spec.compose import compose_study

    named = any(word.startswith("model=") for word in words)
    spec = compose_study(words if named else ["model=transformer", *words])
    if spec.axes:
        raise BadInput(f"{spec.axes[0].path}: one file is one network; give one value.")
    return spec.base
