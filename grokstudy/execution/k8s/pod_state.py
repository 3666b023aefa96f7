"""Pods of a job, and warnings about them, as the cluster reports them: what each waits for or ended by."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator

from grokstudy.execution.k8s.names import COMPONENT
from grokstudy.execution.k8s.state import Document

SUBMITTER = "submitter"
MOST_WARNINGS = 5
STARTING = ("ContainerCreating", "PodInitializing")
"""What a pod waits for in its first seconds, when all is well."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PodState:
    """One pod."""

    name: str
    role: str
    phase: str
    ready: bool
    restarts: int
    reason: str
    """One word for what it waits for or ended by; empty if all is well."""
    message: str
    created: str
    container: str
    """The first one: Ray's, or the submitter's."""

    @property
    def has_log(self) -> bool:
        """Whether its container has begun."""
        return self.phase in ("Running", "Succeeded", "Failed")

    @property
    def is_over(self) -> bool:
        return self.phase in ("Succeeded", "Failed")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Warned:
    """A warning event: the only trace of a pod that could not even be made."""

    about: str
    """Kind and name of the object."""
    reason: str
    message: str
    last: str


def pod_state(document: Document) -> PodState:
    """A pod's document as what matters of it."""
    metadata, spec, status = (document.get(key) or {} for key in ("metadata", "spec", "status"))
    containers = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    reason, message = next(_troubles(status, containers), ("", ""))
    if "deletionTimestamp" in metadata:
        reason = reason or "Terminating"
    return PodState(
        name=metadata["name"],
        role=(metadata.get("labels") or {}).get(COMPONENT, ""),
        phase=status.get("phase") or "Pending",
        ready=any(
            each.get("type") == "Ready" and each.get("status") == "True" for each in status.get("conditions") or ()
        ),
        restarts=sum(int(each.get("restartCount") or 0) for each in containers),
        reason=reason,
        message=" ".join(message.split()),
        created=metadata.get("creationTimestamp") or "",
        container=(spec.get("containers") or [{}])[0].get("name", ""),
    )


def submitter(pods: Iterable[PodState]) -> PodState | None:
    """The newest pod that carries the driver's output."""
    found = sorted((pod for pod in pods if pod.role == SUBMITTER), key=lambda pod: (pod.created, pod.name))
    return found[-1] if found else None


def warnings_about(job: str, events: Iterable[Document]) -> list[Warned]:
    """The newest warnings about a job, its cluster or its pods, each once: their names begin with the job's."""
    found: dict[tuple[str, str], Warned] = {}
    for event in events:
        about = event.get("involvedObject") or {}
        name = str(about.get("name", ""))
        if event.get("type") == "Warning" and (name == job or name.startswith(f"{job}-")):
            one = Warned(
                about=f"{about.get('kind', '')} {name}",
                reason=event.get("reason") or "",
                message=" ".join(str(event.get("message") or "").split()),
                last=event.get("lastTimestamp") or event.get("eventTime") or "",
            )
            before = found.get((one.reason, one.message))
            if before is None or before.last < one.last:
                found[one.reason, one.message] = one
    return sorted(found.values(), key=lambda one: one.last, reverse=True)[:MOST_WARNINGS]


def _condition(status: Document, kind: str) -> Document:
    return next((each for each in status.get("conditions") or () if each.get("type") == kind), {})


def _troubles(status: Document, containers: list[Document]) -> Iterator[tuple[str, str]]:
    """Reason and message of whatever is not well, the most telling first."""
    states = [(each.get("state") or {}, each.get("lastState") or {}) for each in containers]
    waiting = [(now["waiting"], before) for now, before in states if now.get("waiting")]
    for why, before in waiting:
        if why.get("reason") not in STARTING:
            killed = (before.get("terminated") or {}).get("reason") == "OOMKilled"
            yield "OOMKilled" if killed else str(why.get("reason")), why.get("message") or ""
    for now, _ in states:
        ended = now.get("terminated") or {}
        if ended.get("exitCode"):
            yield ended.get("reason") or "Error", ended.get("message") or f"exit code {ended['exitCode']}"
    if status.get("reason"):  # Evicted, NodeLost
        yield str(status["reason"]), status.get("message") or ""
    scheduled = _condition(status, "PodScheduled")
    if scheduled.get("status") == "False":
        yield scheduled.get("reason") or "Unschedulable", scheduled.get("message") or ""
    for why, _ in waiting:
        yield str(why.get("reason")), why.get("message") or ""
