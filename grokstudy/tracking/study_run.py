"""The study's own run: there from the start, closed on every way out, found again after a kill."""

from __future__ import annotations

import dataclasses
import math
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from grokstudy.tracking import names
from grokstudy.tracking.charts import VIEW_TAG, view_state
from grokstudy.tracking.connection import Connection, reaching
from grokstudy.tracking.content import RunStatus
from grokstudy.tracking.mlflow_api import Experiment, Metric, MlflowException
from grokstudy.tracking.notes import SMALL_PICTURE, study_note
from grokstudy.tracking.picture import small
from grokstudy.tracking.runs import StoredRun, by_key, delete_run, find_runs
from grokstudy.tracking.settings import Granularity, chosen_granularity
from grokstudy.tracking.source import StudyProjection, StudyState

END: Mapping[StudyState, RunStatus] = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
OUTCOMES = "outcomes/"
"""Folder of the metrics that count trials by outcome."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class StudyRun:
    """An open study in MLflow. One process at a time holds it (the study's lock), so what it knows stays true."""

    connection: Connection
    experiment_id: str
    run_id: str
    granularity: Granularity
    varied: tuple[str, ...]
    base: int
    """Milliseconds; curve points are stamped base + step."""
    known: dict[str, StoredRun]
    """Runs by trial_id or cell; kept up to date by `syncing`."""
    cells: dict[str, str]
    """Cell of every trial that was looked at, for granularity `cell`."""
    seeds: int | None
    """Trials that a cell will have; None = not known."""
    repeated: list[str]
    """Ids of runs that repeat another; the next `syncing` removes them."""
    warnings: tuple[str, ...]
    """Lines to show the user."""


def open_study(connection: Connection, study: StudyProjection) -> StudyRun:
    """The study's experiment and its run, made or found, with status RUNNING.

    Raises:
        TrackingUnavailable: MLflow does not answer; open the study again later.
    """
    with reaching(connection.uri):
        experiment = _experiment(connection, study)
    granularity, warnings = _granularity(connection, experiment)
    run_id = _own_run(connection, experiment.experiment_id, study)
    with reaching(connection.uri):
        connection.client.update_run(run_id, status="RUNNING")
    known, repeated = _known(connection, experiment.experiment_id, granularity)
    opened = StudyRun(
        connection=connection,
        experiment_id=experiment.experiment_id,
        run_id=run_id,
        granularity=granularity,
        varied=study.varied,
        base=experiment.creation_time or 0,
        known=known,
        cells={},
        seeds=study.n_planned // study.n_cells if study.n_cells else None,
        repeated=repeated,
        warnings=warnings,
    )
    _seed_charts(opened)
    update_study(opened, study)
    return opened


def update_study(study_run: StudyRun, study: StudyProjection) -> None:
    """Note and progress as they stand. Numbers that have not changed are not written again."""
    client, run_id = study_run.connection.client, study_run.run_id
    full = study_note(study, study_run.granularity, study_run.experiment_id, run_id)
    note = names.cut(full, names.TAG_LIMIT)
    with reaching(study_run.connection.uri):
        run = client.get_run(run_id)
        if run.data.tags.get(names.NOTE) != note:
            client.set_tag(run_id, names.NOTE, note)
            cut = names.cut(full, names.EXPERIMENT_TAG_LIMIT)
            client.set_experiment_tag(study_run.experiment_id, names.NOTE, cut)
        now = round(time.time() * 1000)
        old: Mapping[str, float] = run.data.metrics
        emptied = {key: 0.0 for key in old if key.startswith(OUTCOMES)}
        changed = {key: value for key, value in (emptied | _numbers(study)).items() if old.get(key) != value}
        if changed:
            client.log_batch(run_id, metrics=[Metric(key, value, now, study.n_done) for key, value in changed.items()])


def close_study(study_run: StudyRun, study: StudyProjection) -> None:
    """Writes the report and ends the study's run: FINISHED, KILLED or FAILED by `study.state`.

    Raises:
        ValueError: the study is still running.
        TrackingUnavailable: MLflow does not answer; the next `open_study` finds the run and goes on with it.
    """
    if study.state not in END:
        raise ValueError(f"close_study: the study's state is {study.state!r}, must be one of {', '.join(END)}")
    _write_files(study_run.connection, study_run.run_id, _report(study))
    update_study(study_run, study)
    with reaching(study_run.connection.uri):
        study_run.connection.client.set_terminated(study_run.run_id, status=END[study.state])


def mark_stopped(study_run: StudyRun) -> None:
    """Ends the study's run as KILLED at once: what is left to write may not be done in the time that there is."""
    with reaching(study_run.connection.uri):
        study_run.connection.client.set_terminated(study_run.run_id, status=END["stopped"])


def _experiment(connection: Connection, study: StudyProjection) -> Experiment:
    client, name = connection.client, names.experiment_name(study.name)
    found = client.get_experiment_by_name(name)
    if found is None:
        tags = {
            names.KIND: "custom_model_development",  # MLflow 3 else opens in its mode for language models
            names.STUDY: study.name,
            names.GRANULARITY: chosen_granularity(connection.settings, study.n_planned, study.n_cells),
        }
        made = client.create_experiment(name, artifact_location=connection.artifact_folder(study.name), tags=tags)
        return client.get_experiment(made)
    if found.lifecycle_stage == "deleted":  # its name cannot be given again
        client.restore_experiment(found.experiment_id)
    return found


def _granularity(connection: Connection, experiment: Experiment) -> tuple[Granularity, tuple[str, ...]]:
    """As fixed at creation: both kinds of runs in one experiment would count every trial twice."""
    tag = experiment.tags.get(names.GRANULARITY)
    fixed: Granularity = "cell" if tag == "cell" else "study" if tag == "study" else "trial"
    asked = connection.settings.granularity
    if asked in ("auto", fixed):
        return fixed, ()
    line = (
        f"tracking.granularity: got {asked}, but this study was created with {fixed}, which stays. To change it, "
        f"delete the experiment {experiment.name} for good (mlflow gc) and sync again."
    )
    return fixed, (line,)


def _known(
    connection: Connection, experiment_id: str, granularity: Granularity
) -> tuple[dict[str, StoredRun], list[str]]:
    if granularity == "study":
        return {}, []
    tag = names.TRIAL if granularity == "trial" else names.CELL
    return by_key(find_runs(connection, experiment_id, granularity, tag))


def _own_run(connection: Connection, experiment_id: str, study: StudyProjection) -> str:
    """The id of the one study run; one that a killed process left open is used again."""
    kept, repeated = by_key(find_runs(connection, experiment_id, "study", names.STUDY))
    for run_id in repeated:
        delete_run(connection, run_id)
    if study.name in kept:
        run_id = kept[study.name].run_id
    else:
        with reaching(connection.uri):
            tags = {names.ROLE: "study", names.STUDY: study.name}
            run_id = connection.client.create_run(experiment_id, tags=tags, run_name=study.name).info.run_id
    _write_files(connection, run_id, {"study.yaml": study.config_yaml.encode()})
    return run_id


def _numbers(study: StudyProjection) -> dict[str, float]:
    numbers: dict[str, float | None] = {"trials_planned": study.n_planned, "trials_done": study.n_done}
    numbers |= {f"{OUTCOMES}{label}": count for label, count in study.outcomes.items()}
    numbers |= study.metrics
    return {
        names.metric_key(key): float(value)
        for key, value in numbers.items()
        if value is not None and math.isfinite(value)
    }


def _seed_charts(study_run: StudyRun) -> None:
    """Undocumented in MLflow, so it may fail without a word: the page then shows its own charts."""
    if study_run.granularity == "study":  # there is nothing to draw
        return
    state = view_state(study_run.varied, study_run.granularity, study_run.base)
    if len(state) > names.EXPERIMENT_TAG_LIMIT:
        return
    with reaching(study_run.connection.uri), suppress(MlflowException):
        study_run.connection.client.set_experiment_tag(study_run.experiment_id, VIEW_TAG, state)


def _report(study: StudyProjection) -> dict[str, bytes]:
    """The report's files, and the diagram in the size that the note shows."""
    picture = study.report.get("phase.png")
    return dict(study.report) | ({} if picture is None else {SMALL_PICTURE: small(picture)})


def _write_files(connection: Connection, run_id: str, files: Mapping[str, bytes]) -> None:
    if not files:
        return
    with tempfile.TemporaryDirectory(prefix="grokstudy-") as folder, reaching(connection.uri):
        for name, content in files.items():
            (Path(folder) / Path(name).name).write_bytes(content)
        connection.client.log_artifacts(run_id, folder)
