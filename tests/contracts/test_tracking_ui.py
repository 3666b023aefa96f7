"""MLflow's UI as `grokstudy mlflow` starts it: its port, its first page, its pictures."""

from __future__ import annotations

import asyncio
import contextlib
import io
import socket
import sqlite3
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from starlette.responses import PlainTextResponse, Response
from starlette.types import Message, Receive, Scope, Send

from grokstudy.spec.errors import BadInput, GrokstudyError
from grokstudy.tracking.picture import small
from grokstudy.tracking.ui import free_port, served, ui_command

HTML = b'<!doctype html><html lang="en"><head><title>MLflow</title></head></html>'


@contextlib.contextmanager
def taken() -> Iterator[int]:
    """A port that somebody listens on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        yield held.getsockname()[1]


def test_a_taken_port_gives_the_next_free_one() -> None:
    with taken() as port:
        assert port < free_port(port) < port + 20


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_that_cannot_be_is_refused(port: int) -> None:
    with pytest.raises(BadInput, match=f"--port: got {port}, must lie between 1 and 65535"):
        free_port(port)


def test_a_damaged_database_is_named_and_how_to_have_it_again(tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    with contextlib.closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE runs (id)")
    uri = f"sqlite:///{file}"
    assert uri in ui_command(uri)
    file.write_bytes(b"no longer a database")
    with pytest.raises(BadInput, match=r"mlflow\.db is damaged.*run a study again"):
        ui_command(uri)


def test_a_server_that_ends_at_once_is_reported_with_its_exit_code() -> None:
    command = [sys.executable, "-c", "raise SystemExit(7)"]
    with pytest.raises(GrokstudyError, match="exit code 7"), served(command, "127.0.0.1", free_port(20_000)):
        pytest.fail("entered without a server")


def test_a_server_that_answers_is_ended_with_the_block() -> None:
    port = free_port(20_000)
    command = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", str(port)]
    with served(command, "127.0.0.1", port) as server:
        assert server.poll() is None
    assert server.returncode is not None
    assert free_port(port) == port


def test_a_picture_is_made_as_narrow_as_asked_and_keeps_its_shape() -> None:
    drawn = io.BytesIO()
    Figure(figsize=(8, 4), dpi=100).savefig(drawn, format="png")
    made = small(drawn.getvalue(), width=200)
    assert struct.unpack(">II", made[16:24]) == (200, 100)
    assert small(made, width=200) == made
    assert small(b"no picture") == b"no picture"


# MLflow's web application uses parts of its libraries that these deprecate
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_the_start_page_chooses_the_training_pages_and_nothing_else_is_touched() -> None:
    from grokstudy.tracking.training_mode import TrainingMode, with_first_choices

    async def start_page(scope: Scope, receive: Receive, send: Send) -> None:
        await Response(HTML, media_type="text/html")(scope, receive, send)

    headers, body = asyncio.run(_answer(TrainingMode(start_page), "/"))
    assert body == with_first_choices(HTML)
    assert body.index(b"machine_learning") < body.index(b"<title>")
    assert headers["content-length"] == str(len(body))

    plain = PlainTextResponse("a <head> that is no page")
    assert asyncio.run(_answer(TrainingMode(plain), "/ajax-api"))[1] == plain.body


async def _answer(app: object, path: str) -> tuple[dict[str, str], bytes]:
    """Headers and body of a GET."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    await app({"type": "http", "method": "GET", "path": path, "headers": []}, receive, send)  # type: ignore[operator]
    headers = {key.decode(): value.decode() for key, value in sent[0]["headers"]}
    return headers, b"".join(message.get("body", b"") for message in sent[1:])
