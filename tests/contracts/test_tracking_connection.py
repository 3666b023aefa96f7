"""An MLflow that cannot be used says why, in a sentence of its own with its remedy, within seconds."""

from __future__ import annotations

import contextlib
import http.server
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from grokstudy.spec.errors import BadInput
from grokstudy.spec.settings import TrackingSettings
from grokstudy.tracking import connection
from grokstudy.tracking.causes import LOGIN, cause
from grokstudy.tracking.connection import diagnose

HOST_REFUSED = b"Invalid Host header - possible DNS rebinding attack detected"
PAGE = b"<html><title>Sign in</title></html>"


@contextlib.contextmanager
def answering(status: int, body: bytes, kind: str = "text/plain") -> Iterator[str]:
    """A server on loopback that gives everybody this one answer; its HOST:PORT."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.do_GET()

        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing is printed."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def said(uri: str) -> str:
    text = diagnose(TrackingSettings(), uri)
    assert text is not None
    assert "\n" not in text
    assert text.startswith("tracking.uri: MLflow at ")
    return text


def test_a_server_that_refuses_its_name_is_told_the_very_name() -> None:
    with answering(403, HOST_REFUSED) as place:
        assert f"--allowed-hosts '{place}'" in said(f"http://{place}")
        port = place.rpartition(":")[2]
        assert f"--allowed-hosts 'localhost:{port}'" in said(f"http://localhost:{port}")


def test_a_server_that_asks_for_a_login_names_the_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    with answering(401, b"You are not authenticated.") as place:
        for name in (*LOGIN, "MLFLOW_TRACKING_TOKEN"):
            monkeypatch.delenv(name, raising=False)
        assert f"asks for a login (401): set {LOGIN[0]} and {LOGIN[1]}" in said(f"http://{place}")
        for name in LOGIN:
            monkeypatch.setenv(name, "swordfish")
        text = said(f"http://{place}")
        assert "refuses the login (401)" in text
        assert "swordfish" not in text


@pytest.mark.parametrize(
    ("status", "body", "sentence"),
    [
        (403, b'{"error_code": "PERMISSION_DENIED", "message": "no"}', "does not allow this (403)"),
        (404, PAGE, "no MLflow tracking server (404"),
        (200, PAGE, "a login page of a proxy looks like that too"),
        (405, PAGE, "no MLflow tracking server (405"),
        (429, b"slowly", "fewer requests (429)"),
        (500, b"oops", "errors (500): its database"),
        (503, PAGE, "errors (503)"),
        (500, b'{"error_code": "INTERNAL_ERROR", "message": "could not connect to server"}', "errors (500)"),
    ],
)
def test_every_answer_that_is_no_use_has_its_sentence(status: int, body: bytes, sentence: str) -> None:
    with answering(status, body, "text/html") as place:
        assert sentence in said(f"http://{place}")


def test_an_address_where_nobody_answers_has_its_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{held.getsockname()[1]}"
        assert f"nobody listens at {place}" in said(f"http://{place}")
        held.listen()  # connections are taken and never served
        monkeypatch.setattr(connection, "DIAGNOSIS_SECONDS", 1)
        assert "did not answer in time" in said(f"http://{place}")


def test_a_name_that_no_resolver_knows_is_said_to_be_unknown() -> None:
    assert "no host is called 'mlflow.invalid'" in said("http://mlflow.invalid:5000")


def test_tls_where_there_is_none_is_told_from_a_server_that_is_away() -> None:
    with answering(200, PAGE) as place:
        assert f"does not speak TLS: write http://{place}" in said(f"https://{place}")


def test_a_file_that_can_be_used_or_made_is_no_trouble_and_looking_makes_nothing(tmp_path: Path) -> None:
    assert diagnose(TrackingSettings(), f"sqlite:///{tmp_path}/new/mlflow.db") is None
    assert not list(tmp_path.iterdir())
    (tmp_path / "mlflow.db").write_bytes(b"this is not a database")
    assert "not an SQLite database" in said(f"sqlite:///{tmp_path}/mlflow.db")


@pytest.mark.parametrize("uri", ["http://me:secret@host:5000", "https://secret@host", "http://me:sec/ret@host"])
def test_a_password_in_the_address_is_refused_before_it_is_kept_anywhere(uri: str) -> None:
    with pytest.raises(BadInput, match=r"tracking\.uri: got 'https?://\.\.\.@host") as caught:
        TrackingSettings(uri=uri)
    assert "MLFLOW_TRACKING_PASSWORD" in str(caught.value)
    assert not {"secret", "sec/", "ret@"} & set(str(caught.value).split("'"))
    assert "secret" not in str(caught.value)


FULL_DISK = """
import resource, signal, sys
from grokstudy.spec.settings import TrackingSettings
from grokstudy.tracking.connection import TrackingUnavailable, connect
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
try:
    connect(TrackingSettings(), sys.argv[1])
except TrackingUnavailable as error:
    print(error)
"""
"""A limit to the size of a file stands in for a disk that fills up: SQLite hears the same from both."""


@pytest.mark.slow
def test_a_disk_that_fills_up_leaves_no_database_half_made(tmp_path: Path) -> None:
    """MLflow would never open it again: its migrations do not start over."""
    file = tmp_path / "root" / "mlflow.db"
    words = [sys.executable, "-c", FULL_DISK, f"sqlite:///{file}"]
    tried = subprocess.run(words, capture_output=True, text=True, timeout=120, check=True)
    assert "is not available" in tried.stdout, tried.stderr
    assert list(file.parent.iterdir()) == []
    connection.connect(TrackingSettings(), f"sqlite:///{file}")
    assert [one.name for one in file.parent.iterdir()] == ["mlflow.db"]


def test_a_database_left_half_made_by_others_is_named_with_its_remedy() -> None:
    text = "(sqlite3.OperationalError) table _alembic_tmp_runs already exists"
    assert "delete the file" in cause(RuntimeError(text), "sqlite:////x/mlflow.db")
