"""`grokstudy k8s render` as a person types it; its entrypoint run for real."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml

from grokstudy.cli.app import app
from grokstudy.cli.k8s import planned
from grokstudy.execution.k8s.job import MOUNTED
from grokstudy.execution.k8s.objects import as_list, as_yaml
from grokstudy.execution.k8s.settings import KubeSettings
from grokstudy.spec.errors import BadInput
from tests.services.ray_nodes import ray_head

from .conftest import Cli
from .kube_jobs import PLUGIN, STUDY, VARIABLES, rendered
from .stored import tables

EXAMPLE = Path(__file__).parents[2] / "k8s" / "examples" / "study-demo.yaml"
SECRET = "hunter2-never-in-a-manifest"


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this environment is part of what is rendered."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_the_image_may_come_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GROKSTUDY_IMAGE", "registry.example/grokstudy:7")
    app(["k8s", "render", *STUDY], standalone_mode=False)
    images = [line.split()[-1] for line in capsys.readouterr().out.splitlines() if " image: " in line]
    assert images == ["registry.example/grokstudy:7"] * 3


def test_no_secret_of_the_environment_is_rendered(cli: Cli) -> None:
    cli.env = {
        **cli.env,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_ACCESS_KEY_ID": SECRET,
        "RAY_AUTH_TOKEN": SECRET,
        "MLFLOW_TRACKING_PASSWORD": SECRET,
    }
    done = cli.run("k8s", "render", *STUDY)
    assert SECRET not in done.stdout + done.stderr
    assert [document["kind"] for document in yaml.safe_load_all(done.stdout)] == [
        "ConfigMap",
        "NetworkPolicy",
        "RayJob",
    ]
    assert "storage.root=s3://grokstudy/studies" in done.stderr
    assert "tracking.uri=http://mlflow:5000" in done.stderr


def test_json_is_one_list_of_the_same_objects(capsys: pytest.CaptureFixture[str]) -> None:
    app(["k8s", "render", *STUDY, "--format", "json"], standalone_mode=False)
    found = json.loads(capsys.readouterr().out)
    assert found == as_list(rendered())
    assert list(yaml.safe_load_all(as_yaml(rendered()))) == found["items"]


def test_defaults_of_the_command_line_are_those_of_the_settings() -> None:
    assert planned(words=STUDY).settings == KubeSettings()


def test_the_example_is_what_is_rendered() -> None:
    """But for the versions in its study.yaml, which are those of the day it was made."""

    def known(text: str) -> list[Any]:
        found = list(yaml.safe_load_all(text))
        found[0]["data"]["study.yaml"] = {
            key: value for key, value in yaml.safe_load(found[0]["data"]["study.yaml"]).items() if key != "versions"
        }
        return found

    demo = rendered(words=["study=demo"])
    assert known(EXAMPLE.read_text()) == known(as_yaml(demo)), f"grokstudy k8s render study=demo > {EXAMPLE}"


BAD: dict[str, tuple[list[str], str]] = {
    "a local storage root": (["storage.root=/data"], "storage.root: got '/data'"),
    "a password in an address": (["storage.root=s3://me:pw@bucket/x"], "storage.root"),
    "MLflow in a file": (["tracking.uri=sqlite:///x.db"], "tracking.uri"),
    "no Ray": (["cluster=none"], "cluster: got none"),
    "another cluster": (["cluster=ray", "cluster.address=head:6379"], "cluster.address"),
    "a resource that no worker has": (["cluster=ray", "cluster.resources={slot: 1}"], "1 slot"),
    "a pack wider than a worker": (["cluster.cpus_per_pack=8"], "reserves 8 CPU"),
    "GPUs that no pack uses": (["--gpus", "1"], "--gpus: got 1"),
    "cuda without a GPU": (["engine=cuda"], "engine.device: got cuda"),
    "memory without a unit": (["--memory", "8"], "--memory: got '8', must be a number with a unit"),
    "thousandths of a byte": (["--memory", "8000m"], "--memory: got '8000m'"),
    "too little for Ray": (["--head-memory", "512Mi"], "--head-memory: got '512Mi', must be at least 2Gi"),
    "too little for the packs": (["--memory", "2Gi"], "they need 4Gi"),
    "no workers": (["--workers", "0"], "--workers: got 0, must be 1"),
    "no CPUs": (["--cpus", "0"], "--cpus: got 0"),
    "an endless job": (["--deadline", "0"], "--deadline: got 0"),
    "a deadline before the end": (["--max-hours", "80"], "--deadline 72"),
    "negative time": (["--ttl", "-1"], "--ttl: got -1"),
    "too many retries": (["--backoff", "99"], "--backoff: got 99"),
    "a queue that is no name": (["--queue", "My Queue"], "--queue: got 'My Queue'"),
    "a namespace that is no name": (["--namespace", "a.b"], "--namespace: got 'a.b'"),
    "a class that is no name": (["--priority-class", "-x"], "--priority-class: got '-x'"),
    "an image without a tag": (["--image", "registry.example:5000/grokstudy"], "--image"),
    "an image that changes": (["--image", "grokstudy:latest"], "another program on every node"),
    "an image that is a command": (["--image", "a b;rm"], "--image"),
    "a setting that is none": (["optimizer.lrr=1"], "optimizer.lr"),
}


@pytest.mark.parametrize("case", sorted(BAD))
def test_bad_input_is_one_message_that_names_the_key(case: str, capsys: pytest.CaptureFixture[str]) -> None:
    words, told = BAD[case]
    with pytest.raises(BadInput) as caught:
        app(["k8s", "render", *STUDY, *words], standalone_mode=False)
    assert told in str(caught.value)
    assert caught.value.exit_code == 2
    assert capsys.readouterr().out == ""


def test_bad_input_ends_with_2(cli: Cli) -> None:
    said = cli.run("k8s", "render", *STUDY, "--memory", "8", code=2)
    assert said.stdout == ""
    assert "--memory" in said.stderr


@pytest.mark.slow
@pytest.mark.ray
def test_the_rendered_entrypoint_runs_the_study_on_a_cluster(cli: Cli, tmp_path: Path) -> None:
    """The command and files of the RayJob as they are, on a head that somebody else started; only /study and the bucket
    are folders of this machine."""
    plugin = tmp_path / "models" / "mine.py"
    plugin.parent.mkdir()
    plugin.write_text(PLUGIN)
    words = ["k8s", "render", *STUDY, "tracking=none", "cluster.pack_size=1", "storage.root=s3://bucket/studies"]
    words += ["--steps", "60", "--workers", "1", "--cpus", "2", "--memory", "4Gi", "--plugin", str(plugin)]
    config_map, _, ray_job = yaml.safe_load_all(cli.run(*words).stdout)
    mounted = _mounted(tmp_path / "study", config_map, ray_job)
    command = shlex.split(ray_job["spec"]["entrypoint"].replace(f"{MOUNTED}/", f"{mounted}/"))
    assert command[:3] == ["python", "-m", "grokstudy.cli.app"]
    with ray_head(tmp_path / "ray", cpus=2, settings={"OMP_NUM_THREADS": "1"}) as head:
        cli.env = {**cli.env, **head.environment, "OMP_NUM_THREADS": "1"}
        done = cli.run(*command[3:], f"storage.root={cli.root}")
    assert "ran 2 of 2 trials" in done.stdout
    trials = tables(cli.root, "quad23")["trials"]
    assert list(trials["status"]) == ["done", "done"]
    assert list(trials["steps_run"]) == [60, 60]


def _mounted(folder: Path, config_map: dict[str, Any], ray_job: dict[str, Any]) -> Path:
    """The ConfigMap's files where the head's container would find them."""
    (head,) = ray_job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"]
    for mount in head["volumeMounts"]:
        if "subPath" in mount:
            path = folder / Path(mount["mountPath"]).relative_to(MOUNTED)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(config_map["data"][mount["subPath"]])
    return folder
