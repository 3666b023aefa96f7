"""A study on a remote Ray cluster, as a user sends it: head, dashboard and token on loopback, and an S3 server."""

from __future__ import annotations

import json
import signal
import time
import urllib.request
from collections.abc import Callable, Iterator

import pytest

from grokstudy.study.submission import code_files
from tests.services import tree
from tests.services.ray_nodes import RayHead, ray_head
from tests.services.s3 import S3, moto_server

from .conftest import Cli
from .stored import assert_equal, tables

pytestmark = [pytest.mark.slow, pytest.mark.ray]

SECRET = "hunter2-do-not-send"
ROOT = "s3://bucket/data"
STUDY = ["preset=quad23", "regularization.weight_decay=1", "seed=seeds(3)", "tracking=none", "cluster.pack_size=1"]
STUDY += ["measures.names=[cross_entropy]", "measures.checkpoints=final", "--steps", "400"]


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with moto_server(tmp_path_factory.mktemp("s3")) as server:
        server.make_bucket("bucket")
        yield server


@pytest.fixture(scope="module")
def head(s3: S3, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayHead]:
    """A cluster whose nodes, and not the user, bring what the storage asks for."""
    settings = {**s3.environment(), "OMP_NUM_THREADS": "1"}
    with ray_head(tmp_path_factory.mktemp("ray"), cpus=1, settings=settings) as running:
        yield running


@pytest.fixture
def user(cli: Cli, s3: S3, head: RayHead, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """A user of the cluster, with a secret in every place that must not travel."""
    mine = {**s3.environment(), **head.environment, "MY_SECRET": SECRET, "GROKSTUDY_STORAGE": ROOT}
    del mine["RAY_ADDRESS"]
    cli.env = {**cli.env, **mine}
    for name, value in s3.environment().items():  # this process reads the study, too
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", cli.env["HOME"])
    for name in (".env", "credentials.yaml", "secret.py", "data.parquet"):
        (cli.work / name).write_text(SECRET)
    return cli


def test_a_submitted_study_ends_as_it_would_here_and_again_there_is_nothing_to_do(
    user: Cli, s3: S3, head: RayHead
) -> None:
    """The tables of one process, bit for bit; a study of this name with other fixed settings fails and says why."""
    words = ["submit", "run", *STUDY, "--name", "far", "--follow"]
    first = user.run(*words, "--ship-code")
    assert "Running entrypoint" in first.stdout
    assert "far-" in first.stdout
    assert "finished" in first.stderr
    user.run("run", *STUDY, "cluster=none", f"storage.root={user.root}", "--name", "far")
    assert_equal(tables(user.root, "far"), tables(ROOT, "far"))
    assert "nothing to do" in user.run(*words).stdout

    assert "optimizer.lr" in user.run(*words, "optimizer.lr=0.123", code=1).stdout
    jobs = json.loads(user.run("status", "--format", "json").stdout)
    assert [job["state"] for job in jobs] == ["failed", "finished", "finished"]
    assert jobs[0]["exit_code"] == 2
    assert jobs[1]["id"][:-2] == jobs[2]["id"][:-2]
    told = user.run("status", "far").stdout
    assert "failed" in told
    assert "0.123" in told
    user.run("logs", "-f", "far", code=1)
    assert "nothing to do" in user.run("logs", jobs[1]["id"]).stdout
    assert "finished already" in user.run("stop", jobs[1]["id"]).stdout
    _no_secret_left_the_user(user, s3, head)


@pytest.mark.campaign
def test_a_job_stopped_in_the_middle_goes_on_where_it_was(user: Cli, s3: S3) -> None:
    """One job while it is at work; stopped and submitted again: the undisturbed tables, bit for bit."""
    words = [*STUDY, "--steps", "2500", "--name", "cut", "cluster.snapshot_seconds=1"]
    first = json.loads(user.run("submit", "run", *words, "--format", "json").stdout)
    assert first["submitted"]
    again = json.loads(user.run("submit", "run", *words, "--format", "json").stdout)
    assert (again["id"], again["submitted"]) == (first["id"], False)
    _interrupted_follower_leaves_the_job(user)
    _wait(lambda: bool(s3.keys("bucket", "data/cut/trials/")), user, "cut")
    stopped = user.run("stop", "cut").stdout
    assert "stopped" in stopped
    assert "kept" in stopped
    assert 0 < len(tables(ROOT, "cut")["trials"]) < 3
    followed = user.run("submit", "run", *words, "--follow")
    assert followed.stdout.startswith(f"{first['id'][:-1]}2: submitted")
    user.run("run", *words, "cluster=none", f"storage.root={user.root}")
    assert_equal(tables(user.root, "cut"), tables(ROOT, "cut"))


def test_who_has_no_right_or_asks_elsewhere_is_told_what_to_set(user: Cli) -> None:
    good = dict(user.env)
    for change, told in (
        ({"RAY_AUTH_TOKEN": SECRET}, ["refuses the token of RAY_AUTH_TOKEN"]),
        ({"RAY_AUTH_MODE": "disabled"}, ["wants a token", "RAY_AUTH_MODE=token"]),
        ({"RAY_AUTH_TOKEN": ""}, ["~/.ray/auth_token holds no token", "RAY_AUTH_TOKEN_PATH"]),
        ({"RAY_API_SERVER_ADDRESS": "http://127.0.0.1:9"}, ["nothing answers", "127.0.0.1:9"]),
    ):
        user.env = {**good, **change}
        said = user.run("status", code=2).stderr
        assert all(part in said for part in told), said
        assert SECRET not in said
    user.env = good
    assert "grokstudy status" in user.run("logs", "nothing", code=2).stderr


def _interrupted_follower_leaves_the_job(user: Cli) -> None:
    follower = user.start("logs", "-f", "cut")
    assert follower.stdout is not None
    while "Running entrypoint" not in (line := follower.stdout.readline()):
        assert line, follower.communicate()
    follower.send_signal(signal.SIGINT)
    said = follower.communicate(timeout=60)[1]
    assert follower.returncode == 130
    assert "the job goes on" in said
    assert "Traceback" not in said
    assert json.loads(user.run("status", "cut", "--format", "json").stdout)["state"] == "running"


def _wait(reached: Callable[[], bool], user: Cli, job: str) -> None:
    end = time.monotonic() + 120
    while not reached():
        assert time.monotonic() < end, user.run("logs", job).stdout
        time.sleep(0.1)


def _no_secret_left_the_user(user: Cli, s3: S3, head: RayHead) -> None:
    """Not in what the dashboard shows, in logs, in the storage, or on any command line of the cluster."""
    secrets = (SECRET, s3.secret_key, head.token)
    request = urllib.request.Request(f"{head.dashboard}/api/jobs/", headers={"Authorization": f"Bearer {head.token}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        shown = answer.read().decode()
    assert "far-" in shown
    shown += user.run("logs", "far").stdout
    shown += "".join(process.command for process in tree.processes())
    for key in s3.keys("bucket"):
        shown += s3.client().get_object(Bucket="bucket", Key=key)["Body"].read().decode(errors="replace")
    assert [secret for secret in secrets if secret in shown] == []
    listed = json.loads(user.run("submit", "run", *STUDY, "--ship-code", "--dry-run", "--format", "json").stdout)
    assert set(listed["files"]) == {"study.yaml", *code_files()}
