"""What a person chooses of a study's job on Kubernetes: sizes, queue, limits of time."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import re

from grokstudy.execution.k8s.names import DNS_LABEL, DNS_SUBDOMAIN, LONGEST_LABEL
from grokstudy.execution.k8s.quantity import memory_bytes
from grokstudy.spec.errors import BadInput

IMAGE = re.compile(r"[a-z0-9][A-Za-z0-9._/:-]*?(?P<tag>:[A-Za-z0-9_][A-Za-z0-9_.-]*)?(?P<digest>@sha256:[0-9a-f]{64})?")
LEAST_WORKER, LEAST_HEAD = 2**30, 2 * 2**30
"""Bytes. A head without work was measured at 0.8 GB; the driver beside it takes as much again."""
LONGEST_HOURS = 24.0 * 365
MOST_WORKERS = 1000
"""As many packs at a time as one Ray cluster is known to place with ease."""
MOST_RETRIES = 10


def default_image(gpus: int) -> str:
    """The image of this version, as k8s/README.md builds it."""
    return f"grokstudy:{importlib.metadata.version('grokstudy')}{'-cuda' if gpus else ''}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KubeSettings:
    """One job: a Ray cluster of its own, from whose head the study is driven and which goes when the study has ended.

    None of it changes a number.

    Raises:
        BadInput: a value that Kubernetes, KubeRay or Kueue would refuse, or that cannot be meant.
    """

    image: str | None = None
    """Of head, workers and submitter; None = this version's own name, which a registry's must replace."""
    namespace: str = "grokstudy"
    workers: int = 4
    """Most worker pods at a time. They come when packs wait and go when idle; with a queue, all of them from the
    start."""
    cpus: int = 4
    """Whole CPUs of a worker: requested, never limited, since a limit only slows a pack down."""
    memory: str = "8Gi"
    """Of a worker: requested and limited."""
    gpus: int = 0
    """NVIDIA GPUs of a worker."""
    head_memory: str = "4Gi"
    """Of the head, where the driver runs."""
    spot: bool = False
    """Workers may lie on spot nodes and prefer them; the head never does."""
    queue: str | None = None
    """Kueue's LocalQueue that admits the job as a whole; None = it starts at once."""
    priority_class: str | None = None
    """PriorityClass of the pods; with a queue, Kueue's WorkloadPriorityClass of the job."""
    backoff: int = 2
    """How often a job that failed is tried again, on a new cluster: it goes on from the bucket."""
    deadline: float = 72.0
    """Hours after which a job that has not ended is ended, whatever it does."""
    ttl: float = 0.1
    """Hours that the cluster of a job that has ended is kept to be looked at. Its record and log stay."""

    def __post_init__(self) -> None:
        self._check_names()
        for key, value, least, most in (
            ("--workers", self.workers, 1, MOST_WORKERS),
            ("--cpus", self.cpus, 1, 1024),
            ("--gpus", self.gpus, 0, 64),
            ("--backoff", self.backoff, 0, MOST_RETRIES),
        ):
            if not least <= value <= most:
                raise BadInput(f"{key}: got {value}, must be {least}..{most}.")
        if not 0 < self.deadline <= LONGEST_HOURS:
            raise BadInput(f"--deadline: got {self.deadline:g}, must be > 0 and at most {LONGEST_HOURS:g} hours.")
        if not 0 <= self.ttl <= LONGEST_HOURS:
            raise BadInput(f"--ttl: got {self.ttl:g}, must be 0..{LONGEST_HOURS:g} hours.")
        memory_bytes("--memory", self.memory, LEAST_WORKER)
        memory_bytes("--head-memory", self.head_memory, LEAST_HEAD)

    def _check_names(self) -> None:
        _check_image(self.image)
        if not DNS_LABEL.fullmatch(self.namespace):
            raise BadInput(_no_name("--namespace", self.namespace, "at most 63 small letters, digits and '-'"))
        # A queue's name is the value of a label, as is a WorkloadPriorityClass's.
        for key, value, longest in (
            ("--queue", self.queue, LONGEST_LABEL),
            ("--priority-class", self.priority_class, LONGEST_LABEL if self.queue else 253),
        ):
            if value is not None and not (DNS_SUBDOMAIN.fullmatch(value) and len(value) <= longest):
                raise BadInput(_no_name(key, value, f"at most {longest} small letters, digits, '-' and '.'"))

    @property
    def image_name(self) -> str:
        """The image that the pods run."""
        return self.image or default_image(self.gpus)

    @property
    def scales(self) -> bool:
        """Whether workers come and go. Kueue admits an amount that stays, unless an alpha feature of its is on."""
        return self.queue is None

    @property
    def memory_bytes(self) -> int:
        """Of a worker."""
        return memory_bytes("--memory", self.memory, LEAST_WORKER)


def _check_image(image: str | None) -> None:
    if image is None:
        return
    match = IMAGE.fullmatch(image)
    if match is None or (match["tag"] is None and match["digest"] is None):
        raise BadInput(f"--image: got '{image}', must be REGISTRY/NAME:TAG or REGISTRY/NAME@sha256:DIGEST.")
    if match["tag"] == ":latest" and match["digest"] is None:
        raise BadInput(
            f"--image: got '{image}', which may be another program on every node. Give the tag of a version, as "
            f"'{default_image(0).partition(':')[2]}', or a digest."
        )


def _no_name(key: str, given: str, allowed: str) -> str:
    shown = given if given.isprintable() else ascii(given)
    return f"{key}: got '{shown}', must be {allowed}, a letter or digit first and last."
