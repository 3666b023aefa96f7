"""A group's MLflow answers what its list names and nothing else, whatever MLflow's next version brings."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message

from grokstudy.spec.errors import BadInput
from grokstudy.tracking.artifact_places import names_no_place
from grokstudy.tracking.group_server import LOGIN_SETTINGS, check_settings
from grokstudy.tracking.open_routes import OnlyOpen, is_open, rows
from tests.services.process import own_environment

CLOSED = (
    *("scorer", "/jobs", "/gateway", "/v1/traces", "/traces", "assistant", "mcp-servers", "webhooks", "prompt-opt"),
    *("promptlab", "presigned", "/mpu/", "invoke", "upload-artifact", "/demo/", "signup", "create-ui", "telemetry"),
    *("/datasets/", "review-queues", "label-schemas", "/workspaces", "gateway-proxy", "/build/", "/issues"),
    *("model-versions/create", "model-versions/get-artifact", "registered-models/create", "artifacts/files"),
)
"""Parts of addresses that run code, fetch what they are told, lead round the server, or that nobody here needs."""
GOOD = {
    "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    "MLFLOW_SERVER_ALLOWED_HOSTS": "mlflow,mlflow:5000",
    "MLFLOW_FLASK_SERVER_SECRET_KEY": "random",
}
WALK = """
import json
from mlflow.server.auth import create_app
from mlflow.server import app as pages
application = create_app()
found = {(method, str(rule)) for rule in pages.url_map.iter_rules() for method in rule.methods - {"HEAD", "OPTIONS"}}
found |= {(method.upper(), path) for path, item in application.openapi()["paths"].items() for method in item}
print(json.dumps(sorted(found)))
"""
"""Every route of the application that `grokstudy-group` stands before: MLflow's Flask's and its FastAPI's."""


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str]]:
    """Method and an address of each route of MLflow's application with its login."""
    folder = tmp_path_factory.mktemp("routes")
    settings = LOGIN_SETTINGS.read_text().replace(
        "postgresql+psycopg2://?options=-csearch_path=mlflow_users", "sqlite:///login.db"
    )
    (folder / "login.ini").write_text(settings)
    environment = own_environment(
        _MLFLOW_SGI_NAME="uvicorn",
        _MLFLOW_SERVER_FILE_STORE=f"sqlite:///{folder}/runs.db",
        MLFLOW_AUTH_CONFIG_PATH=str(folder / "login.ini"),
        MLFLOW_AUTH_ADMIN_USERNAME="root",
        MLFLOW_AUTH_ADMIN_PASSWORD="only for this test",
        MLFLOW_DISABLE_TELEMETRY="true",
        **GOOD,
    )
    done = subprocess.run(
        [sys.executable, "-c", WALK], env=environment, cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return [(method, example(address)) for method, address in json.loads(done.stdout.splitlines()[-1])]


def example(address: str) -> str:
    """An address of a route or of a row of the list, with `x` for each part that varies."""
    return re.sub(r"<[^>]+>|\{[^}]+\}", "x", address)


def as_in_the_list(address: str) -> str:
    return address.replace("/ajax-api/", "/api/", 1)


@pytest.mark.slow
def test_of_mlflows_routes_exactly_those_of_the_list_are_open(routes: list[tuple[str, str]]) -> None:
    listed = {(method, example(address)) for method, address in rows()}
    opened = {(method, address) for method, address in routes if is_open(method, address)}
    assert {(method, as_in_the_list(address)) for method, address in opened} == listed  # no row is stale
    assert opened == {(method, path) for method, path in routes if (method, as_in_the_list(path)) in listed}
    assert len(routes) > 3 * len(opened)  # the walk saw what it was to see


@pytest.mark.slow
@pytest.mark.parametrize("part", CLOSED)
def test_a_route_that_could_do_harm_is_closed(routes: list[tuple[str, str]], part: str) -> None:
    found = [(method, address) for method, address in routes if part in address]
    assert found, f"MLflow has no such route any more: {part}"
    assert [route for route in found if is_open(*route)] == []


def spellings(address: str) -> Iterable[str]:
    yield f"{address}/"
    yield f"/{address}"
    yield address.replace("/mlflow/", "//mlflow/")
    yield address.replace("/mlflow/", "/./mlflow/")
    yield f"/static-files/..{address}"
    yield f"/api/2.0/mlflow-artifacts/artifacts/../../../..{address}"
    yield address.upper()
    yield f"/prefix{address}"
    yield f"{address}\n"
    yield f"{address}\x00"
    yield f"{address};x"


@pytest.mark.parametrize("address", ["/api/2.0/mlflow/users/create", "/ajax-api/3.0/mlflow/scorer/invoke"])
def test_another_spelling_opens_nothing(address: str) -> None:
    for spelling in spellings(address):
        assert not any(is_open(method, spelling) for method in ("GET", "POST", "PUT", "PATCH", "DELETE")), spelling


@pytest.mark.parametrize("method", ["PUT", "OPTIONS", "TRACE", "CONNECT", "get", ""])
def test_another_method_opens_nothing(method: str) -> None:
    assert is_open("POST", "/api/2.0/mlflow/runs/create")
    assert is_open("HEAD", "/health")
    assert not is_open(method, "/api/2.0/mlflow/runs/create")


def answered(kind: str, method: str, path: str, prefix: str = "") -> Message:
    """The first message that OnlyOpen sends; 200 from behind it."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    behind = OnlyOpen(PlainTextResponse("behind"), prefix=prefix)
    asyncio.run(behind({"type": kind, "method": method, "path": path, "headers": []}, receive, send))
    return sent[0]


def test_only_what_is_open_reaches_mlflow() -> None:
    assert answered("http", "GET", "/health")["status"] == 200
    assert answered("http", "POST", "/ajax-api/3.0/mlflow/scorer/invoke")["status"] == 404
    assert answered("websocket", "GET", "/health")["type"] == "websocket.close"


def test_a_static_prefix_is_no_way_round() -> None:
    assert answered("http", "GET", "/runs/health", "/runs")["status"] == 200
    assert answered("http", "POST", "/runs/ajax-api/3.0/mlflow/scorer/invoke", "/runs")["status"] == 404
    assert answered("http", "GET", "/runshealth", "/runs")["status"] == 404


def test_settings_that_protect_are_taken() -> None:
    check_settings(GOOD)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "true"),
        ("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", None),  # MLflow's default is on
        ("MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE", "true"),
        ("MLFLOW_BASIC_AUTH_FAIL_CLOSED", "0"),
        ("MLFLOW_SERVER_ALLOWED_HOSTS", None),
        ("MLFLOW_SERVER_ALLOWED_HOSTS", "*"),
        ("MLFLOW_SERVER_ALLOWED_HOSTS", "mlflow,*"),
        ("MLFLOW_FLASK_SERVER_SECRET_KEY", ""),
    ],
)
def test_a_setting_that_leaves_the_server_open_is_refused_by_name(name: str, value: str | None) -> None:
    given = {key: text for key, text in {**GOOD, name: value}.items() if text is not None}
    with pytest.raises(BadInput, match=name):
        check_settings(given)


def test_no_password_stands_in_the_settings_of_the_login() -> None:
    assert not re.search(r"(?m)^\s*\w*password|://[^?\s]", LOGIN_SETTINGS.read_text())
    assert LOGIN_SETTINGS.parent == Path(check_settings.__code__.co_filename).parent  # it travels with the package


@pytest.mark.parametrize("body", [b"", b'{"name": "a"}', b'{"name": "a", "artifact_location": ""}', b'"{}"'])
def test_an_experiment_that_names_no_place_is_created(body: bytes) -> None:
    assert names_no_place(body)


@pytest.mark.parametrize(
    "body",
    [
        b'{"artifact_location": "/etc"}',
        b'{"artifactLocation": "s3://other"}',
        b'{"\\u0061rtifact_location": "file:///etc"}',
        json.dumps(json.dumps({"artifact_location": "/etc"})).encode(),
        json.dumps({"artifact_location": "/etc"}).encode("utf-16"),
        b"[]",
        b"not JSON",
        b"[" * 100_000,
    ],
)
def test_an_experiment_chooses_no_place_for_its_artifacts(body: bytes) -> None:
    assert not names_no_place(body)
