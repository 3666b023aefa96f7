"""What the cluster says about a job that does not come on, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from grokstudy.execution.k8s.refusals import GUIDE
from grokstudy.execution.remedies import Remedies, first_remedy

_SECRETS = f"{GUIDE} lists every Secret with its keys"
_REMEDIES: Remedies = (
    (
        re.compile(r'secret "?(?P<name>[\w.-]+)"? not found', re.IGNORECASE),
        f"The Secret {{name}} is missing in this namespace: {_SECRETS}. The pod starts by itself once it is there.",
    ),
    (
        re.compile(r"couldn't find key (?P<key>\S+) in Secret (?:[\w.-]+/)?(?P<name>[\w.-]+)", re.IGNORECASE),
        f"The Secret {{name}} lacks the key {{key}}: {_SECRETS}. The pod starts by itself once it is there.",
    ),
    (
        re.compile(r'configmap "?(?P<name>grokstudy-config)"? not found', re.IGNORECASE),
        f"The platform is not deployed in this namespace: apply an overlay as {GUIDE} says, or check --namespace.",
    ),
    (
        re.compile(r'configmap "?(?P<name>[\w.-]+)"? not found', re.IGNORECASE),
        "The job's own files are missing: a submission was cut short. Submit the same again, it brings them.",
    ),
    (
        re.compile(r'serviceaccount "?(?P<name>[\w.-]+)"? not found', re.IGNORECASE),
        f"The ServiceAccount {{name}} is missing: apply an overlay as {GUIDE} says, or check --namespace.",
    ),
    (
        re.compile(r"ErrImagePull|ImagePullBackOff|InvalidImageName|ErrImageNeverPull|RegistryUnavailable"),
        "The nodes cannot get the image. Is it pushed, and does its name hold the registry (--image, GROKSTUDY_IMAGE)? "
        "A private registry needs imagePullSecrets on the ServiceAccounts; with kind: `kind load docker-image`.",
    ),
    (
        re.compile(r"Insufficient nvidia\.com/gpu"),
        "No node has a free GPU. Wait for one, ask for fewer with --gpus, or check that the nodes run NVIDIA's device "
        "plugin.",
    ),
    (
        re.compile(r"Insufficient (?P<what>cpu|memory|ephemeral-storage)"),
        "No node has so much free {what}. Unless the cluster adds nodes by itself, wait, or ask for smaller workers "
        "(--cpus, --memory, --head-memory).",
    ),
    (
        re.compile(r"untolerated taint|didn't match Pod's node affinity|didn't match pod topology"),
        "No node takes this pod: with --spot or --gpus there must be nodes with the labels and taints that "
        f"{GUIDE} names.",
    ),
    (
        re.compile(r"exceeded quota: (?P<name>[\w.-]+)"),
        "The quota {name} of this namespace is used up. Wait for other jobs, ask for fewer --workers, or raise it.",
    ),
    (
        re.compile(r"violates PodSecurity"),
        "The namespace's Pod Security refuses the pod. Pods of `grokstudy k8s render` pass `restricted`: was the "
        "document changed, or does another webhook add containers?",
    ),
    (
        re.compile(r"OOMKilled|OutOfMemory"),
        "A container used more memory than its limit. Give workers more (--memory) or packs less (cluster.pack_memory, "
        "cluster.pack_size), the head more with --head-memory.",
    ),
    (
        re.compile(r"Evicted|Preempted|Preempting|NodeLost|NodeShutdown|node has died|supervisor actor died"),
        "A node was lost or wanted for something else. The study goes on by itself; if the job ended, submit again.",
    ),
    (
        re.compile(r"PreRunningDeadlineExceeded"),
        "The cluster was not ready in time, often for want of nodes or an image. Submit again when that is mended.",
    ),
    (
        re.compile(r"DeadlineExceeded"),
        "The time of --deadline is over. Everything finished is kept; submit again and it goes on, or give more hours.",
    ),
    (
        re.compile(r"ValidationFailed|InvalidRayJob|InvalidRayCluster"),
        f"The KubeRay operator refuses the document; its message says why. It must be 1.6.0 or newer (see {GUIDE}).",
    ),
    (
        re.compile(r"SubmissionFailed"),
        "The driver could not be started. `grokstudy k8s logs` shows the submitter; a NetworkPolicy that keeps it from "
        "the head's port 8265 is one cause.",
    ),
    (
        re.compile(r"No module named '?(?P<name>[A-Za-z0-9_]+)|python: (?:command )?not found"),
        "The image lacks what grokstudy needs. Build it from this version's Dockerfile, and give it by --image.",
    ),
    (
        re.compile(r"RunContainerError|CreateContainerError|CrashLoopBackOff"),
        "A container does not come up. `kubectl logs POD --previous` and `kubectl describe pod POD` say why.",
    ),
)
"""In this order: what a message names before what it only hints at."""


def remedies(texts: Iterable[str]) -> list[str]:
    """What to do about each of these messages where that is known, each remedy once."""
    found: dict[str, None] = {}
    for text in texts:
        told = first_remedy(text, _REMEDIES)
        if told is not None:
            found[told] = None
    return list(found)
