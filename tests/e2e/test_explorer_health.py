"""What a cluster asks the explorer: it answers whatever name it is called by, and troubles the storage little."""

from __future__ import annotations

import dataclasses
import http.server
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from grokstudy.explorer.health import SECONDS_BETWEEN
from tests.explorer import explorer

EMPTY = b"<ListBucketResult><Name>b</Name><KeyCount>0</KeyCount><MaxKeys>1000</MaxKeys></ListBucketResult>"
PROBE = {"Host": "10.1.2.3:8501"}
"""What a cluster calls a pod: its address, which the explorer cannot know."""


@dataclasses.dataclass(slots=True)
class Bucket:
    """A bucket that is empty, or refuses, or keeps who asks waiting."""

    asked: int = 0
    status: int = 200
    answering: threading.Event = dataclasses.field(default_factory=threading.Event)


@contextmanager
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """One whose requests are counted; AWS_ENDPOINT_URL leads there."""
    found = Bucket()
    found.answering.set()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked += 1
            found.answering.wait(30)
            self.send_response(found.status)
            self.send_header("Content-Length", str(len(EMPTY)))
            self.end_headers()
            self.wfile.write(EMPTY)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "known")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "never-shown")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    try:
        yield found
    finally:
        found.answering.set()
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
@pytest.mark.parametrize("below", ["", "/grokstudy"])
def test_a_probe_is_answered_whatever_it_calls_the_host(tmp_path: Path, path: str, below: str) -> None:
    with explorer(str(tmp_path), root_path=below) as running:
        for where in {path, f"{below}{path}"}:
            reply = running.get(where, headers=PROBE)
            assert (reply.status, reply.body) == (200, b"ok")
        assert running.get("/api/studies", headers=PROBE).status == 400  # all else still wants a name that it knows


def test_a_storage_root_that_cannot_be_is_not_ready_but_alive(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with explorer(str(tmp_path / "file")) as running:
        reply = running.get("/readyz", headers=PROBE)
        assert reply.status == 503
        assert reply.body.decode().startswith("storage.root:")
        assert running.get("/healthz", headers=PROBE).status == 200


def test_a_bucket_that_refuses_is_not_ready_and_no_secret_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with bucket(monkeypatch) as asked, explorer("s3://b/studies") as running:
        asked.status = 403
        reply = running.get("/readyz", headers=PROBE)
        assert reply.status == 503
        assert "s3:ListBucket" in reply.body.decode()
        assert "never-shown" not in reply.body.decode()


def test_many_probes_are_one_request_to_the_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grokstudy.explorer.health.SECONDS_BETWEEN", 1000 * SECONDS_BETWEEN)
    with bucket(monkeypatch) as asked, explorer("s3://b/studies") as running:
        with ThreadPoolExecutor(8) as probes:
            replies = list(probes.map(lambda _: running.get("/readyz", headers=PROBE).status, range(24)))
        assert replies == [200] * 24
        assert asked.asked == 1


def test_a_bucket_that_keeps_silent_is_not_ready_and_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grokstudy.explorer.health.SECONDS_FOR_AN_ANSWER", 0.1)
    with bucket(monkeypatch) as asked, explorer("s3://b/studies") as running:
        asked.answering.clear()
        replies = [running.get("/readyz", headers=PROBE) for _ in range(3)]
        assert {reply.status for reply in replies} == {503}
        assert b"no answer" in replies[0].body
        assert asked.asked == 1
        assert running.get("/healthz", headers=PROBE).status == 200


def test_a_bucket_that_is_back_is_ready_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("grokstudy.explorer.health.SECONDS_BETWEEN", 0.0)
    with bucket(monkeypatch) as asked, explorer("s3://b/studies") as running:
        asked.status = 403
        assert running.get("/readyz", headers=PROBE).status == 503
        asked.status = 200
        assert running.get("/readyz", headers=PROBE).status == 200


def test_a_probe_only_reads(tmp_path: Path) -> None:
    with explorer(str(tmp_path)) as running, pytest.raises(HTTPError, match="405"):
        urlopen(Request(f"{running.url}/readyz", method="POST", headers=PROBE), timeout=30)
