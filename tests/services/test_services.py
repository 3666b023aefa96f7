"""The services that other tests stand on: they refuse strangers, keep what they took, and leave nothing behind."""

from __future__ import annotations

import random
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from botocore.exceptions import ClientError

from grokstudy.store.storage import Storage
from tests.services import namespaces, postgres, rgw, tree
from tests.services.mlflow_server import mlflow_server
from tests.services.process import ServiceFailed, own_environment, running
from tests.services.ray_nodes import QUICK, ray_cluster, ray_head
from tests.services.s3 import S3, client, moto_server

needs_postgres = pytest.mark.skipif(postgres.why_not() is not None, reason=str(postgres.why_not()))
needs_rgw = pytest.mark.skipif(rgw.why_not() is not None, reason=str(rgw.why_not()))
needs_namespaces = pytest.mark.skipif(namespaces.why_not() is not None, reason=str(namespaces.why_not()))


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with moto_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


def test_an_object_comes_back_and_a_second_writer_is_told(s3: S3) -> None:
    s3.make_bucket("studies")
    connection = s3.client()
    connection.put_object(Bucket="studies", Key="a/b", Body=b"once", IfNoneMatch="*")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        connection.put_object(Bucket="studies", Key="a/b", Body=b"twice", IfNoneMatch="*")
    assert connection.get_object(Bucket="studies", Key="a/b")["Body"].read() == b"once"
    assert s3.keys("studies") == ["a/b"]


@pytest.mark.parametrize(
    ("key", "code"), [("AWS_SECRET_ACCESS_KEY", "SignatureDoesNotMatch"), ("AWS_ACCESS_KEY_ID", "InvalidAccessKeyId")]
)
def test_a_wrong_key_is_refused(s3: S3, key: str, code: str) -> None:
    with pytest.raises(ClientError, match=code):
        client({**s3.environment(), key: "wrong"}).put_object(Bucket="any", Key="a", Body=b"")


def test_a_service_that_does_not_come_up_shows_its_last_lines(tmp_path: Path) -> None:
    words = ["sh", "-c", "echo no room left; exit 3"]
    with (
        pytest.raises(ServiceFailed, match=r"shell ended with 3:\nno room left"),
        running("shell", words, tmp_path, ready=lambda: False),
    ):
        pass


def test_a_service_and_its_children_are_gone_when_the_test_fails(tmp_path: Path) -> None:
    words = ["sh", "-c", "trap '' TERM; sleep 600 & echo ready; wait; wait"]
    log = tmp_path / "shell.log"
    pids: list[int] = []

    def broken() -> None:
        ready = "ready\n"
        with running("shell", words, tmp_path, ready=lambda: log.read_text() == ready, stop_seconds=0.1) as shell:
            pids.extend([shell.pid, *(one.pid for one in tree.below(shell.pid))])
            shell.pause()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        broken()
    assert len(pids) == 2
    assert not {one.pid for one in tree.processes()} & set(pids)


@needs_postgres
def test_postgres_keeps_what_was_committed_when_it_is_killed(tmp_path: Path) -> None:
    with postgres.postgres(tmp_path / "pg") as server:

        def ask(text: str, password: str) -> object:
            connection = psycopg2.connect(
                host=server.host, port=server.port, user="grokstudy", password=password, dbname="postgres"
            )
            with connection, connection.cursor() as cursor:
                cursor.execute(text)
                found = cursor.fetchone() if cursor.description else None
            connection.close()
            return found

        ask("CREATE TABLE kept AS SELECT 7 AS seven", server.password)
        server.kill()
        server.start()
        assert ask("SELECT seven FROM kept", server.password) == (7,)
        assert ask("SHOW fsync", server.password) == ("on",)
        with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
            ask("SELECT 1", "guessed")
        assert not any(server.password in one.command for one in tree.processes())


@pytest.mark.campaign
@needs_postgres
def test_mlflow_keeps_runs_in_postgres_and_artifacts_in_s3(s3: S3, tmp_path: Path) -> None:
    bucket = s3.make_bucket("artifacts")
    with postgres.postgres(tmp_path / "pg") as database:
        needed = database.environment() | s3.environment()
        with mlflow_server(tmp_path / "mlflow", database.uri, artifacts=bucket, environment=needed) as server:
            experiment = server.post("experiments/create", {"name": "one"})["experiment_id"]
            server.post("runs/create", {"experiment_id": experiment, "tags": [{"key": "a", "value": "b"}]})
            path = f"{server.uri}/api/2.0/mlflow-artifacts/artifacts/some/file"
            urllib.request.urlopen(urllib.request.Request(path, data=b"bytes", method="PUT"), timeout=30).close()
            (run,) = server.runs("one")
            assert (run["a"], run["status"]) == ("b", "RUNNING")
            stranger = urllib.request.Request(f"{server.uri}/api/2.0/mlflow/experiments/get?experiment_id=1")
            stranger.add_header("Host", "somewhere.example")
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(stranger, timeout=30)
    assert s3.keys("artifacts") == ["some/file"]


@pytest.mark.campaign
@needs_rgw
def test_ceph_keeps_objects_while_its_gateway_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with rgw.rgw(tmp_path / "rgw") as server:
        server.s3.make_bucket("studies")
        connection = server.s3.client()
        connection.put_object(Bucket="studies", Key="a/b", Body=b"once", IfNoneMatch="*")
        server.kill_gateway()
        server.start_gateway()
        with pytest.raises(ClientError, match="PreconditionFailed"):
            connection.put_object(Bucket="studies", Key="a/b", Body=b"twice", IfNoneMatch="*")
        assert server.s3.keys("studies") == ["a/b"]
        with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
            client({**server.s3.environment(), "AWS_SECRET_ACCESS_KEY": "wrong"}).list_buckets()
        for name, value in server.s3.environment().items():
            monkeypatch.setenv(name, value)
        storage, large = Storage.open("s3://studies/root"), random.Random(0).randbytes(12 << 20)
        storage.put("large", large)
        assert storage.get("large") == large
        assert [storage.create("lock", b"mine"), storage.create("lock", b"yours")] == [True, False]


@pytest.mark.campaign
@pytest.mark.ray
def test_a_head_answers_those_who_have_its_token(tmp_path: Path) -> None:
    with ray_head(tmp_path) as head:
        assert len(head.alive_nodes()) == 1
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"{head.dashboard}/api/jobs/", timeout=30)
        assert not any(head.token in one.command for one in tree.processes())


@needs_namespaces
def test_hosts_share_nothing_but_the_network(tmp_path: Path) -> None:
    environment = own_environment()
    with namespaces.network(tmp_path / "net", ["one", "two"], private=[tmp_path / "data"]) as net:
        one, two = net.hosts
        places = [one.home, Path("/dev/shm"), Path("/tmp/ray"), tmp_path / "data"]
        one.run(["sh", "-c", "for d; do echo $(hostname) > $d/mine; done", "sh", *map(str, places)], environment)
        seen = two.run(["sh", "-c", "hostname; for d; do ls $d; done", "sh", *map(str, places)], environment)
        assert seen.split() == ["two"]
        assert not (tmp_path / "data/mine").exists()
        with running("web", ["python3", "-m", "http.server", "-b", net.gateway, "8000"], tmp_path, ready=_any) as web:
            fetch = ["python3", "-c", _FETCH, f"http://{net.gateway}:8000/"]
            web.wait_until(lambda: "200" in one.run(fetch, environment), 30)
            one.unplug()
            assert "unreachable" in one.run(fetch, environment)
            assert "200" in two.run(fetch, environment)
            one.plug()
            web.wait_until(lambda: "200" in one.run(fetch, environment), 30)
        sleeping = two.start("sleep", ["sleep", "600"], environment)
    assert not sleeping.alive


@pytest.mark.campaign
@pytest.mark.ray
@needs_namespaces
def test_a_node_that_is_cut_off_is_given_up_and_comes_back(tmp_path: Path) -> None:
    with (
        namespaces.network(tmp_path, ["head", "one", "two"]) as net,
        ray_cluster(net.hosts[0], net.hosts[1:], settings=QUICK) as cluster,
    ):
        head, one, _ = cluster.nodes
        assert head.service is not None
        everyone = [host.address for host in net.hosts]
        assert cluster.head.alive_nodes() == everyone
        net.host("one").unplug()
        head.service.wait_until(lambda: cluster.head.alive_nodes() == [everyone[0], everyone[2]], 60)
        net.host("one").plug()
        head.service.wait_until(lambda: not one.alive, 60)
        assert cluster.start_ended() == ["one"]
        head.service.wait_until(lambda: cluster.head.alive_nodes() == everyone, 60)


_FETCH = """
import sys, urllib.request
try:
    print(urllib.request.urlopen(sys.argv[1], timeout=2).status)
except OSError as error:
    print("unreachable", error)
"""


def _any() -> bool:
    return True
