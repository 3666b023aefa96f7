"""Writes the shared Ray cluster and its GPU group by the functions that write a study's: they cannot drift apart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from grokstudy.execution.k8s import names
from grokstudy.execution.k8s.job import Document, KubeJob
from grokstudy.execution.k8s.objects import network_policy
from grokstudy.execution.k8s.pods import FILES
from grokstudy.execution.k8s.rayjob import ray_cluster
from grokstudy.execution.k8s.settings import KubeSettings

COMPONENTS = Path(__file__).parent / "components"
SHARED = "shared"
GPU_GROUP = "gpu-spot"
HEAD = """\
# Made by `python k8s/make_ray_components.py` from the functions behind `grokstudy k8s render`; a test holds it to them.
# Change sizes by a patch in your overlay.
"""
SETTINGS = KubeSettings(workers=8, head_memory="8Gi")
GPU_SETTINGS = KubeSettings(workers=4, cpus=8, memory="32Gi", gpus=1, spot=True)


def shared_job(settings: KubeSettings) -> KubeJob:
    """What a study's functions ask of a job, for a cluster that belongs to none."""
    return KubeJob(
        name=SHARED,
        study=SHARED,
        verb=SHARED,
        storage="",
        entrypoint="",
        files={},
        threads=1,
        tracked=True,
        settings=settings,
    )


def cluster() -> Document:
    """The RayCluster: the head takes no packs, workers come when packs wait."""
    return plain({"apiVersion": "ray.io/v1", "kind": "RayCluster", **_body(SHARED, ray_cluster(shared_job(SETTINGS)))})


def policy() -> Document:
    """Its pods speak with each other, and with those of no study."""
    made = network_policy(shared_job(SETTINGS))
    return plain({"apiVersion": made["apiVersion"], "kind": made["kind"], **_body("ray-shared", made["spec"])})


def gpu_patch() -> list[Document]:
    """A second group of workers, and the one image that has CUDA for every pod of the cluster."""
    made = plain(ray_cluster(shared_job(GPU_SETTINGS)))
    group = {**made["workerGroupSpecs"][0], "groupName": GPU_GROUP}
    head = made["headGroupSpec"]["template"]["spec"]
    image = {"op": "replace", "value": GPU_SETTINGS.image_name}
    pod = "template/spec/containers/0/image"
    return [
        {**image, "path": f"/spec/headGroupSpec/{pod}"},
        {**image, "path": f"/spec/workerGroupSpecs/0/{pod}"},
        {"op": "add", "path": "/spec/headGroupSpec/template/spec/affinity", "value": head["affinity"]},
        {"op": "add", "path": "/spec/workerGroupSpecs/-", "value": group},
    ]


def _body(name: str, spec: Document) -> Document:
    labels = shared_job(SETTINGS).labels
    return {"metadata": {"name": name, "namespace": SETTINGS.namespace, "labels": labels}, "spec": spec}


def plain(document: Document) -> Document:
    """A document without what only a study has: its labels, and its files."""
    kept = {key: _part(value) for key, value in document.items() if key not in (names.STUDY, names.VERB)}
    return {**kept, names.MANAGED_BY: "kustomize"} if names.MANAGED_BY in kept else kept


def _part(node: Any) -> Any:
    if isinstance(node, list):
        return [_part(one) for one in node if not (isinstance(one, dict) and one.get("name") == FILES)]
    return plain(node) if isinstance(node, dict) else node


def text(document: object) -> str:
    """YAML; `plain` has copied every part, so that none is written as a reference to another."""
    return HEAD + str(yaml.safe_dump(document, sort_keys=False, width=120))


def files() -> dict[Path, str]:
    """What is to stand where."""
    return {
        COMPONENTS / "shared-raycluster/raycluster.yaml": text(cluster()),
        COMPONENTS / "shared-raycluster/network.yaml": text(policy()),
        COMPONENTS / "spot-gpu-group/raycluster-patch.yaml": text(gpu_patch()),
    }


if __name__ == "__main__":
    for path, content in files().items():
        path.write_text(content)
