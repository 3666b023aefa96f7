"""What a study is on Kubernetes: laws of the rendered documents. No cluster is asked, nothing is sent."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from grokstudy.execution.k8s.job import MOUNTED
from grokstudy.execution.k8s.names import job_name, job_stem, label_value
from grokstudy.execution.k8s.objects import MOST_BYTES, Documents, as_yaml
from grokstudy.spec import plugins
from grokstudy.spec.compose import compose_study
from grokstudy.spec.errors import BadInput
from grokstudy.study.document import plain

from .kube_jobs import GPU, PLUGIN, STUDY, VARIABLES, cluster, ray_container, rendered, spec_of, templates, understood

SHAPES: dict[str, dict[str, Any]] = {
    "plain": {},
    "untracked": {"words": [*STUDY, "tracking=none"]},
    "gpu": {"words": [*STUDY, *GPU], "gpus": 1},
    "spot": {"spot": True, "priority_class": "low"},
    "queue": {"queue": "studies", "priority_class": "low"},
}


@pytest.fixture(scope="module", autouse=True)
def bare() -> Iterator[None]:
    """Nothing of this environment is part of what is rendered."""
    with pytest.MonkeyPatch.context() as environment:
        for name in VARIABLES:
            environment.delenv(name, raising=False)
        yield


@pytest.fixture
def plugin(tmp_path: Path) -> Iterator[Path]:
    """A model of somebody's own."""
    path = tmp_path / "models" / "mine.py"
    path.parent.mkdir()
    path.write_text(PLUGIN)
    yield path
    plugins._files.clear()
    plugins.load.cache_clear()


@pytest.fixture(scope="module", params=sorted(SHAPES))
def any_job(request: pytest.FixtureRequest, bare: None) -> Documents:
    return rendered(**SHAPES[request.param])


def secrets_of(found: Documents, component: str) -> list[str]:
    sources = ray_container(found, component).get("envFrom", [])
    return [source["secretRef"]["name"] for source in sources if "secretRef" in source]


def test_the_same_study_is_the_same_bytes_and_a_new_attempt_only_another_name() -> None:
    first, again, next_one = (as_yaml(rendered(attempt)) for attempt in (1, 1, 2))
    name = rendered().ray_job["metadata"]["name"]
    assert first == again
    assert first.replace(name, f"{name[:-1]}2") == next_one


def test_the_name_follows_the_study_and_not_the_image() -> None:
    def name(**options: Any) -> str:
        return str(rendered(**options).ray_job["metadata"]["name"])

    assert name() == name(image="registry.example/grokstudy:1") == name(namespace="others", ttl=1.0)
    assert len({name(), name(words=[*STUDY, "optimizer.lr=0.02"]), name(steps=7), name(only_censored=True)}) == 4


@pytest.mark.parametrize("study", ["a", "Nanda_2023.v2", "9lives", "x" * 100, "s-----1", "mine-", "a" * 33 + "-b"])
@pytest.mark.parametrize("attempt", [1, 9999])
def test_every_study_name_is_a_job_name_that_kuberay_takes(study: str, attempt: int) -> None:
    name = job_name(f"{study}-0123abcd", attempt)
    assert name == f"{job_stem(f'{study}-0123abcd')}-{attempt}"
    assert re.fullmatch(r"[a-z]([-a-z0-9]*[a-z0-9])?", name)
    assert len(name) <= 47
    assert "-0123abcd-" in name
    assert re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?", label_value(study))


def test_a_job_has_room_for_no_more_than_9999_attempts() -> None:
    with pytest.raises(BadInput, match="9999"):
        job_name("demo-0123abcd", 10_000)


def test_image_and_ray_are_what_is_installed(any_job: Documents) -> None:
    images = {ray_container(any_job, component)["image"] for component in templates(any_job)}
    variant = "-cuda" if spec_of(any_job).engine.device == "cuda" else ""
    assert images == {f"grokstudy:{importlib.metadata.version('grokstudy')}{variant}"}
    assert cluster(any_job)["rayVersion"] == importlib.metadata.version("ray")


def test_the_file_that_travels_is_the_study_and_the_entrypoint_runs_it(any_job: Documents) -> None:
    spec = spec_of(any_job)
    assert spec.budget == 1500
    assert [axis.path for axis in spec.axes] == ["seed"]
    assert spec.storage.root == "s3://grokstudy/studies"
    assert spec.cluster.kind == "ray"
    program, options = understood(any_job.ray_job["spec"]["entrypoint"])
    assert program == ["python", "-m", "grokstudy.cli.app", "run"]
    assert str(options["from_file"]) == f"{MOUNTED}/study.yaml"
    assert options["progress"].value == "lines"


def test_the_rendered_study_is_the_asked_one_but_for_where_it_runs() -> None:
    """Fields that are part of a number are as composed; a study.yaml that was rendered renders to itself."""
    asked = plain(compose_study([*STUDY, "engine.threads=2"]))
    sent = plain(spec_of(rendered(words=[*STUDY, "engine.threads=2"])))
    assert {key for key in asked if asked[key] != sent[key]} == {"cluster", "storage", "tracking"}


def test_options_of_run_travel() -> None:
    found = rendered(only_censored=True, max_hours=3.5)
    _, options = understood(found.ray_job["spec"]["entrypoint"])
    assert options["only_censored"] is True
    assert options["max_hours"] == 3.5


def test_as_many_packs_run_as_the_workers_take_and_they_are_waited_for() -> None:
    """`cluster.max_packs` given is what makes a driver wait for nodes (execution/placement.py)."""

    def packs(**options: Any) -> Any:
        return spec_of(rendered(**options)).cluster.max_packs

    assert packs(workers=3, cpus=4) == 12
    assert packs(workers=3, cpus=5, words=[*STUDY, "cluster.cpus_per_pack=2"]) == 6
    assert packs(workers=2, gpus=2, words=[*STUDY, *GPU]) == 8
    assert packs(workers=3, words=[*STUDY, "cluster.max_packs=5"]) == 5


def test_packs_that_share_a_worker_share_its_memory() -> None:
    found = spec_of(rendered(cpus=4, memory="8Gi")).cluster
    assert 4 * found.pack_memory * 1e9 < 8 * 2**30
    wide = spec_of(rendered(cpus=1, memory="64Gi")).cluster
    assert wide.pack_memory == 4.0, "never more than was asked for"


def test_no_container_but_the_autoscaler_holds_a_service_account_token(any_job: Documents) -> None:
    for component, template in templates(any_job).items():
        spec = template["spec"]
        assert spec["automountServiceAccountToken"] is False
        assert spec["serviceAccountName"] == f"ray-{component}"
        mounted = {mount["name"] for container in spec["containers"] for mount in container["volumeMounts"]}
        projected = {volume["name"] for volume in spec["volumes"] if "projected" in volume}
        assert not projected & mounted
        scales = cluster(any_job)["enableInTreeAutoscaling"]
        assert len(projected) == (1 if component == "head" and scales else 0)
    if cluster(any_job)["enableInTreeAutoscaling"]:
        paths = [mount["mountPath"] for mount in cluster(any_job)["autoscalerOptions"]["volumeMounts"]]
        assert "/var/run/secrets/kubernetes.io/serviceaccount" in paths


def test_every_container_is_restricted_and_may_write_nowhere_but_in_its_own_folders(any_job: Documents) -> None:
    found = [ray_container(any_job, component) for component in templates(any_job)]
    if cluster(any_job)["enableInTreeAutoscaling"]:
        found.append(cluster(any_job)["autoscalerOptions"])
    for container in found:
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["readOnlyRootFilesystem"] is True
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert {"/tmp", "/home/grokstudy"} <= {mount["mountPath"] for mount in container["volumeMounts"]}
        resources = container["resources"]
        assert resources["requests"]["memory"] == resources["limits"]["memory"]
        assert "cpu" in resources["requests"]
    for template in templates(any_job).values():
        security = template["spec"]["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["runAsUser"] == 1000
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        for volume in template["spec"]["volumes"]:
            assert "sizeLimit" in volume.get("emptyDir", {"sizeLimit": ""})
        assert "hostPath" not in str(template)


def test_secrets_go_by_name_and_to_whoever_needs_them(any_job: Documents) -> None:
    tracked = spec_of(any_job).tracking.enabled
    assert secrets_of(any_job, "worker") == ["grokstudy-bucket"]
    assert secrets_of(any_job, "head") == ["grokstudy-bucket", *(["mlflow-client"] if tracked else [])]
    assert secrets_of(any_job, "submitter") == []
    assert cluster(any_job)["authOptions"] == {"mode": "token", "secretName": "ray-token"}
    assert "Secret" not in {document["kind"] for document in any_job.all}


def test_a_queued_job_has_all_its_workers_or_none_and_nothing_scales_it() -> None:
    found = rendered(queue="studies", workers=3, priority_class="low")
    (group,) = cluster(found)["workerGroupSpecs"]
    labels = found.ray_job["metadata"]["labels"]
    assert (group["minReplicas"], group["replicas"], group["maxReplicas"]) == (3, 3, 3)
    assert cluster(found)["enableInTreeAutoscaling"] is False
    assert "autoscalerOptions" not in cluster(found)
    assert labels["kueue.x-k8s.io/queue-name"] == "studies"
    assert labels["kueue.x-k8s.io/priority-class"] == "low"
    assert "priorityClassName" not in str(templates(found))
    assert found.ray_job["spec"]["shutdownAfterJobFinishes"] is True


def test_without_a_queue_workers_come_and_go() -> None:
    found = rendered(workers=7, priority_class="low")
    (group,) = cluster(found)["workerGroupSpecs"]
    assert (group["minReplicas"], group["replicas"], group["maxReplicas"]) == (0, 0, 7)
    assert cluster(found)["autoscalerOptions"]["version"] == "v2"
    assert {template["spec"]["priorityClassName"] for template in templates(found).values()} == {"low"}
    assert not [label for label in found.ray_job["metadata"]["labels"] if label.startswith("kueue")]


def test_the_head_takes_no_packs_and_never_lies_on_a_node_that_may_be_taken_back() -> None:
    found = rendered(spot=True)
    assert cluster(found)["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    head, worker = templates(found)["head"]["spec"], templates(found)["worker"]["spec"]
    (term,) = head["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    preferred = worker["affinity"]["nodeAffinity"]["preferredDuringSchedulingIgnoredDuringExecution"]
    never = {(one["key"], *one["values"]) for one in term["matchExpressions"] if one["operator"] == "NotIn"}
    liked = {(one["key"], *one["values"]) for each in preferred for one in each["preference"]["matchExpressions"]}
    assert never == liked
    assert {toleration["key"] for toleration in worker["tolerations"]} <= {key for key, _ in liked}
    assert "tolerations" not in head


def test_gpus_are_requested_limited_and_tolerated() -> None:
    found = rendered(words=[*STUDY, *GPU], gpus=2)
    resources = ray_container(found, "worker")["resources"]
    assert resources["requests"]["nvidia.com/gpu"] == resources["limits"]["nvidia.com/gpu"] == "2"
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in templates(found)["worker"][
        "spec"
    ]["tolerations"]
    assert "nvidia.com/gpu" not in str(ray_container(found, "head"))


def test_the_network_policy_lets_in_the_jobs_own_nodes_and_nobody_else(any_job: Documents) -> None:
    spec = any_job.network_policy["spec"]
    ours, submitter = spec["ingress"]
    assert ours == {"from": [{"podSelector": spec["podSelector"]}]}
    assert submitter["ports"] == [{"protocol": "TCP", "port": 8265}]
    (peer,) = submitter["from"]
    assert peer["podSelector"]["matchLabels"].items() <= templates(any_job)["submitter"]["metadata"]["labels"].items()
    assert peer["podSelector"]["matchLabels"]["grokstudy/job"] == any_job.ray_job["metadata"]["name"]
    assert spec["egress"] == [{"to": [{"podSelector": spec["podSelector"]}]}]
    (expression,) = spec["podSelector"]["matchExpressions"]
    for component, template in templates(any_job).items():
        labels = template["metadata"]["labels"]
        selected = spec["podSelector"]["matchLabels"].items() <= labels.items()
        assert selected
        assert (labels[expression["key"]] in expression["values"]) == (component != "submitter")
    assert spec["podSelector"]["matchLabels"]["grokstudy/job"] == any_job.ray_job["metadata"]["name"]


def test_threads_of_a_pack_are_those_of_the_study() -> None:
    found = rendered(words=[*STUDY, "engine.threads=3", "cluster.cpus_per_pack=3"])
    for component in ("head", "worker"):
        assert {"name": "OMP_NUM_THREADS", "value": "3"} in ray_container(found, component)["env"]


def test_a_plug_in_lies_under_the_same_path_on_every_node(plugin: Path) -> None:
    """Mounted file by file: the path of a file in a folder of a ConfigMap resolves to another one on each node."""
    found = rendered(plugin=[plugin])
    assert found.config_map["data"]["plugins.models.mine.py"] == PLUGIN
    mounts = [
        [mount for mount in ray_container(found, component)["volumeMounts"] if mount["name"] == "study"]
        for component in ("head", "worker")
    ]
    assert mounts[0] == mounts[1]
    assert {mount["mountPath"]: mount["subPath"] for mount in mounts[0]} == {
        "/study/plugins/models/mine.py": "plugins.models.mine.py",
        "/study/study.yaml": "study.yaml",
    }
    _, options = understood(found.ray_job["spec"]["entrypoint"])
    assert [str(path) for path in options["plugin"]] == ["/study/plugins/models/mine.py"]


def test_files_that_a_config_map_cannot_hold_are_refused(plugin: Path) -> None:
    plugin.write_text(PLUGIN + "#" * MOST_BYTES)
    with pytest.raises(BadInput, match=r"plugins\.models\.mine\.py.*ConfigMap.*image"):
        rendered(plugin=[plugin])
    plugin.write_bytes(b"# -*- coding: latin-1 -*-\n" + PLUGIN.encode() + b"# \xe9\n")
    with pytest.raises(BadInput, match="UTF-8"):
        rendered(plugin=[plugin])
    plugin.write_text(PLUGIN)
    odd = plugin.with_name("mine too.py")
    odd.write_text(PLUGIN)
    with pytest.raises(BadInput, match="mine too"):
        rendered(plugin=[odd])
