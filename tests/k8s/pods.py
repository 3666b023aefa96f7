"""The Pods that workloads become, with what KubeRay puts into them: linters do not look inside custom resources.

Read from the public source of KubeRay's controllers (`common/pod.go`, `common/job.go`) of about 1.7.0; not run.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from typing import Any

from tests.k8s.documents import Document, labels_of, name_of, namespace_of, title

TEMPLATED = frozenset({"Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job"})
RAY = frozenset({"RayJob", "RayCluster"})
UNEXPANDED = frozenset({"Cluster"})
"""CloudNativePG makes the pods of its clusters itself: restricted by default, nothing of ours inside."""


@dataclasses.dataclass(frozen=True, slots=True)
class MadePod:
    """A pod of a workload."""

    owner: Document
    role: str
    """head, worker or submitter of Ray's; else empty."""
    replicas: int
    """How many of them at least."""
    pod: Document

    @property
    def title(self) -> str:
        return f"{title(self.owner)}{f' {self.role}' if self.role else ''}"

    @property
    def labels(self) -> dict[str, str]:
        return labels_of(self.pod)

    @property
    def spec(self) -> Document:
        return dict(self.pod["spec"])

    @property
    def containers(self) -> list[Document]:
        return list(self.pod["spec"].get("containers") or [])

    @property
    def every_container(self) -> list[Document]:
        spec = self.pod["spec"]
        return [one for key in ("initContainers", "containers", "ephemeralContainers") for one in spec.get(key) or []]


def made_pods(documents: list[Document]) -> list[MadePod]:
    """The pods of all workloads of a stream."""
    return [pod for document in documents for pod in _pods_of(document)]


def database_labels(documents: list[Document]) -> list[dict[str, str]]:
    """Labels of the pods that CloudNativePG makes of its clusters, as far as policies and monitors choose by them."""
    return [
        {
            **((document["spec"].get("inheritedMetadata") or {}).get("labels") or {}),
            "cnpg.io/cluster": name_of(document),
            "cnpg.io/podRole": "instance",
        }
        for document in documents
        if document.get("kind") in UNEXPANDED
    ]


def ray_spec(document: Document) -> Document | None:
    """The RayCluster inside a RayJob, or the spec of a RayCluster."""
    spec = document.get("spec", {})
    found: Document | None = spec.get("rayClusterSpec") if document["kind"] == "RayJob" else spec
    return found


def _pods_of(document: Document) -> Iterator[MadePod]:
    kind, spec = document.get("kind"), document.get("spec", {})
    if kind in TEMPLATED:
        yield _made(document, "", spec["template"], spec.get("replicas", 1), _job_labels(document))
    elif kind == "CronJob":
        yield _made(document, "", spec["jobTemplate"]["spec"]["template"], 1, {})
    elif kind == "Pod":
        yield MadePod(document, "", 1, copy.deepcopy(document))
    elif kind in RAY and (cluster := ray_spec(document)) is not None:
        yield _head(document, cluster)
        yield from (_worker(document, group) for group in cluster.get("workerGroupSpecs") or [])
    if kind == "RayJob" and spec.get("submissionMode", "K8sJobMode") == "K8sJobMode":
        yield _submitter(document)


def _job_labels(document: Document) -> dict[str, str]:
    name = name_of(document)
    return {"batch.kubernetes.io/job-name": name, "job-name": name} if document["kind"] == "Job" else {}


def _made(owner: Document, role: str, template: Document, replicas: int, labels: dict[str, str]) -> MadePod:
    """A pod of a template; labels that the template has itself win over those that a controller adds."""
    template = copy.deepcopy(template)
    metadata: dict[str, Any] = template.get("metadata") or {}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            **metadata,
            "name": "-".join(filter(None, (name_of(owner), role, labels.get("ray.io/group", "")))),
            "namespace": namespace_of(owner),
            "labels": {**labels, **(metadata.get("labels") or {})},
        },
        "spec": template["spec"],
    }
    return MadePod(owner, role, replicas, pod)


def _ray_labels(owner: Document, node_type: str, group: str) -> dict[str, str]:
    # A RayJob's cluster has five random characters more; what matters is that its name is its own.
    cluster = name_of(owner) + ("-x7k2q" if owner["kind"] == "RayJob" else "")
    made = {
        "ray.io/is-ray-node": "yes",
        "ray.io/cluster": cluster,
        "ray.io/node-type": node_type,
        "ray.io/group": group,
        "ray.io/identifier": f"{cluster}-{node_type}",
        "app.kubernetes.io/name": "kuberay",
        "app.kubernetes.io/created-by": "kuberay-operator",
    }
    if owner["kind"] == "RayJob":
        made |= {"ray.io/originated-from-cr-name": name_of(owner), "ray.io/originated-from-crd": "RayJob"}
    return made


def _head(owner: Document, cluster: Document) -> MadePod:
    made = _made(owner, "head", cluster["headGroupSpec"]["template"], 1, _ray_labels(owner, "head", "headgroup"))
    spec = made.pod["spec"]
    _share_memory(spec)
    if cluster.get("enableInTreeAutoscaling"):
        _mount_empty(spec, spec["containers"][0], "ray-logs", "/tmp/ray")
        autoscaler = _autoscaler(spec["containers"][0], cluster.get("autoscalerOptions") or {})
        _mount_empty(spec, autoscaler, "ray-logs", "/tmp/ray")
        spec["containers"].append(autoscaler)
    return made


def _autoscaler(head: Document, options: Document) -> Document:
    """The autoscaler beside the head: its image, and nothing else that `autoscalerOptions` does not say."""
    default = {"cpu": "500m", "memory": "512Mi"}
    container = {
        "name": "autoscaler",
        "image": options.get("image", head.get("image")),
        "command": ["/bin/bash", "-c", "--"],
        "args": ["ray kuberay-autoscaler"],
        "resources": options.get("resources", {"limits": default, "requests": default}),
        "volumeMounts": copy.deepcopy(options.get("volumeMounts") or []),
    }
    return container | {
        key: copy.deepcopy(options[key]) for key in ("securityContext", "env", "envFrom") if key in options
    }


def _worker(owner: Document, group: Document) -> MadePod:
    labels = _ray_labels(owner, "worker", group["groupName"])
    made = _made(owner, "worker", group["template"], group.get("minReplicas") or 0, labels)
    spec = made.pod["spec"]
    _share_memory(spec)
    ray = spec["containers"][0]
    resources = {"cpu": "200m", "memory": "256Mi"}
    waiting = {
        "name": "wait-gcs-ready",
        "command": ["/bin/bash", "-c", "--"],
        "args": ["ray health-check"],
        "resources": {"limits": resources, "requests": resources},
    }
    copied = ("image", "securityContext", "env", "envFrom", "volumeMounts")
    waiting |= {key: copy.deepcopy(ray[key]) for key in copied if key in ray}
    spec["initContainers"] = [*(spec.get("initContainers") or []), waiting]
    return made


def _submitter(owner: Document) -> MadePod:
    """The pod of `ray job submit`; the operator's own has no security context at all."""
    spec = owner["spec"]
    labels = {"ray.io/originated-from-cr-name": name_of(owner), "ray.io/originated-from-crd": "RayJob"}
    if template := spec.get("submitterPodTemplate"):
        return _made(owner, "submitter", template, 1, labels)
    head = spec["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containers"][0]
    resources = {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "500m", "memory": "200Mi"}}
    container = {"name": "ray-job-submitter", "image": head.get("image"), "resources": resources}
    return _made(owner, "submitter", {"spec": {"containers": [container], "restartPolicy": "Never"}}, 1, labels)


def _share_memory(spec: Document) -> None:
    """Memory for the object store, as a volume that counts against the container's limit."""
    _mount_empty(spec, spec["containers"][0], "shared-mem", "/dev/shm", {"medium": "Memory"})


def _mount_empty(
    spec: Document, container: Document, name: str, path: str, source: dict[str, str] | None = None
) -> None:
    mounts = container.setdefault("volumeMounts", [])
    if any(mount["mountPath"] == path for mount in mounts):
        return
    mounts.append({"name": name, "mountPath": path})
    volumes = spec.setdefault("volumes", [])
    if all(volume["name"] != name for volume in volumes):
        volumes.append({"name": name, "emptyDir": source or {}})
