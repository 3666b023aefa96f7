"""The RayJob of a study: a Ray cluster of its own, which goes when the study has ended.

Whatever dies, the job goes on from the bucket: a worker's packs start again elsewhere, and a job that failed (its head
was lost) is tried again by the operator on a new cluster with the same command.
"""

from __future__ import annotations

import importlib.metadata

from grokstudy.execution.k8s import names
from grokstudy.execution.k8s.api_token import token_mount
from grokstudy.execution.k8s.job import Document, KubeJob
from grokstudy.execution.k8s.pods import head_template, submitter_template, worker_template
from grokstudy.execution.k8s.restricted import container_security, writable_mounts

TOKEN = "ray-token"
"""Secret with the key `auth_token`: without it nobody uses the cluster."""
OBJECT_STORE_BYTES = "200000000"
"""Packs hand Ray counters and little else; what is left of the memory is theirs."""
IDLE_SECONDS = 300
"""Until a worker that has nothing to do goes: longer than the study takes between its trials and their measures."""
START_SECONDS = 3600
"""For the head, its image and a node for it to come up; workers are waited for without this limit unless queued."""


def ray_job(job: KubeJob) -> Document:
    """The document that KubeRay acts on."""
    settings = job.settings
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": job.metadata(_queue_labels(job)),
        "spec": {
            "submissionMode": "K8sJobMode",
            "entrypoint": job.entrypoint,
            "submitterPodTemplate": submitter_template(job),
            "backoffLimit": settings.backoff,
            "activeDeadlineSeconds": round(settings.deadline * 3600),
            "preRunningDeadlineSeconds": START_SECONDS,
            "shutdownAfterJobFinishes": True,
            "ttlSecondsAfterFinished": round(settings.ttl * 3600),
            "rayClusterSpec": ray_cluster(job),
        },
    }


def ray_cluster(job: KubeJob) -> Document:
    """Head and workers. Every word that starts Ray is text, as KubeRay wants it."""
    store = {"object-store-memory": OBJECT_STORE_BYTES}
    return {
        "rayVersion": importlib.metadata.version("ray"),
        "authOptions": {"mode": "token", "secretName": TOKEN},
        **_autoscaler(job),
        "headGroupSpec": {
            "rayStartParams": {"dashboard-host": "0.0.0.0", "num-cpus": "0", **store},
            "template": head_template(job),
        },
        "workerGroupSpecs": [
            {
                "groupName": "gpu" if job.settings.gpus else "cpu",
                **_replicas(job),
                "rayStartParams": {"num-cpus": str(job.settings.cpus), **store},
                "template": worker_template(job),
            }
        ],
    }


def _queue_labels(job: KubeJob) -> dict[str, str]:
    """What Kueue looks for; it suspends the job at its creation and lets it go when there is room for all of it."""
    settings = job.settings
    if settings.queue is None:
        return {}
    priority = {names.QUEUE_PRIORITY: settings.priority_class} if settings.priority_class else {}
    return {names.QUEUE: settings.queue, **priority}


def _replicas(job: KubeJob) -> Document:
    settings = job.settings
    first = 0 if settings.scales else settings.workers
    return {"replicas": first, "minReplicas": first, "maxReplicas": settings.workers}


def _autoscaler(job: KubeJob) -> Document:
    """Workers come when packs wait. The operator gives the container nothing but what is said here and the head's
    image."""
    if not job.settings.scales:
        return {"enableInTreeAutoscaling": False}
    memory = {"memory": "1Gi"}
    return {
        "enableInTreeAutoscaling": True,
        "autoscalerOptions": {
            "version": "v2",
            "upscalingMode": "Default",
            "idleTimeoutSeconds": IDLE_SECONDS,
            "imagePullPolicy": "IfNotPresent",
            "securityContext": container_security(),
            "resources": {"requests": {"cpu": "250m", **memory}, "limits": memory},
            "volumeMounts": [*writable_mounts(("tmp", "home")), token_mount()],
        },
    }
