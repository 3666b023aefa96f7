"""The right to speak to the Kubernetes API, which the autoscaler needs and the study's code must not have.

Kubernetes would put a service account's token into every container of a pod. Here it is a volume of the head's pod that
the autoscaler's container alone mounts, where its library looks for it.
"""

from __future__ import annotations

from grokstudy.execution.k8s.job import Document

VOLUME = "kube-api-token"
FOLDER = "/var/run/secrets/kubernetes.io/serviceaccount"
SECONDS = 3607
"""What Kubernetes itself asks for; the kubelet renews it in time."""


def token_volume() -> Document:
    """The token, the API server's certificate authority and the namespace."""
    namespace = {"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}
    return {
        "name": VOLUME,
        "projected": {
            "sources": [
                {"serviceAccountToken": {"path": "token", "expirationSeconds": SECONDS}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
                {"downwardAPI": {"items": [namespace]}},
            ]
        },
    }


def token_mount() -> Document:
    """For the one container that may."""
    return {"name": VOLUME, "mountPath": FOLDER, "readOnly": True}
