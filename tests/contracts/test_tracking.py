"""MLflow shows what the study folder holds: once, completely, and again after anything."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import shutil
import socket
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest

from grokstudy.spec.errors import BadInput
from grokstudy.spec.rows import CurveRows, MeasureRow, MeasureValue, Status, TrialRow
from grokstudy.spec.settings import TrackingSettings
from grokstudy.tracking import names
from grokstudy.tracking.cells import cell_facts
from grokstudy.tracking.charts import VIEW_TAG
from grokstudy.tracking.connection import PATIENCE, Connection, TrackingUnavailable, connect
from grokstudy.tracking.mlflow_api import Run, ViewType
from grokstudy.tracking.notes import MOST_LISTED, cell_note
from grokstudy.tracking.settings import chosen_granularity, default_uri, resolved_uri
from grokstudy.tracking.source import StudyProjection, StudyState, TrialProjection
from grokstudy.tracking.study_run import StudyRun, close_study, open_study, update_study
from grokstudy.tracking.sync import SyncReport, sync_trials
from grokstudy.tracking.thinning import kept
from grokstudy.tracking.ui import ui_command, ui_environment
from tests.planted_rows import BARE

VARIED = ("regularization.weight_decay", "task.frac_train", "seed")
FILES = {"report.md": b"# mine", "phase.html": b"<html/>", "phase.png": b"\x89PNG", "trials.csv": b"trial_id\n"}


@pytest.fixture(scope="session")
def fresh_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty database: its migrations take seconds, so there is one."""
    file = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    connect(TrackingSettings(), f"sqlite:///{file}")
    return file


@pytest.fixture
def connection(fresh_database: Path, tmp_path: Path) -> Connection:
    shutil.copy(fresh_database, tmp_path / "mlflow.db")
    return connect(TrackingSettings(), default_uri(str(tmp_path)))


def study(state: StudyState = "running", **changes: object) -> StudyProjection:
    plain = StudyProjection(
        name="mine",
        config_yaml="name: mine\n",
        varied=VARIED,
        state=state,
        n_planned=4,
        n_done=0,
        note_markdown="# mine",
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


def row(trial_id: str = "a" * 16, *, seed: int = 0, status: Status = "done", **changes: object) -> TrialRow:
    plain = dataclasses.replace(
        BARE,
        trial_id=trial_id,
        study="mine",
        pack_id="p0",
        seed=seed,
        seed_data=seed,
        seed_init=seed,
        seed_batch=seed,
        seed_noise=seed,
        status=status,
        t_mem=40,
        t_mem_lo=39,
        t_gen=400,
        t_gen_lo=390,
        retention="kept",
        test_acc_at_t_mem=0.1,
        train_loss=1e-6,
        test_loss=1e-4,
        train_acc=1.0,
        test_acc=1.0,
        sum_sq_weights=20.0,
        lr_wd=3e-4,
        numerics="cpu:1:float32:eager",
        seconds=12.0,
        written_at="2026-01-02T03:04:05+00:00",
        config={"regularization.weight_decay": 0.3, "task.frac_train": 0.4, "task.name": "modular", "batch_size": None},
    )
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]


def curve(trial_id: str = "a" * 16, *, end: int = 1000, level: float = 1.0) -> CurveRows:
    step = np.arange(end + 1)
    values, nothing = level / (1.0 + step), np.full(end + 1, np.nan)
    return CurveRows(
        trial_id=trial_id,
        step=step,
        train_loss=values,
        test_loss=2 * values,
        train_acc=1 - values / 2,
        test_acc=1 - values / 2,
        sum_sq_weights=10 + values,
        last_layer_norm=values,
        logit_scale=values,
        train_acc_clean=nothing,
        train_acc_corrupted=nothing,
        softmax_collapse=nothing,
        zero_loss=np.zeros(end + 1),
    )


def measured(name: str, value: float | None, step: int) -> MeasureRow:
    of = MeasureValue(measure=name, value=value, values=None, protocol="default", version=1, reason=None)
    return MeasureRow(trial_id="a" * 16, step=step, value=of, written_at="2026-01-02T04:00:00+00:00")


def trials(n: int) -> list[TrialProjection]:
    ids = [f"{i:016x}" for i in range(n)]
    return [TrialProjection(row=row(key, seed=i), curve=curve(key)) for i, key in enumerate(ids)]


def runs(opened: StudyRun, role: str = "trial") -> list[Run]:
    found = opened.connection.client.search_runs([opened.experiment_id], run_view_type=ViewType.ACTIVE_ONLY)
    return sorted(
        (run for run in found if run.data.tags[names.ROLE] == role), key=lambda run: str(run.data.tags.get(names.TRIAL))
    )


def contents(tmp_path: Path) -> list[str]:
    """Everything in the database, as SQL."""
    with contextlib.closing(sqlite3.connect(tmp_path / "mlflow.db")) as database:
        return list(database.iterdump())


def history(opened: StudyRun, run: Run, key: str) -> list[tuple[int, float]]:
    points = opened.connection.client.get_metric_history(run.info.run_id, key)
    return sorted((point.step, point.value) for point in points)


# --- runs of trials ---------------------------------------------------------------------------------------------------


def test_every_trial_is_one_run_and_none_is_left_running(connection: Connection) -> None:
    opened = open_study(connection, study())
    assert [run.info.status for run in runs(opened, "study")] == ["RUNNING"]
    assert sync_trials(opened, trials(3)) == SyncReport(created=3)
    close_study(opened, study("finished", n_done=3))
    assert [run.data.tags[names.TRIAL] for run in runs(opened)] == [f"{i:016x}" for i in range(3)]
    assert {run.info.status for run in [*runs(opened), *runs(opened, "study")]} == {"FINISHED"}


def test_a_run_holds_the_settings_the_times_the_thinned_curve_and_the_measures(connection: Connection) -> None:
    opened = open_study(connection, study())
    one = TrialProjection(row=row(seed=2), curve=curve(), measures=[measured("gini_W_E", 0.7, 700)])
    sync_trials(opened, [one])
    (run,) = runs(opened)
    assert run.info.run_name == "wd=0.3 frac=0.4 s=2"
    assert run.data.params["regularization.weight_decay"] == "0.3"
    assert run.data.params["batch_size"] == "null"
    assert run.data.params["seeds.data"] == "2"
    shown = run.data.metrics
    assert (shown["t_mem"], shown["t_gen"], shown["delay_ratio"]) == (40, 400, 10)
    assert shown["train_loss"] == curve().train_loss[-1]
    assert history(opened, run, "measures/gini_W_E") == [(700, 0.7)]
    steps = [step for step, _ in history(opened, run, "test_acc")]
    assert steps[:3] == [0, 1, 2]
    assert steps[-1] == 1000
    assert steps == curve().step[kept(curve().step, 50)].tolist()
    assert run.data.tags["grokstudy.outcome"] == "grokking"
    assert run.info.end_time - run.info.start_time == 12_000


def test_a_second_sync_writes_nothing(connection: Connection, tmp_path: Path) -> None:
    opened = open_study(connection, study())
    sync_trials(opened, trials(2))
    before = contents(tmp_path)
    assert sync_trials(opened, trials(2)) == SyncReport(skipped=2)
    assert contents(tmp_path) == before
    assert sync_trials(open_study(connection, study()), trials(2)) == SyncReport(skipped=2)
    assert contents(tmp_path) == before


def test_an_extended_trial_goes_on_in_its_run(connection: Connection) -> None:
    opened = open_study(connection, study())
    short = row(t_gen=None, retention="unknown")
    sync_trials(opened, [TrialProjection(row=short, curve=curve())])
    (before,) = runs(opened)
    longer = row(budget=5000, steps_run=5000, t_gen=3000, written_at="2026-01-03T00:00:00+00:00")
    again = open_study(connection, study())
    assert sync_trials(again, [TrialProjection(row=longer, curve=curve(end=5000))]) == SyncReport(updated=1)
    (after,) = runs(again)
    assert after.info.run_id == before.info.run_id
    assert "t_gen" not in before.data.metrics
    assert (after.data.metrics["t_gen"], after.data.metrics["steps_run"]) == (3000, 5000)
    steps = [step for step, _ in history(again, after, "test_loss")]
    assert len(steps) == len(set(steps))
    assert steps[-1] == 5000


def test_a_trial_that_failed_and_then_succeeded_no_longer_shows_its_error(connection: Connection) -> None:
    opened = open_study(connection, study())
    failed = row(status="failed", error="out of memory", t_mem=None, t_gen=None, steps_run=500)
    sync_trials(opened, [TrialProjection(row=failed)])
    (before,) = runs(opened)
    assert (before.info.status, before.data.tags["grokstudy.error"]) == ("FAILED", "out of memory")
    sync_trials(opened, [TrialProjection(row=row(), curve=curve())])
    (after,) = runs(opened)
    assert (after.info.status, after.data.tags["grokstudy.error"]) == ("FINISHED", "")
    assert history(opened, after, "train_loss")[0] == (0, 1.0)


@pytest.mark.parametrize(
    ("status", "shown", "outcome"),
    [
        ("done", "FINISHED", "grokking"),
        ("ended_early", "FINISHED", "grokking"),
        ("diverged", "FINISHED", "diverged"),
        ("failed", "FAILED", None),
        ("stopped", "KILLED", None),
    ],
)
def test_divergence_is_an_outcome_and_only_a_failure_is_a_failure(
    connection: Connection, status: Status, shown: str, outcome: str | None
) -> None:
    opened = open_study(connection, study())
    sync_trials(opened, [TrialProjection(row=row(status=status))])
    (run,) = runs(opened)
    assert run.info.status == shown
    assert run.data.tags.get("grokstudy.outcome") == outcome
    assert run.data.tags["grokstudy.status"] == status


def test_what_is_null_or_not_finite_is_not_logged(connection: Connection) -> None:
    broken = curve()
    broken.train_loss[500:] = math.nan
    broken.test_loss[500:] = math.inf
    nothing = row(status="diverged", t_mem=None, t_gen=None, train_loss=None, test_loss=None)
    opened = open_study(connection, study())
    sync_trials(
        opened, [TrialProjection(row=nothing, curve=broken, measures=[measured("restricted_loss.all", None, 3)])]
    )
    (run,) = runs(opened)
    assert not {"t_mem", "t_gen", "delay_ratio", "measures/restricted_loss.all"} & set(run.data.metrics)
    for key in ("train_loss", "test_loss"):
        assert max(step for step, _ in history(opened, run, key)) < 500
    assert history(opened, run, "train_acc")[-1][0] == 1000


def test_more_than_one_batch_of_numbers_and_settings_arrives_whole(connection: Connection) -> None:
    many = [measured(f"number {i} [of 1200]", float(i), 1000) for i in range(1200)]
    wide = {f"model.option_{i}": i for i in range(250)}
    opened = open_study(connection, study())
    sync_trials(opened, [TrialProjection(row=row(config=wide), curve=curve(), measures=many)])
    (run,) = runs(opened)
    numbers = {key: value for key, value in run.data.metrics.items() if key.startswith("measures/")}
    assert numbers == {f"measures/number {i} _of 1200_": float(i) for i in range(1200)}
    assert {key for key in run.data.params if key.startswith("model.")} == set(wide)
    assert names.SYNCED in run.data.tags


def test_of_two_runs_of_one_trial_the_complete_one_is_kept(connection: Connection) -> None:
    opened = open_study(connection, study())
    sync_trials(opened, trials(1))
    (complete,) = runs(opened)
    tags = {names.ROLE: "trial", names.TRIAL: complete.data.tags[names.TRIAL]}
    connection.client.create_run(opened.experiment_id, start_time=1, tags=tags)
    connection.client.create_run(opened.experiment_id, start_time=2, tags=tags)
    again = open_study(connection, study())
    assert sync_trials(again, trials(1)) == SyncReport(skipped=1, removed_duplicates=2)
    assert [run.info.run_id for run in runs(again)] == [complete.info.run_id]


def test_a_run_that_a_killed_process_left_half_written_is_completed(connection: Connection) -> None:
    opened = open_study(connection, study())
    (one,) = trials(1)
    tags = {names.ROLE: "trial", names.TRIAL: one.row.trial_id}
    half = connection.client.create_run(opened.experiment_id, start_time=1, tags=tags).info.run_id
    connection.client.log_param(half, "task.name", "modular")
    again = open_study(connection, study())
    assert sync_trials(again, [one]) == SyncReport(updated=1)
    (run,) = runs(again)
    assert (run.info.run_id, run.info.status) == (half, "FINISHED")
    assert run.data.params["task.frac_train"] == "0.4"


def test_a_widened_study_renames_its_runs(connection: Connection) -> None:
    sync_trials(open_study(connection, study(varied=("task.frac_train",))), trials(1))
    wider = open_study(connection, study())
    assert sync_trials(wider, trials(1)) == SyncReport(updated=1)
    assert [run.info.run_name for run in runs(wider)] == ["wd=0.3 frac=0.4 s=0"]


# --- the study's run --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "shown"), [("finished", "FINISHED"), ("stopped", "KILLED"), ("failed", "FAILED")])
def test_the_closed_study_says_how_it_ended(connection: Connection, state: StudyState, shown: str) -> None:
    opened = open_study(connection, study())
    close_study(opened, study(state))
    assert [run.info.status for run in runs(opened, "study")] == [shown]


def test_a_running_study_cannot_be_closed(connection: Connection) -> None:
    opened = open_study(connection, study())
    with pytest.raises(ValueError, match="'running', must be one of finished, stopped, failed"):
        close_study(opened, study())


def test_the_report_lies_beside_the_database(connection: Connection, tmp_path: Path) -> None:
    opened = open_study(connection, study())
    close_study(opened, study("finished", report=FILES))
    (run,) = runs(opened, "study")
    folder = Path(unquote(urlsplit(run.info.artifact_uri).path))
    assert folder.is_relative_to(tmp_path)
    expected = {**FILES, "phase_small.png": FILES["phase.png"], "study.yaml": b"name: mine\n"}
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == expected
    assert {file.path for file in connection.client.list_artifacts(run.info.run_id)} == expected.keys()


def test_the_study_run_left_open_by_a_killed_process_is_used_again(connection: Connection) -> None:
    killed = open_study(connection, study())
    again = open_study(connection, study())
    close_study(again, study("finished"))
    assert again.run_id == killed.run_id
    assert [run.info.status for run in runs(again, "study")] == ["FINISHED"]


def test_progress_is_logged_when_it_changes_and_only_then(connection: Connection, tmp_path: Path) -> None:
    opened = open_study(connection, study())
    half = study(n_done=2, outcomes={"grokking": 1, "confusion": 1}, metrics={"boundary.slope": -0.5, "absent": None})
    update_study(opened, half)
    before = contents(tmp_path)
    update_study(opened, half)
    assert contents(tmp_path) == before
    (run,) = runs(opened, "study")
    assert run.data.metrics == {
        "trials_planned": 4,
        "trials_done": 2,
        "outcomes/grokking": 1,
        "outcomes/confusion": 1,
        "boundary.slope": -0.5,
    }
    update_study(opened, study(n_done=3, outcomes={"grokking": 3}))
    (run,) = runs(opened, "study")
    assert (run.data.metrics["outcomes/grokking"], run.data.metrics["outcomes/confusion"]) == (3, 0)


def test_the_experiment_opens_with_our_charts_and_outside_the_mode_for_language_models(connection: Connection) -> None:
    opened = open_study(connection, study())
    tags = connection.client.get_experiment(opened.experiment_id).tags
    assert tags["mlflow.experimentKind"] == "custom_model_development"
    first, links, note = tags["mlflow.note.content"].split("\n\n")[:3]
    assert first == "0 of 4 trials done."
    assert f"#/experiments/{opened.experiment_id}/runs/{opened.run_id}?workflowType=machine_learning" in links
    assert note == "# mine"
    view = json.loads(json.loads(tags[VIEW_TAG])["state"])
    assert view["runsHiddenMode"] == "SHOW_ALL"
    assert view["orderByKey"] == "params.`seed`"
    charts = view["compareRunCharts"]
    assert [chart["type"] for chart in charts] == ["LINE", "LINE", "CONTOUR", "SCATTER", "PARALLEL"]
    assert charts[2]["xaxis"] == {"type": "PARAM", "key": "regularization.weight_decay"}


def test_an_experiment_in_the_bin_is_taken_out_again(connection: Connection) -> None:
    opened = open_study(connection, study())
    connection.client.delete_experiment(opened.experiment_id)
    again = open_study(connection, study())
    assert again.experiment_id == opened.experiment_id
    assert sync_trials(again, trials(1)) == SyncReport(created=1)


# --- cells ------------------------------------------------------------------------------------------------------------


def as_cells(connection: Connection) -> Connection:
    return dataclasses.replace(connection, settings=TrackingSettings(granularity="cell"))


def test_a_cell_is_one_run_with_quantiles_over_its_seeds(connection: Connection) -> None:
    rows = [row(f"{i:016x}", seed=i, t_gen=t) for i, t in enumerate((300, 500, None))]
    members = [TrialProjection(row=r, curve=curve(r.trial_id, level=1.0 + i)) for i, r in enumerate(rows)]
    opened = open_study(as_cells(connection), study())
    assert sync_trials(opened, members) == SyncReport(created=1)
    (run,) = runs(opened, "cell")
    assert runs(opened) == []
    assert run.info.run_name == "wd=0.3 frac=0.4"
    assert "seed" not in run.data.params
    assert run.data.tags[names.CELL] == names.cell_key(rows[0])
    shown = run.data.metrics
    assert (shown["n_seeds"], shown["p_gen"], shown["p_gen_steps"]) == (3, 2 / 3, 1000)
    assert (shown["t_gen_q25"], shown["t_gen_median"]) == (300, 500)
    assert "t_gen_q75" not in shown  # it falls on the trial that was not seen to generalise
    # losses at step 4 are .2, .4, .6; linear quantiles of three values are exact but for a few roundings of 1e-16
    at4 = {q: dict(history(opened, run, f"train_loss_{q}"))[4] for q in ("q25", "median", "q75")}
    assert at4 == pytest.approx({"q25": 0.3, "median": 0.4, "q75": 0.5}, rel=1e-12)
    assert sync_trials(opened, members) == SyncReport(skipped=1)


def test_a_new_seed_replaces_the_run_of_its_cell(connection: Connection) -> None:
    opened = open_study(as_cells(connection), study())
    sync_trials(opened, trials(2))
    assert sync_trials(opened, trials(3)) == SyncReport(updated=1)
    (run,) = runs(opened, "cell")
    assert run.data.metrics["n_seeds"] == 3
    steps = [step for step, _ in history(opened, run, "test_acc_median")]
    assert len(steps) == len(set(steps))


def test_a_curve_that_ended_early_leaves_no_quantile_of_itself_alone(connection: Connection) -> None:
    short, long = curve("0" * 16, end=777), curve("1" * 16)
    members = [TrialProjection(row=row("0" * 16), curve=short), TrialProjection(row=row("1" * 16, seed=1), curve=long)]
    opened = open_study(as_cells(connection), study())
    sync_trials(opened, members)
    (run,) = runs(opened, "cell")
    counts = dict(history(opened, run, "n_curves"))
    assert 777 not in counts
    assert {step: n for step, n in counts.items() if n != 2} == {step: 1 for step in counts if step > 777}
    assert counts[1000] == 1


def test_diverged_trials_count_and_unfinished_ones_do_not() -> None:
    facts = cell_facts(
        [
            row(t_gen=100),
            row(status="diverged", t_gen=100),
            row(t_gen=None, steps_run=2000),
            row(t_gen=1500),
            row(t_gen=2500, steps_run=3000),
            row(status="stopped", t_gen=None, steps_run=10),
            row(status="failed", t_gen=None, steps_run=0),
        ]
    )
    assert (facts["n_seeds"], facts["n_unfinished"], facts["n_diverged"]) == (5, 2, 1)
    assert (facts["p_gen_steps"], facts["p_gen"]) == (2000, 2 / 5)


def test_granularity_follows_the_plan_and_stays_as_it_was_created(connection: Connection) -> None:
    assert chosen_granularity(TrackingSettings(), 2000) == "trial"
    assert chosen_granularity(TrackingSettings(), 2001) == "cell"
    opened = open_study(connection, study(n_planned=2001))
    again = open_study(connection, study(n_planned=10))
    assert (opened.granularity, again.granularity, again.warnings) == ("cell", "cell", ())
    asked = dataclasses.replace(connection, settings=TrackingSettings(granularity="trial"))
    insisted = open_study(asked, study())
    assert insisted.granularity == "cell"
    assert len(insisted.warnings) == 1
    assert "got trial, but this study was created with cell" in insisted.warnings[0]


# --- thinning ---------------------------------------------------------------------------------------------------------


def test_a_longer_curve_keeps_what_the_shorter_one_kept() -> None:
    steps = np.arange(0, 100_001)
    whole = set(kept(steps, 50).tolist())
    for end in (5, 137, 1000, 54_321):
        assert set(kept(steps[: end + 1], 50).tolist()) - {end} <= whole
    assert {0, 1, 10, 100, 1000, 10_000, 100_000} <= whole
    # 50 bins over five decades, of which the first decade's nine integers leave one empty, plus step 0 and step 100,000
    assert 45 <= len(whole) <= 52
    assert kept(steps[:0], 50).tolist() == []


# --- addresses --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def unused_port() -> Iterator[int]:
    """A port that is bound and not listening, so that connections are refused."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_an_unreachable_server_is_named_with_a_remedy_and_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")  # the user's choice goes before ours
    with unused_port() as port, pytest.raises(TrackingUnavailable) as caught:
        connect(TrackingSettings(), f"http://me:secret@127.0.0.1:{port}")
    text = str(caught.value)
    assert f"127.0.0.1:{port}" in text
    assert "secret" not in text
    assert "tracking.enabled=false" in text
    assert "\n" not in text
    assert not (PATIENCE.keys() - {"MLFLOW_HTTP_REQUEST_MAX_RETRIES"}) & os.environ.keys()


def test_a_file_that_is_no_database_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_bytes(b"this is not a database")
    with pytest.raises(TrackingUnavailable, match="not an SQLite database"):
        connect(TrackingSettings(), default_uri(str(tmp_path)))


def test_a_local_root_holds_its_database_and_a_bucket_needs_an_address(tmp_path: Path) -> None:
    assert default_uri(str(tmp_path)) == f"sqlite:///{tmp_path}/mlflow.db"
    assert default_uri(f"file://{tmp_path}") == f"sqlite:///{tmp_path}/mlflow.db"
    with pytest.raises(BadInput, match=r"tracking\.uri: null, but the storage root s3://bucket/x"):
        default_uri("s3://bucket/x")
    assert resolved_uri(TrackingSettings(uri="http://host:5000"), "s3://bucket/x") == "http://host:5000"


@pytest.mark.parametrize("uri", ["mlruns", "file:///x", "postgresql://me:secret@host/db", "sqlite:///", "http://"])
def test_an_address_of_another_kind_is_refused(uri: str) -> None:
    with pytest.raises(BadInput, match=r"tracking\.uri: got") as caught:
        resolved_uri(TrackingSettings(uri=uri), "data")
    assert "secret" not in str(caught.value)


def test_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(BadInput, match=r"tracking\.granularity: no 'trail'; did you mean 'trial'"):
        TrackingSettings(granularity="trail")  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=r"tracking\.curve_points: got 4"):
        TrackingSettings(curve_points=4)


def test_the_ui_runs_on_the_same_database_and_calls_nobody(connection: Connection, tmp_path: Path) -> None:
    command = ui_command(connection.uri, "127.0.0.1", 5001)
    assert command[:4] == [sys.executable, "-m", "mlflow", "server"]
    given = dict(zip(command[4::2], command[5::2], strict=True))
    assert given["--backend-store-uri"] == f"sqlite:///{tmp_path}/mlflow.db"
    assert (given["--host"], given["--port"]) == ("127.0.0.1", "5001")
    environment = ui_environment()
    assert environment["MLFLOW_DISABLE_TELEMETRY"].lower() == "true"
    assert environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] == "false"
    with pytest.raises(BadInput, match="server already"):
        ui_command("http://host:5000", "127.0.0.1", 5001)
    with pytest.raises(BadInput, match="no MLflow database"):
        ui_command(f"sqlite:///{tmp_path}/absent.db", "127.0.0.1", 5001)


@pytest.mark.parametrize("trials", [1, MOST_LISTED, 5000])
def test_the_command_of_a_cells_description_is_whole(trials: int) -> None:
    note = cell_note("mine", [f"{i:016x}" for i in range(trials)])
    assert note.startswith(f"{trials} trials of one cell")
    assert len(note) <= names.TAG_LIMIT  # nothing is cut off
    assert note.count("'") == 2 * min(trials, MOST_LISTED)
    assert note.endswith("')\"")
