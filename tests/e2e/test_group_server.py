"""MLflow as a group has it: two processes behind a login, runs and users in PostgreSQL, artifacts in a bucket."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

import psycopg2
import pytest

import grokstudy as gs
from grokstudy.spec.settings import TrackingSettings
from grokstudy.tracking import group_database
from grokstudy.tracking.connection import diagnose
from grokstudy.tracking.group_server import LOGIN_SETTINGS
from tests.services import tree
from tests.services.mlflow_server import MlflowServer
from tests.services.ports import free_port
from tests.services.postgres import postgres, why_not
from tests.services.process import Service, own_environment, start
from tests.services.s3 import S3, moto_server

from .conftest import SMALL

pytestmark = pytest.mark.slow
PREPARE = [sys.executable, "-m", "grokstudy.tracking.group_database"]
ADMINISTRATOR = ("head", "a long password of the head")
RAY = ("ray", "a long password of ray pods")
GUEST = ("guest", "a long password of a guest")
MLFLOW_USER = Path(__file__).parents[2] / "k8s/mlflow_user.py"
SHORT = "password: must be the first line of stdin, 12 characters or more.\n"
CLOSED = ("/ajax-api/3.0/mlflow/scorer/invoke", "/ajax-api/3.0/jobs/", "/gateway/x/mlflow/invocations", "/v1/traces")


@dataclasses.dataclass(frozen=True, slots=True)
class Group:
    """A running server and what is behind it."""

    server: MlflowServer
    objects: S3
    environment: Mapping[str, str]
    prepared: tuple[int, ...]
    """How the commands ended that prepared the database, all started at once on an empty one."""

    def ask(
        self,
        method: str,
        path: str,
        user: tuple[str, str] | None = None,
        body: Mapping[str, object] | None = None,
        **headers: str,
    ) -> tuple[int, str]:
        """Status and body of an answer."""
        data = None if body is None else json.dumps(body).encode()
        headers["Content-Type"] = "application/json"
        if user is not None:
            headers["Authorization"] = f"Basic {base64.b64encode(':'.join(user).encode()).decode()}"
        request = urllib.request.Request(f"{self.server.uri}{path}", data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


@pytest.fixture(scope="module")
def group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Group]:
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    folder = tmp_path_factory.mktemp("group")
    with moto_server(folder / "s3") as objects, postgres(folder / "postgres") as database:
        port = free_port("127.0.0.1")
        environment = own_environment(
            **objects.environment(),
            **database.environment(),
            PGHOST=database.host,
            PGPORT=str(database.port),
            PGUSER="grokstudy",
            PGDATABASE="postgres",
            MLFLOW_BACKEND_STORE_URI="postgresql+psycopg2://",
            MLFLOW_ARTIFACTS_DESTINATION=f"{objects.make_bucket('group')}/mlflow",
            MLFLOW_AUTH_ADMIN_USERNAME=ADMINISTRATOR[0],
            MLFLOW_FLASK_SERVER_SECRET_KEY="only for this test",
            MLFLOW_SERVER_ALLOWED_HOSTS=f"127.0.0.1:{port}",
            MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
            MLFLOW_DISABLE_TELEMETRY="true",
            GIT_PYTHON_REFRESH="quiet",
        )
        making = {**environment, "MLFLOW_AUTH_ADMIN_PASSWORD": ADMINISTRATOR[1]}
        preparing = [
            start("wait", [*PREPARE, "wait"], folder, environment),
            *(start(f"upgrade-{one}", [*PREPARE, "upgrade"], folder, making) for one in range(2)),
        ]
        prepared = ended(preparing)
        words = [sys.executable, "-m", "mlflow", "server", "--app-name", "grokstudy-group"]
        words += ["--host", "127.0.0.1", "--port", str(port), "--workers", "2"]
        server = MlflowServer(folder, "127.0.0.1", port, environment, tuple(words))
        try:
            server.start()
            found = Group(server, objects, environment, prepared)
            for name, password in (RAY, GUEST):
                user = {"username": name, "password": password}
                assert found.ask("POST", "/api/2.0/mlflow/users/create", ADMINISTRATOR, user)[0] == 200
            yield found
        finally:
            server.stop()


def ended(services: list[Service]) -> tuple[int, ...]:
    """How each ended; none outlives this."""
    try:
        return tuple(service.process.wait(120) for service in services)
    finally:
        for service in services:
            service.kill()


@pytest.fixture
def at_database(group: Group, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """This process, where the server's database is."""
    for name, value in group.environment.items():
        if name.startswith(("PG", "MLFLOW_")):
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("MLFLOW_AUTH_CONFIG_PATH", str(LOGIN_SETTINGS))  # what it would set for itself, and leave
    return monkeypatch


@pytest.fixture
def login(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Nobody's, until a test says whose."""
    for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_upgrades_at_once_on_an_empty_database_are_one_and_a_server_waits_for_it(group: Group) -> None:
    assert group.prepared == (0, 0, 0)


def test_a_server_starts_on_no_older_database(group: Group, at_database: pytest.MonkeyPatch) -> None:
    group_database.check()
    with psycopg2.connect(dbname="postgres") as connection, connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA older; CREATE TABLE older.alembic_version AS SELECT 'early' AS version_num")
    connection.close()
    at_database.setenv("PGOPTIONS", "-csearch_path=older")
    with pytest.raises(group_database.NotReady, match="tables are of version early, MLflow here needs"):
        group_database.wait(0)


def test_a_database_that_is_away_is_told_with_what_to_look_at(group: Group, at_database: pytest.MonkeyPatch) -> None:
    at_database.setenv("PGPORT", str(free_port("127.0.0.1")))
    with pytest.raises(group_database.NotReady, match=r"refused[^$]*Check PGHOST, PGPORT"):
        group_database.wait(0)


def test_a_study_is_shown_with_all_its_runs_and_its_artifacts_lie_in_the_bucket(
    group: Group, login: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    login.setenv("MLFLOW_TRACKING_USERNAME", RAY[0])
    login.setenv("MLFLOW_TRACKING_PASSWORD", RAY[1])
    words = [*(word for word in SMALL if word != "tracking=none"), f"tracking.uri={group.server.uri}"]
    for seeds in ("seed=seeds(3)", "seed=seeds(4)"):  # new runs, then also runs that are there
        gs.run(*words, seeds, steps=100, name="ours", root=str(tmp_path), progress=False)
    search = "/ajax-api/2.0/mlflow/experiments/search"
    asked = {"max_results": 10, "filter": "name = 'grokstudy/ours'"}
    (experiment,) = json.loads(group.ask("POST", search, GUEST, asked)[1])["experiments"]
    runs = "/ajax-api/2.0/mlflow/runs/search"
    found = json.loads(group.ask("POST", runs, GUEST, {"experiment_ids": [experiment["experiment_id"]]})[1])["runs"]
    assert len(found) == 4 + 1
    assert {run["info"]["status"] for run in found} == {"FINISHED"}
    kept = group.objects.keys("group", "mlflow/")
    assert kept
    status, _ = group.ask("GET", f"/api/2.0/mlflow-artifacts/artifacts/{kept[0].removeprefix('mlflow/')}", GUEST)
    assert status == 200
    tag = {"run_id": found[0]["info"]["run_id"], "key": "mine", "value": "now"}
    assert group.ask("POST", "/api/2.0/mlflow/runs/set-tag", GUEST, tag)[0] == 403  # who did not make it only reads


@pytest.mark.parametrize("path", ["/", "/version", "/graphql", "/api/2.0/mlflow/users/list", "/get-artifact?path=x"])
def test_nothing_is_shown_without_a_login(group: Group, path: str) -> None:
    method = "POST" if path == "/graphql" else "GET"
    assert group.ask(method, path)[0] == 401
    assert group.ask(method, path, (RAY[0], "guessed"))[0] == 401


def test_a_probe_needs_no_login_but_a_name_that_the_server_knows(group: Group) -> None:
    assert group.ask("GET", "/health", Host="10.1.2.3:5000")[0] == 200
    assert group.ask("GET", "/api/3.0/mlflow/server-info")[0] == 200
    assert group.ask("GET", "/api/3.0/mlflow/server-info", Host="10.1.2.3:5000")[0] == 403
    assert group.ask("GET", "/", ADMINISTRATOR, Host="somewhere.example")[0] == 403


@pytest.mark.parametrize("path", CLOSED)
def test_routes_that_run_code_are_closed_even_to_the_administrator(group: Group, path: str) -> None:
    encoded = path[:2] + f"%{ord(path[2]):02x}" + path[3:]
    for spelling in (path, f"{path}/", f"/{path}", f"/.{path}", encoded, f"{path}?x=1", f"{path}%00"):
        assert group.ask("POST", spelling, ADMINISTRATOR, {})[0] == 404, spelling


@pytest.mark.parametrize("place", ["/etc", "file:///etc", "s3://another"])
def test_nobody_chooses_where_the_server_reads_and_writes_artifacts(group: Group, place: str) -> None:
    asked = {"name": "mine", "artifact_location": place}
    assert group.ask("POST", "/api/2.0/mlflow/experiments/create", ADMINISTRATOR, asked)[0] == 400


def test_the_pages_are_those_for_training(group: Group) -> None:
    status, page = group.ask("GET", "/", GUEST)
    assert status == 200
    assert "machine_learning" in page


def test_a_study_without_a_login_is_told_what_to_set(group: Group, login: pytest.MonkeyPatch) -> None:
    said = diagnose(TrackingSettings(), group.server.uri)
    assert said is not None
    assert "it asks for a login (401): set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" in said


def test_a_wrong_login_is_told_from_none_and_the_password_is_not_repeated(
    group: Group, login: pytest.MonkeyPatch
) -> None:
    login.setenv("MLFLOW_TRACKING_USERNAME", RAY[0])
    login.setenv("MLFLOW_TRACKING_PASSWORD", "guessed")
    said = diagnose(TrackingSettings(), group.server.uri)
    assert said is not None
    assert "it refuses the login (401)" in said
    assert "guessed" not in said
    login.setenv("MLFLOW_TRACKING_PASSWORD", RAY[1])
    assert diagnose(TrackingSettings(), group.server.uri) is None


def test_people_are_added_and_taken_away_without_a_password_on_the_command_line(group: Group) -> None:
    person = ("ada", "a password of ours")

    def user(*words: str, password: str = person[1], admin: tuple[str, str] = ADMINISTRATOR) -> tuple[int, str]:
        settings = {"MLFLOW_TRACKING_USERNAME": admin[0], "MLFLOW_TRACKING_PASSWORD": admin[1]}
        done = subprocess.run(
            [sys.executable, str(MLFLOW_USER), *words],
            input=f"{password}\n",
            env={**os.environ, "MLFLOW_TRACKING_URI": group.server.uri, **settings},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert "Traceback" not in done.stderr
        return done.returncode, done.stdout + done.stderr

    assert user("add", "ada", password="short") == (2, SHORT)
    assert user("add", "ada", admin=(ADMINISTRATOR[0], "guessed"))[0] == 2
    assert user("add", "ada") == (0, "add ada: done\n")
    assert group.ask("GET", "/api/2.0/mlflow/users/current", person)[0] == 200
    assert user("add", "ada") == (2, "add ada: there is such a user; the command `password` sets a new password\n")
    assert user("delete", "ada")[0] == 0
    assert user("delete", "ada") == (2, "delete ada: there is no such user\n")


def test_no_password_is_in_a_command_line_or_a_log(group: Group) -> None:
    secrets = (ADMINISTRATOR[1], RAY[1], GUEST[1], group.environment["MLFLOW_FLASK_SERVER_SECRET_KEY"])
    commands = [one.command for one in tree.below(group.server.process.pid)]
    logs = [path.read_text() for path in Path(group.server.folder).glob("*.log")]
    assert len(commands) >= 3
    assert not [secret for secret in secrets for text in [*commands, *logs] if secret in text]
