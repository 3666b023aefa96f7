"""A job's log as it grows, over retries, restarts and broken connections."""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections.abc import Iterator, Sequence

from grokstudy.execution.k8s.client import Kube
from grokstudy.execution.k8s.pod_state import STARTING, PodState, submitter
from grokstudy.execution.k8s.refusals import NoAnswer, NotThere
from grokstudy.execution.k8s.state import SeenJob

RECONNECTS, PAUSE_SECONDS = 10, 2.0


@dataclasses.dataclass(frozen=True, slots=True)
class Heard:
    """A line of the driver's output, or one about it."""

    text: str
    is_log: bool


def followed(api: Kube, name: str) -> Iterator[Heard]:
    """What a job prints from its beginning until it ends, and what it waits for before and between.

    Raises:
        NoAnswer: the API stayed away.
        NotThere: the job was deleted meanwhile.
    """
    pod_name, read_to, told, whole, away = "", "", "", False, 0
    while True:
        try:
            job, pods = api.job(name), api.pods(name)
            pod = submitter(pods)
            if pod is not None and pod.has_log:
                if pod.name != pod_name:
                    pod_name, read_to, whole = pod.name, "", False
                    yield from (Heard(text, is_log=False) for text in earlier(job))
                if not whole:
                    with contextlib.suppress(NotThere):  # the pod, not the job: another attempt begins
                        for stamp, line in api.log_lines(pod, read_to):
                            read_to, away = stamp, 0
                            yield Heard(f"{line}\n", is_log=True)
                    whole = pod.is_over
            elif not job.is_over and (words := waiting_for(job, pods)) != told:
                told = words
                yield Heard(words, is_log=False)
            if job.is_over:
                return
            away = 0
        except NoAnswer:
            away += 1
            if away > RECONNECTS:
                raise
        time.sleep(PAUSE_SECONDS)


def earlier(job: SeenJob) -> list[str]:
    """What a person must know of attempts whose log is gone."""
    if not job.failed_attempts:
        return []
    count = f"{job.failed_attempts} earlier attempt{'s' if job.failed_attempts > 1 else ''}"
    return [f"{count} failed and left no log here; this one goes on from what is stored."]


def waiting_for(job: SeenJob, pods: Sequence[PodState]) -> str:
    """One line about a job that has no output yet."""
    if job.queue and job.suspended:
        return f"{job.id}: waits in queue {job.queue}."
    troubled = next((pod for pod in pods if pod.reason not in ("", *STARTING)), None)
    if troubled is not None:
        message = f": {troubled.message}" if troubled.message else ""
        return f"{job.id}: {troubled.role} waits, {troubled.reason}{message}"
    up = sum(pod.ready for pod in pods)
    return f"{job.id}: {job.deployment or 'not seen by the operator yet'}, {up} of {len(pods)} pods ready."
