"""What Pod Security `restricted` asks of pods and containers, and the little that may be written all the same."""

from __future__ import annotations

from collections.abc import Sequence

from grokstudy.execution.k8s.job import Document

USER = 1000
HOME = "/home/grokstudy"
RAY_FOLDER = "/tmp/ray"
RAY_LOGS = "ray-logs"
"""KubeRay's own name for the volume that the autoscaler and the head share: with another name it would add a second."""
SCRATCH = "10Gi"
"""Most that a pod may write into each folder of its own: beyond it is evicted, before the node's disk is full."""
WRITABLE = {"tmp": "/tmp", "home": HOME, RAY_LOGS: RAY_FOLDER}


def pod_security() -> Document:
    """For a whole pod: one user that is nobody, and the system calls that a container runtime allows by default."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security() -> Document:
    """For every container: no new rights, no capabilities, nothing of the image can be changed."""
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
        "runAsNonRoot": True,
    }


def writable_volumes(names: Sequence[str] = tuple(WRITABLE)) -> list[Document]:
    """Empty folders that go with the pod."""
    return [{"name": name, "emptyDir": {"sizeLimit": SCRATCH}} for name in names]


def writable_mounts(names: Sequence[str] = tuple(WRITABLE)) -> list[Document]:
    """Where a container finds them."""
    return [{"name": name, "mountPath": WRITABLE[name]} for name in names]
