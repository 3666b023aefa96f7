"""Which nodes a job's pods may lie on, and which they prefer."""

from __future__ import annotations

from grokstudy.execution.k8s import names
from grokstudy.execution.k8s.job import Document, KubeJob
from grokstudy.execution.k8s.settings import KubeSettings

SPOT_LABELS = {
    "cloud.google.com/gke-spot": "true",
    "eks.amazonaws.com/capacityType": "SPOT",
    "karpenter.sh/capacity-type": "spot",
    "kubernetes.azure.com/scalesetpriority": "spot",
}
"""By which clouds mark the nodes that they may take back."""
SPOT_TAINTS = ("cloud.google.com/gke-spot", "kubernetes.azure.com/scalesetpriority")
"""Those with which they keep other pods away, too."""


def head_nodes(settings: KubeSettings) -> Document:
    """Any node, but none that may be taken back where such nodes are in play: the head's loss ends the driver."""
    if not settings.spot:
        return {}
    never = [{"key": key, "operator": "NotIn", "values": [value]} for key, value in SPOT_LABELS.items()]
    required = {"nodeSelectorTerms": [{"matchExpressions": never}]}
    return {"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}}


def worker_nodes(job: KubeJob) -> Document:
    """Spread over nodes, so that losing one costs few packs; GPU nodes and spot nodes if they were asked for."""
    settings = job.settings
    wanted: Document = {
        "topologySpreadConstraints": [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "ScheduleAnyway",
                "labelSelector": {"matchLabels": {names.JOB: job.name, names.COMPONENT: "worker"}},
            }
        ]
    }
    tolerations = [
        *([{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}] if settings.gpus else []),
        *(_spot_tolerations() if settings.spot else []),
    ]
    if tolerations:
        wanted["tolerations"] = tolerations
    if settings.spot:
        # A preference falls back to other nodes by itself; worker groups with a priority need KubeRay 1.7.
        preferred = {"preferredDuringSchedulingIgnoredDuringExecution": _spot_preferences()}
        wanted["affinity"] = {"nodeAffinity": preferred}
    return wanted


def _spot_tolerations() -> list[Document]:
    return [{"key": key, "operator": "Equal", "value": SPOT_LABELS[key], "effect": "NoSchedule"} for key in SPOT_TAINTS]


def _spot_preferences() -> list[Document]:
    return [
        {"weight": 100, "preference": {"matchExpressions": [{"key": key, "operator": "In", "values": [value]}]}}
        for key, value in SPOT_LABELS.items()
    ]
