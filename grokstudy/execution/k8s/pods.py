"""The pods of a job: head, workers and submitter, as templates that KubeRay fills in.

KubeRay adds the command (`ray start`), the token's variables, probes, /dev/shm, an init container that waits for the
head (with the security settings of the first container) and the autoscaler beside the head.
"""

from __future__ import annotations

from collections.abc import Mapping

from grokstudy.execution.k8s import names
from grokstudy.execution.k8s.api_token import token_volume
from grokstudy.execution.k8s.job import MOUNTED, Document, KubeJob, key_of
from grokstudy.execution.k8s.nodes_wanted import head_nodes, worker_nodes
from grokstudy.execution.k8s.restricted import (
    container_security,
    pod_security,
    writable_mounts,
    writable_volumes,
)

CONFIG = "grokstudy-config"
"""ConfigMap of the deployment: where the bucket and MLflow are."""
BUCKET, MLFLOW_LOGIN = "grokstudy-bucket", "mlflow-client"
"""Secrets of the administrator: keys are names of variables."""
GPU = "nvidia.com/gpu"
FILES = "study"
"""Volume of the job's files."""
GRACE_SECONDS = 30
"""Kubernetes' own. Nothing needs it: a pack goes on from its last snapshot however its pod ends."""
HEAD_CPUS = "1"
DASHBOARD_PORT = 8265
CACHES = {
    "MPLCONFIGDIR": "/tmp/matplotlib",
    "TORCHINDUCTOR_CACHE_DIR": "/tmp/torchinductor",
    "TRITON_CACHE_DIR": "/tmp/triton",
}
"""What libraries would write into folders that cannot be written."""


def head_template(job: KubeJob) -> Document:
    """The pod of Ray's head, which takes no packs: the driver runs there, beside Ray's own services."""
    settings = job.settings
    amounts = {"memory": settings.head_memory}
    secrets = [BUCKET, *([MLFLOW_LOGIN] if job.tracked else [])]
    container = _ray_container("ray-head", job, secrets, {"cpu": HEAD_CPUS, **amounts}, amounts)
    container["ports"] = [
        {"name": "gcs-server", "containerPort": 6379},
        {"name": "dashboard", "containerPort": DASHBOARD_PORT},
        {"name": "metrics", "containerPort": 8080},
    ]
    volumes = [*_ray_volumes(job), *([token_volume()] if settings.scales else [])]
    spec = {**_pod(job, "ray-head", container, volumes), **head_nodes(settings)}
    # A cluster autoscaler that tidies up nodes would otherwise end the study to save one.
    notes = {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}
    return {"metadata": {**_metadata(job, "head"), "annotations": notes}, "spec": spec}


def worker_template(job: KubeJob) -> Document:
    """A pod that takes packs."""
    settings = job.settings
    fixed = {"memory": settings.memory, **({GPU: str(settings.gpus)} if settings.gpus else {})}
    container = _ray_container("ray-worker", job, [BUCKET], {"cpu": str(settings.cpus), **fixed}, fixed)
    container["ports"] = [{"name": "metrics", "containerPort": 8080}]
    spec = {**_pod(job, "ray-worker", container, _ray_volumes(job)), **worker_nodes(job)}
    return {"metadata": _metadata(job, "worker"), "spec": spec}


def submitter_template(job: KubeJob) -> Document:
    """The pod of `ray job submit`, which shows the driver's output. KubeRay's own would break Pod Security."""
    memory = {"memory": "1Gi"}
    container = _container("submitter", job, {"cpu": "250m", **memory}, memory)
    container["volumeMounts"] = writable_mounts(("tmp", "home"))
    spec = _pod(job, "ray-submitter", container, writable_volumes(("tmp", "home")))
    return {"metadata": _metadata(job, "submitter"), "spec": spec}


def _metadata(job: KubeJob, component: str) -> Document:
    return {"labels": {**job.labels, names.COMPONENT: component}}


def _pod(job: KubeJob, account: str, container: Document, volumes: list[Document]) -> Document:
    spec = {
        "serviceAccountName": account,
        "automountServiceAccountToken": False,
        # Kubernetes would describe every Service in variables, and MLFLOW_PORT is one that MLflow reads.
        "enableServiceLinks": False,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": GRACE_SECONDS,
        "securityContext": pod_security(),
        "containers": [container],
        "volumes": volumes,
    }
    priority = job.settings.priority_class
    return {**spec, "priorityClassName": priority} if priority and job.settings.scales else spec


def _container(name: str, job: KubeJob, requests: Document, limits: Document) -> Document:
    return {
        "name": name,
        "image": job.settings.image_name,
        "imagePullPolicy": "IfNotPresent",
        "securityContext": container_security(),
        "resources": {"requests": requests, "limits": limits},
    }


def _ray_container(name: str, job: KubeJob, secrets: list[str], requests: Document, limits: Document) -> Document:
    return {
        **_container(name, job, requests, limits),
        "env": _variables({"OMP_NUM_THREADS": str(job.threads), **CACHES}),
        "envFrom": [
            {"configMapRef": {"name": CONFIG}},
            *({"secretRef": {"name": secret}} for secret in secrets),
        ],
        "volumeMounts": [*writable_mounts(), *_files_mounts(job)],
    }


def _variables(values: Mapping[str, str]) -> list[Document]:
    return [{"name": name, "value": value} for name, value in values.items()]


def _ray_volumes(job: KubeJob) -> list[Document]:
    files = [{"name": FILES, "configMap": {"name": job.name}}] if job.files else []
    return [*writable_volumes(), *files]


def _files_mounts(job: KubeJob) -> list[Document]:
    """Each file by itself: a ConfigMap mounted as a folder holds links into one that is named after the time of the
    mount, so that the resolved path of a plug-in would be another on every node."""
    return [
        {"name": FILES, "mountPath": f"{MOUNTED}/{path}", "subPath": key_of(path), "readOnly": True}
        for path in sorted(job.files)
    ]
