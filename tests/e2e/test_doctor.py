"""`grokstudy doctor`: what works is said in figures, what does not with its remedy; nothing is started or left."""

from __future__ import annotations

import dataclasses
import json
import os
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from grokstudy.execution.node_findings import skew
from grokstudy.execution.node_look import DRIVER, PROBES, NodeLook, cleaned, look, prepared
from grokstudy.spec.compose import compose_study
from grokstudy.spec.settings import ClusterSettings, EngineSettings
from grokstudy.store.storage import Storage
from grokstudy.study import doctor_machine, doctor_nodes, doctor_services, doctor_storage
from grokstudy.study.doctor import Check, examined
from tests.e2e.conftest import Cli
from tests.services.process import in_environment
from tests.services.ray_nodes import ray_head
from tests.services.s3 import S3, moto_server


def by_name(checks: Iterator[Check]) -> Mapping[str, Check]:
    return {check.name: check for check in checks}


def test_a_machine_in_order_fails_nothing_and_is_as_before(cli: Cli) -> None:
    before = sorted(path for path in cli.root.parent.rglob("*"))
    answer = json.loads(cli.run("doctor", "--format", "json").stdout)
    assert answer["failed"] == 0
    checks = {check["name"]: check for check in answer["checks"]}
    assert {checks[name]["state"] for name in ("python", "libraries", "storage", "one writer at a time")} == {"ok"}
    assert "torch 2" in checks["libraries"]["found"]
    assert checks["nodes"]["state"] == "not checked"
    assert all(check["remedy"] for check in answer["checks"] if check["state"] in ("warning", "failed"))
    assert sorted(path for path in cli.root.parent.rglob("*")) == before


def test_each_failure_has_its_remedy_and_the_exit_code_tells(cli: Cli) -> None:
    (cli.work / "file").write_text("")
    words = ("storage.root=file/below", "tracking.uri=http://127.0.0.1:1", "engine=cuda")
    said = cli.run("doctor", *words, code=1).stdout
    for words_found in ("failed       gpus", "engine=cpu", "failed       storage", "failed       mlflow", "3 failed"):
        assert words_found in said


def test_a_word_that_is_no_setting_is_refused(cli: Cli) -> None:
    assert "storage.rot" in cli.run("doctor", "storage.rot=x", code=2).stderr


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with moto_server(tmp_path_factory.mktemp("s3")) as server, in_environment(server.environment()):
        server.make_bucket("bucket")
        yield server


def test_a_bucket_is_tried_in_every_way_and_left_empty(s3: S3) -> None:
    checks = by_name(doctor_storage.storage("s3://bucket/team"))
    assert {name: check.state for name, check in checks.items()} == {
        "storage": "ok",
        "one writer at a time": "ok",
        "clock of the storage": "ok",
    }
    assert s3.keys("bucket") == []


def test_a_bucket_that_refuses_is_explained(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = by_name(doctor_storage.storage("s3://nowhere/team"))["storage"]
    assert missing.state == "failed"
    assert "no such bucket" in missing.found
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-one")
    wrong = by_name(doctor_storage.storage("s3://bucket/other"))
    assert wrong["storage"].state == "failed"
    assert "AWS_SECRET_ACCESS_KEY" in wrong["storage"].found
    assert "not-the-one" not in str(wrong)
    assert wrong["one writer at a time"].state == "not checked"


def test_an_mlflow_that_refuses_our_name_for_it_is_recognised(tmp_path: Path) -> None:
    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(403)
            self.end_headers()
            self.wfile.write(b"Invalid Host header - possible DNS rebinding attack detected")

        do_POST = do_GET

        def log_message(self, *words: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        settings = compose_study([f"tracking.uri=http://127.0.0.1:{server.server_port}"]).tracking
        check = doctor_services.mlflow(settings, str(tmp_path))
        server.shutdown()
    assert check.state == "failed"
    assert "allowed-hosts" in check.found + check.remedy


def test_a_node_that_does_not_share_the_disk_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    token = prepared(str(tmp_path / "here"))
    assert look(str(tmp_path / "here"), token).storage_error is None
    other = look(str(tmp_path / "there"), token, ("mine.py",))
    assert "another place" in (other.storage_error or "")
    assert other.missing_files == ("mine.py",)
    assert not (tmp_path / "there").exists()
    assert look("s3:///", token).storage_error is not None
    assert Storage.open(str(tmp_path / "here")).list("") == [f"{PROBES}/{token}/{DRIVER}"]
    cleaned(str(tmp_path / "here"), token)
    assert list((tmp_path / "here").iterdir()) == []


def test_nodes_that_differ_are_named(tmp_path: Path) -> None:
    token = prepared(str(tmp_path))
    mine = dataclasses.replace(look(str(tmp_path), token), address="10.0.0.1", free_bytes=10**12)
    cleaned(str(tmp_path), token)
    good = by_name(doctor_nodes.nodes([mine], mine.clock, mine.clock))
    assert {check.state for check in good.values()} == {"ok"}
    other = dataclasses.replace(
        mine, address="10.0.0.2", torch="1.0", clock=mine.clock + 400, free_bytes=1, missing_files=("mine.py",)
    )
    failing: list[NodeLook] = [mine, dataclasses.replace(other, storage_error="storage.root: away. Mount it.")]
    bad = by_name(doctor_nodes.nodes(failing, mine.clock, mine.clock + 1))
    states = {name: check.state for name, check in bad.items()}
    assert states == {
        "nodes": "ok",
        "versions on nodes": "failed",
        "storage from nodes": "failed",
        "clocks of nodes": "failed",
        "disks of nodes": "warning",
        "plug-in files": "failed",
    }
    assert all("10.0.0.2" in check.found for check in bad.values())
    assert "10.0.0.1" not in bad["versions on nodes"].found
    assert bad["storage from nodes"].remedy == "Mount it."


@pytest.mark.parametrize(
    ("there", "before", "after", "resolution", "apart"),
    [
        (10.0, 9.0, 11.0, 0.0, 0.0),
        (9.0, 9.5, 9.6, 1.0, 0.0),
        (9.0, 9.5, 9.6, 0.0, -0.5),
        (20.0, 9.0, 11.0, 1.0, 9.0),
        (1.0, 9.0, 11.0, 1.0, -7.0),
    ],
)
def test_clocks_are_apart_by_what_asking_cannot_explain(
    there: float, before: float, after: float, resolution: float, apart: float
) -> None:
    assert skew(there, before, after, resolution) == apart
    state = doctor_storage.clock("clock", apart).state
    assert state == ("ok" if abs(apart) < doctor_storage.SKEW_WARNED else "warning")


def test_a_token_is_described_and_never_shown(tmp_path: Path) -> None:
    file = tmp_path / ".ray" / "auth_token"
    file.parent.mkdir()
    file.write_text("the-token-itself")
    embedded, cluster = ClusterSettings(), compose_study(["cluster=ray", "cluster.address=10.0.0.1:6379"]).cluster
    home = {"HOME": str(tmp_path)}

    def state(settings: ClusterSettings, environment: Mapping[str, str]) -> str:
        check = doctor_services.authentication(settings, doctor_services.cluster_address(settings), environment)
        assert "the-token-itself" not in check.found + check.remedy
        return check.state

    file.chmod(0o644)
    assert state(cluster, home) == "warning"
    file.chmod(0o600)
    assert state(cluster, home) == "ok"
    assert state(cluster, {"HOME": os.devnull}) == "failed"
    assert state(embedded, {"HOME": os.devnull}) == "ok"
    assert state(cluster, {**home, "RAY_AUTH_MODE": "disabled"}) == "warning"
    assert state(cluster, {"HOME": os.devnull, "RAY_AUTH_TOKEN": "the-token-itself"}) == "ok"
    assert state(cluster, {"HOME": os.devnull, "RAY_AUTH_TOKEN_PATH": str(tmp_path / "none")}) == "failed"


def test_too_few_processors_memory_or_versions_are_told() -> None:
    engine, cluster = EngineSettings(), ClusterSettings()
    assert doctor_machine.processors(8, 2.0, engine, cluster).remedy.startswith("Set cluster.max_packs=2")
    assert doctor_machine.processors(1, None, engine, ClusterSettings(cpus_per_pack=2)).state == "failed"
    assert doctor_machine.processors(8, None, EngineSettings(threads=4), cluster).state == "warning"
    assert doctor_machine.memory(10**8, cluster).state == "failed"
    assert doctor_machine.memory(3 * 10**9, cluster).state == "warning"
    assert doctor_machine.memory(10**11, cluster).state == "ok"
    assert doctor_machine.gpus(0, True, engine).state == "warning"
    assert doctor_machine.python_version(">=4").state == "failed"
    wrong = doctor_machine.libraries(["numpy>=99", "not-installed>=1", "absent>=1; extra == 'x'"])
    assert wrong.state == "failed"
    assert "missing" in wrong.found
    assert "absent" not in wrong.found


def test_an_unreachable_job_server_is_a_finding() -> None:
    checks = by_name(examined(compose_study(["tracking=none", "cluster=none"]), "http://127.0.0.1:1"))
    assert checks["job server"].state == "failed"
    assert checks["job server"].remedy


@pytest.mark.campaign
@pytest.mark.ray
def test_every_node_of_a_cluster_is_looked_at(cli: Cli, tmp_path: Path) -> None:
    with ray_head(tmp_path / "ray") as head:
        cli.env = {**cli.env, **head.environment}
        words = ("cluster=ray", "--address", head.dashboard, "--format", "json")
        answer = json.loads(cli.run("doctor", *words).stdout)
        checks = {check["name"]: check for check in answer["checks"]}
        assert checks["nodes"]["found"].startswith("1 nodes")
        for name in ("job server", "ray version", "ray token", "versions on nodes", "storage from nodes"):
            assert checks[name]["state"] == "ok", checks[name]
        assert not (cli.root / PROBES).exists()
        cli.env = {**cli.env, "RAY_AUTH_TOKEN": "not-the-token-of-this-cluster-at-all"}
        refused = {check["name"]: check for check in json.loads(cli.run("doctor", *words, code=1).stdout)["checks"]}
        assert refused["job server"]["state"] == refused["nodes"]["state"] == "failed"
        assert "token" in refused["nodes"]["found"] + refused["nodes"]["remedy"]
        assert head.token not in json.dumps([answer, refused])
