"""A study on an MLflow server with PostgreSQL and artifacts on S3, through everything that can happen to the server.

What was shown at the end is always the whole study: every trial one run, none twice, none left RUNNING.
"""

from __future__ import annotations

import dataclasses
import http.client
import http.server
import threading
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from grokstudy.spec.settings import ClusterSettings, TrackingSettings
from grokstudy.spec.study import StudySpec
from grokstudy.store.folder import StudyFolder
from grokstudy.study.board import Board
from grokstudy.study.document import stored_spec
from grokstudy.study.live import Pauses, Projection
from grokstudy.study.projected import FolderTrials
from grokstudy.tracking.connection import diagnose
from grokstudy.tracking.source import TrialProjection
from tests.services.mlflow_server import MlflowServer, mlflow_server
from tests.services.postgres import Postgres, postgres, why_not
from tests.services.s3 import S3, moto_server

from .conftest import SMALL, Cli

pytestmark = pytest.mark.slow
STUDY = [*SMALL, "regularization.weight_decay=0,1,3", "seed=seeds(2)", "--steps", "100", "--name", "mine"]
TRIALS = 6
SOON = Pauses(first=0.05, longest=0.3, at_end=60, share=1.0)
"""The pauses of an outage of minutes, for one of seconds."""


@dataclasses.dataclass(frozen=True, slots=True)
class Deployment:
    """An MLflow as a cluster has it."""

    mlflow: MlflowServer
    database: Postgres
    objects: S3


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("deployment")
    with moto_server(folder / "s3") as objects, postgres(folder / "postgres") as database:
        bucket = objects.make_bucket("mlflow")
        environment = {**objects.environment(), **database.environment()}
        with mlflow_server(
            folder / "mlflow", database.uri, artifacts=f"{bucket}/artifacts", environment=environment
        ) as mlflow:
            yield Deployment(mlflow, database, objects)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Cli:
    """A finished study that MLflow has never heard of, and its command line, which has no access to any bucket."""
    cli = Cli(tmp_path_factory.mktemp("trained"))
    cli.env = {key: value for key, value in cli.env.items() if not key.startswith("AWS_")}
    cli.run("run", *STUDY)
    return cli


@dataclasses.dataclass(slots=True, eq=False)
class Running:
    """A study whose trials arrive when the test says so, as a driver projects it."""

    spec: StudySpec
    folder: StudyFolder
    waiting: list[TrialProjection]
    board: Board
    projection: Projection

    def finish_trials(self, count: int) -> None:
        """So many trials more are in the study folder."""
        some, self.waiting = self.waiting[:count], self.waiting[count:]
        self.folder.put_curves([trial.curve for trial in some if trial.curve is not None])
        self.folder.put_trials([dataclasses.replace(trial.row, study=self.folder.name) for trial in some])
        self.board.done_before += count
        self.projection.due()

    def until(self, notice: str) -> None:
        """Waits until the board says this."""
        wait(lambda: any(notice in line for line in self.board.notices), self.board.notices)


@contextmanager
def running(trained: Cli, tmp_path: Path, uri: str, pauses: Pauses = SOON) -> Iterator[Running]:
    source = StudyFolder.open(str(trained.root), "mine")
    spec = stored_spec(source)
    assert spec is not None
    name = tmp_path.name
    spec = dataclasses.replace(
        spec, name=name, tracking=TrackingSettings(uri=uri), cluster=ClusterSettings(kind="local")
    )
    folder, board = StudyFolder.open(str(tmp_path / "data"), name), Board(study=name, planned=TRIALS)
    trials = FolderTrials(source)
    waiting = list(trials.read([mark.trial_id for mark in trials.marks()]))
    with Projection(spec, folder, board, pauses) as projection:
        yield Running(spec, folder, waiting, board, projection)


def wait(until: Callable[[], bool], told: Sequence[str] = ()) -> None:
    end = time.monotonic() + 60
    while not until():
        assert time.monotonic() < end, told
        time.sleep(0.02)


def shown(server: MlflowServer, study: str) -> list[dict[str, str]]:
    """Runs of trials that MLflow shows; an answer may fail while a server comes back."""
    return [run for run in server.runs(f"grokstudy/{study}") if "grokstudy.trial_id" in run]


def assert_whole(server: MlflowServer, study: str, trials: int = TRIALS) -> None:
    runs = server.runs(f"grokstudy/{study}")
    ids = [run["grokstudy.trial_id"] for run in runs if "grokstudy.trial_id" in run]
    assert len(ids) == len(set(ids)) == trials
    assert {run["status"] for run in runs} == {"FINISHED"}
    assert len(runs) == trials + 1
    assert all("grokstudy.synced" in run for run in runs if "grokstudy.trial_id" in run)


def assert_told_once(board: Board) -> None:
    away = [line for line in board.notices if "is not available" in line]
    back = [line for line in board.notices if "answers again" in line]
    assert (len(away), len(back), len(board.notices)) == (1, 1, 2), board.notices


# --- a server -----------------------------------------------------------------------------------------------------


def test_a_study_is_shown_by_a_server_with_its_artifacts_and_the_client_has_no_key_to_the_bucket(
    deployed: Deployment, trained: Cli
) -> None:
    words = [word for word in STUDY if word != "tracking=none"]
    result = trained.run("run", *words, f"tracking.uri={deployed.mlflow.uri}")
    assert "nothing to do" in result.stdout
    assert result.stderr.count("MLflow") == 0
    assert_whole(deployed.mlflow, "mine")
    kept = deployed.objects.keys("mlflow")
    assert {"study.yaml", "report.md", "phase.png", "trials.csv"} <= {key.rpartition("/")[2] for key in kept}


def test_a_server_that_refuses_its_name_tells_the_remedy_and_the_study_runs(
    deployed: Deployment, trained: Cli, tmp_path: Path
) -> None:
    other = f"http://localhost:{deployed.mlflow.port}"
    assert diagnose(TrackingSettings(), deployed.mlflow.uri) is None
    assert f"--allowed-hosts 'localhost:{deployed.mlflow.port}'" in (diagnose(TrackingSettings(), other) or "")
    with running(trained, tmp_path, other, dataclasses.replace(SOON, at_end_unreached=0)) as study:
        study.finish_trials(1)
        study.until(f"--allowed-hosts 'localhost:{deployed.mlflow.port}'")
    assert len(study.board.notices) == 2  # that it is so, and how to catch up


# --- outages ------------------------------------------------------------------------------------------------------


def test_a_server_that_is_killed_and_started_again_in_mid_study_shows_everything(
    deployed: Deployment, trained: Cli, tmp_path: Path
) -> None:
    with running(trained, tmp_path, deployed.mlflow.uri) as study:
        study.finish_trials(2)
        wait(lambda: len(shown(deployed.mlflow, tmp_path.name)) == 2)
        deployed.mlflow.kill()
        study.finish_trials(2)
        study.until("nobody listens")
        study.finish_trials(2)
        deployed.mlflow.start()
        study.until("answers again")
    assert_whole(deployed.mlflow, tmp_path.name)
    assert_told_once(study.board)


def test_a_database_that_is_killed_behind_a_living_server_is_an_outage_like_another(
    deployed: Deployment, trained: Cli, tmp_path: Path
) -> None:
    with running(trained, tmp_path, deployed.mlflow.uri) as study:
        study.finish_trials(3)
        wait(lambda: len(shown(deployed.mlflow, tmp_path.name)) == 3)
        deployed.database.kill()
        study.finish_trials(3)
        study.until("its database, or what stands behind a proxy, may be away")
        deployed.database.start()
        study.until("answers again")
    assert_whole(deployed.mlflow, tmp_path.name)
    assert_told_once(study.board)


def test_a_server_that_hangs_is_given_up_and_what_it_does_later_leaves_no_second_run(
    deployed: Deployment, trained: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    with running(trained, tmp_path, deployed.mlflow.uri) as study:
        study.finish_trials(1)
        wait(lambda: len(shown(deployed.mlflow, tmp_path.name)) == 1)
        deployed.mlflow.process.pause()
        study.finish_trials(5)
        study.until("did not answer in time")
        deployed.mlflow.process.resume()
        study.until("answers again")
    assert_whole(deployed.mlflow, tmp_path.name)
    assert_told_once(study.board)


def test_an_answer_that_is_lost_leaves_no_second_run(deployed: Deployment, trained: Cli, tmp_path: Path) -> None:
    """The server makes the run, and dies as far as the client can tell."""
    with swallowing(deployed.mlflow, "runs/create", (2, 3, 5)) as uri, running(trained, tmp_path, uri) as study:
        study.finish_trials(TRIALS)
    assert_whole(deployed.mlflow, tmp_path.name)
    assert study.board.notices == []  # it passed at the second try


def test_a_study_that_ends_while_mlflow_is_away_says_how_to_catch_up_and_the_next_run_does(
    deployed: Deployment, trained: Cli, tmp_path: Path
) -> None:
    brief, lost = dataclasses.replace(SOON, at_end=0.2, at_end_unreached=0.2), set(range(3, 1000))
    with swallowing(deployed.mlflow, "runs/log-batch", lost) as uri:
        with running(trained, tmp_path, uri, brief) as study:
            study.finish_trials(TRIALS)
        assert "run the same command again: it catches up, without training again" in study.board.notices[-1]
        assert "RUNNING" in {run["status"] for run in deployed.mlflow.runs(f"grokstudy/{tmp_path.name}")}
        lost.clear()
        board = Board(study=tmp_path.name, planned=TRIALS, done_before=TRIALS)
        with Projection(study.spec, study.folder, board, SOON):
            """Nothing is left to do but to show it."""
    assert_whole(deployed.mlflow, tmp_path.name)
    assert board.notices == []


@contextmanager
def swallowing(server: MlflowServer, path: str, calls: Container[int]) -> Iterator[str]:
    """A proxy before a server that passes everything on, but breaks the connection in place of some answers.

    Args:
        server: what stands behind it.
        path: end of the path of the requests whose answers may be lost.
        calls: numbers of those requests, from 1, whose answers are lost.
    """
    count = 0

    class Proxy(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            nonlocal count
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, headers, answer = self._behind(body)
            if self.path.endswith(path):
                count += 1
                if count in calls:
                    self.close_connection = True
                    return
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in ("transfer-encoding", "content-length", "connection", "date", "server"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_POST = do_PUT = do_PATCH = do_DELETE = do_GET  # names that the base class asks for

        def _behind(self, body: bytes) -> tuple[int, Mapping[str, str], bytes]:
            there = http.client.HTTPConnection(server.host, server.port, timeout=60)
            headers = {**dict(self.headers), "Host": f"{server.host}:{server.port}"}
            there.request(self.command, self.path, body, headers)
            answer = there.getresponse()
            found = answer.status, dict(answer.headers), answer.read()
            there.close()
            return found

        def log_message(self, format: str, *args: object) -> None:
            """Nothing is printed."""

    proxy = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    proxy.daemon_threads = True
    thread = threading.Thread(target=proxy.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{proxy.server_address[1]}"
    finally:
        proxy.shutdown()
        thread.join()
        proxy.server_close()
