"""What may answer at an address that should be a cluster's dashboard: each is told apart, and no token is repeated."""

from __future__ import annotations

import contextlib
import http.server
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from grokstudy.cli.app import app
from grokstudy.execution import jobs
from grokstudy.execution.job_log import LogBroken, new_text
from grokstudy.execution.jobs import Jobs
from grokstudy.spec.errors import BadInput, GrokstudyError

SECRET = "hunter2-do-not-show"
STUDY = ["preset=quad23", "task.p=11", "storage.root=s3://bucket/data", "tracking=none", "--name", "mine"]


@pytest.fixture(autouse=True)
def own_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("HOME", str(tmp_path))


@contextlib.contextmanager
def server(status: int, body: bytes) -> Iterator[str]:
    """Answers every request the same; its address."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def refusal(address: str) -> str:
    with pytest.raises(BadInput) as refused:
        Jobs(address)
    assert "\n" not in str(refused.value)
    assert "--address" in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (404, b"", "no Ray dashboard"),
        (502, b"bad gateway", "no Ray dashboard"),
        (200, b"<html></html>", "no Ray dashboard"),
        (200, b"{}", "no Ray dashboard"),
        (401, b"Unauthorized", "wants a token"),
        (403, f"token {SECRET} is wrong".encode(), "refuses the token"),
    ],
)
def test_what_is_no_open_dashboard_is_named_with_its_remedy(status: int, body: bytes, told: str) -> None:
    with server(status, body) as address:
        said = refusal(address)
    assert told in said
    assert SECRET not in said
    assert ("RAY_AUTH_TOKEN" if status in (401, 403) else "8265") in said


def test_nothing_at_the_address_is_told_from_a_server_that_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        assert "nothing answers" in refusal(f"http://127.0.0.1:{closed.getsockname()[1]}")
        monkeypatch.setattr(jobs, "ANSWER_SECONDS", 0.3)
        closed.listen()
        assert "does not answer within" in refusal(f"http://127.0.0.1:{closed.getsockname()[1]}")


def test_tls_where_there_is_none_is_told() -> None:
    with server(200, b"{}") as address:
        assert "TLS" in refusal(address.replace("http:", "https:"))


@pytest.mark.parametrize("address", ["ray://head:10001", "head:8265", "auto", "http://", "127.0.0.1:6379"])
def test_only_a_dashboard_takes_jobs(address: str) -> None:
    assert "http://HOST:8265" in refusal(address)


def test_an_address_holds_no_password() -> None:
    assert SECRET not in refusal(f"http://me:{SECRET}@head:8265")


def test_the_given_address_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray's own client follows RAY_ADDRESS even if it is told another."""
    version = json.dumps({"version": "4", "ray_version": "2.60.7"}).encode()
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with server(200, version) as address:
        found = Jobs(address)
        assert found.ray_version == "2.60.7"
        found.check_version()  # patches may differ


def test_another_ray_on_the_cluster_is_refused() -> None:
    with server(200, json.dumps({"version": "4", "ray_version": "2.49.1"}).encode()) as address:
        with pytest.raises(BadInput, match=r"2\.49\.1.*ray==2\.49\.1"):
            Jobs(address).check_version()
        assert "2.49.1" in invoke("submit", "run", *STUDY, "--address", address)


def test_a_broken_stream_is_told_and_one_taken_up_again_repeats_nothing() -> None:
    class Stream:
        """Text of a log, from its beginning, until the connection breaks."""

        def __init__(self, *texts: str) -> None:
            self.texts = list(texts)

        def __aiter__(self) -> Stream:
            return self

        async def __anext__(self) -> str:
            if not self.texts:
                raise OSError("connection reset")
            return self.texts.pop(0)

    def read(stream: Stream, shown: str) -> str:
        with contextlib.suppress(LogBroken):
            for text in new_text(stream, len(shown)):
                shown += text
            pytest.fail("a broken stream ended as if it were whole")
        return shown

    shown = read(Stream("one\n", "two\n"), "")
    assert shown == "one\ntwo\n"
    shown = read(Stream("one\ntw", "o\nth", "ree\n"), shown)
    assert shown == "one\ntwo\nthree\n"


def invoke(*words: str) -> str:
    """The message that a command ends with; empty if it succeeds."""
    result = CliRunner().invoke(app, words)
    if result.exit_code == 0:
        return ""
    assert isinstance(result.exception, GrokstudyError), (result.exception, result.output)
    return str(result.exception)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["submit", "run", *STUDY], ["--address", "RAY_API_SERVER_ADDRESS"]),
        (["submit", "phases", "mine"], ["phases", "run"]),
        (["submit", "run", *STUDY, "optimizer.lrr=1", "--dry-run"], ["optimizer.lrr", "did you mean"]),
        (["submit", "run", *STUDY, "storage.root=./here", "--dry-run"], ["storage.root", "s3://"]),
        (["submit", "run", *STUDY, "--driver-resource", "head", "--dry-run"], ["--driver-resource", "NAME=AMOUNT"]),
        (["submit", "measure", "--storage", "s3://bucket/data", "--dry-run"], ["STUDY"]),
        (["submit", "measure", "mine", "--storage", "data", "--dry-run"], ["storage.root", "s3://"]),
        (["submit", "measure", "--weights", "a.pt", "--dry-run"], ["--weights"]),
        (["submit", "store", "chek", "mine", "--dry-run"], ["chek", "did you mean 'check'"]),
        (["submit", "store", "check", "s3://bucket/data/mine", "--dry-run"], ["STUDY by its name"]),
        (["status"], ["--address"]),
        (["logs", "mine"], ["--address"]),
        (["stop", "mine"], ["--address"]),
    ],
)
def test_bad_input_is_refused_here_before_anything_is_sent(words: list[str], named: list[str]) -> None:
    said = invoke(*words)
    assert all(part in said for part in named), said


def test_a_dry_run_lists_what_would_be_sent_and_sends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", SECRET)
    monkeypatch.setenv("GROKSTUDY_DEBUG", "1")
    words = ["submit", "run", *STUDY, "--max-hours", "2", "--driver-resource", "head=0.01", "--dry-run"]
    result = CliRunner().invoke(app, [*words, "--address", "http://127.0.0.1:9", "--format", "json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["id"].startswith("mine-")
    assert list(found["files"]) == ["study.yaml"]
    assert found["entrypoint"].endswith("run --from study.yaml --progress lines --max-hours 2")
    assert found["driver_resources"] == {"head": 0.01}
    assert found["environment"] == ["GROKSTUDY_DEBUG"]
    assert SECRET not in result.output


def test_a_search_for_critical_values_travels_as_words() -> None:
    words = ["submit", "critical", *STUDY, "--param", "optimizer.lr", "optimizer.lr=log(0.01,1)", "--dry-run"]
    result = CliRunner().invoke(app, [*words, "--format", "json"])
    assert result.exit_code == 0, result.exception
    found = json.loads(result.stdout)
    assert "--param optimizer.lr 'optimizer.lr=log(0.01,1)'" in found["entrypoint"]
    assert found["entrypoint"].endswith("storage.root=s3://bucket/data cluster.kind=ray")
    assert found["files"] == {}


@pytest.mark.parametrize(
    ("words", "sent"),
    [
        (["measure", "mine", "--only", "fve"], "measure mine --only fve --cluster ray --storage s3://bucket/data"),
        (["store", "check", "mine", "--repair"], "store check mine --repair --storage s3://bucket/data"),
        (["doctor", "tracking=none"], "doctor tracking=none storage.root=s3://bucket/data cluster.kind=ray"),
    ],
)
def test_another_verb_travels_with_the_storage_it_means_here(
    words: list[str], sent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROKSTUDY_STORAGE", "s3://bucket/data")
    result = CliRunner().invoke(app, ["submit", *words, "--dry-run", "--format", "json"])
    assert result.exit_code == 0, result.exception
    assert json.loads(result.stdout)["entrypoint"].endswith(sent)
