"""One look at a job on Kubernetes: its state and pods, what they wait for, the study's own progress, and what to do."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from grokstudy.execution.k8s.client import Kube
from grokstudy.execution.k8s.pod_state import PodState, Warned, submitter
from grokstudy.execution.k8s.remedies import remedies
from grokstudy.execution.k8s.state import SeenJob
from grokstudy.spec.errors import BadInput
from grokstudy.study.activity import Activity
from grokstudy.study.submitted import glimpse, last_lines

WELL_ENDED = ("finished", "stopped")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobLook:
    """What is known about a job now."""

    job: SeenJob
    pods: tuple[PodState, ...]
    warnings: tuple[Warned, ...]
    """Of the cluster, newest first; of a running job only those that something can be done about."""
    progress: Activity | None
    """None unless it runs and its storage can be read from here."""
    last_lines: tuple[str, ...]
    """Of the driver's log."""
    remedies: tuple[str, ...]


def look(api: Kube, job: SeenJob) -> JobLook:
    """Asks the cluster, and the storage where it can be reached.

    Raises:
        BadInput: the cluster does not answer.
    """
    pods = api.pods(job.id)
    progress = glimpse(job.storage, job.study) if job.state == "running" and job.study else None
    log = driver_log(api, job, pods) if progress is None else ""
    warnings = [] if job.state in WELL_ENDED else api.warnings(job.id)
    if job.state == "running":  # it comes on: a late probe or two is nothing to tell
        warnings = [one for one in warnings if remedies([_told(one)])]
    signs: list[PodState | Warned] = [] if job.state in WELL_ENDED else [*pods, *warnings]
    troubles = [_told(each) for each in signs if each.reason]
    if job.state == "failed":
        troubles = [job.reason, job.message, log, *troubles]
    return JobLook(
        job=job,
        pods=tuple(pods),
        warnings=tuple(warnings),
        progress=progress,
        last_lines=tuple(last_lines(log)),
        remedies=tuple(remedies(troubles)),
    )


def _told(trouble: PodState | Warned) -> str:
    return f"{trouble.reason}: {trouble.message}"


def driver_log(api: Kube, job: SeenJob, pods: Sequence[PodState]) -> str:
    """What the driver has printed; of a job that failed and left no pod, what its message quotes; else empty."""
    pod = submitter(pods)
    if pod is not None and pod.has_log:
        try:
            return api.log(pod)
        except BadInput:  # its node is gone
            pass
    return job.message.partition("last available logs")[2].partition(":")[2].lstrip() if job.is_over else ""
