"""A RayJob of ours as the cluster sees it now: its document, read into the words of every remote job."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from grokstudy.execution.k8s.names import PART_OF, QUEUE, STORAGE, STUDY, VERB
from grokstudy.execution.remote_job import RemoteJob, State

Document = Mapping[str, Any]
"""A Kubernetes object as it travels."""

STOPPED = "grokstudy/stopped"
"""Annotation with the time of `grokstudy k8s stop`: tells a stopped job from one that waits suspended in a queue."""
OURS = f"{PART_OF}=grokstudy"
"""Label selector of every object of ours."""
_EXIT_CODE = re.compile(r"exit code (\d+)")
_WAITING = ("", "Initializing", "Waiting", "Scheduling", "Scheduled", "Retrying")
_FAILED = ("Failed", "ValidationFailed")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SeenJob(RemoteJob):
    """A RayJob. `id` is its name; `started` is when the operator took it on."""

    uid: str
    created: str
    deployment: str
    """KubeRay's `jobDeploymentStatus`; empty before the operator has seen it."""
    reason: str
    """KubeRay's one word for a failure."""
    failed_attempts: int
    """Clusters of this job that failed; each retry is a new one."""
    retries: int
    """How many failures are followed by another attempt."""
    queue: str
    """Kueue's local queue; empty without."""
    suspended: bool
    leaving: bool
    """It is being deleted."""


def seen(document: Document) -> SeenJob:
    """A RayJob's document as a job."""
    metadata, spec, status = (document.get(key) or {} for key in ("metadata", "spec", "status"))
    labels, notes = metadata.get("labels") or {}, metadata.get("annotations") or {}
    message = str(status.get("message") or "")
    code = _EXIT_CODE.search(message)
    return SeenJob(
        id=metadata["name"],
        study=notes.get(STUDY, labels.get(STUDY, "")),
        verb=notes.get(VERB, labels.get(VERB, "")),
        storage=notes.get(STORAGE, ""),
        state=_state(metadata, spec, status),
        started=_time(status.get("startTime")),
        ended=_time(status.get("endTime")),
        message=message,
        exit_code=int(code[1]) if code else None,
        uid=metadata.get("uid", ""),
        created=_time(metadata.get("creationTimestamp")) or "",
        deployment=status.get("jobDeploymentStatus") or "",
        reason=status.get("reason") or "",
        failed_attempts=int(status.get("failed") or 0),
        retries=int(spec.get("backoffLimit") or 0),
        queue=labels.get(QUEUE, ""),
        suspended=bool(spec.get("suspend")),
        leaving="deletionTimestamp" in metadata,
    )


def newest_first(documents: list[Document]) -> list[SeenJob]:
    """RayJobs that run a verb of ours; others are left out."""
    jobs = [job for job in map(seen, documents) if job.verb]
    return sorted(jobs, key=lambda job: (job.created, job.id), reverse=True)


def _state(metadata: Document, spec: Document, status: Document) -> State:
    deployment, job = status.get("jobDeploymentStatus") or "", status.get("jobStatus") or ""
    if deployment == "Complete":
        return "stopped" if job == "STOPPED" else "finished"
    if deployment in _FAILED:
        return "failed"
    if "deletionTimestamp" in metadata:
        return "stopped"
    if deployment == "Suspended":
        return "waiting" if _is_queued(metadata) or not spec.get("suspend") else "stopped"
    if deployment in _WAITING:
        return "waiting"
    return "waiting" if deployment == "Running" and job in ("", "PENDING") else "running"


def _is_queued(metadata: Document) -> bool:
    """Kueue keeps a job suspended until there is room for it, and suspends it to make room."""
    return QUEUE in (metadata.get("labels") or {}) and STOPPED not in (metadata.get("annotations") or {})


def _time(text: str | None) -> str | None:
    return None if not text else datetime.fromisoformat(text).isoformat(timespec="seconds")
