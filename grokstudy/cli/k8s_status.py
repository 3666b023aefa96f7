"""How jobs on Kubernetes are shown: a line each, or one with all that is known about it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from grokstudy.cli.jobs import print_lines, when
from grokstudy.cli.show import Format, err, out, print_json
from grokstudy.study.progress_words import afar

if TYPE_CHECKING:
    from grokstudy.execution.k8s.client import Kube
    from grokstudy.execution.k8s.pod_state import PodState
    from grokstudy.execution.k8s.state import SeenJob
    from grokstudy.study.k8s_look import JobLook


def print_jobs(api: Kube, form: Format) -> None:
    """All jobs, newest first."""
    jobs = api.jobs()
    if form is Format.json:
        print_json([dataclasses.asdict(job) for job in jobs])
        return
    if not jobs:
        err.print(f"No jobs of grokstudy in namespace '{api.place.namespace}' of {api.place.who}.", markup=False)
    print_lines(jobs)


def print_job(api: Kube, job: SeenJob, form: Format) -> None:
    """One job."""
    from grokstudy.study.k8s_look import look

    found = look(api, job)
    if form is Format.json:
        rest = {key: value for key, value in dataclasses.asdict(found).items() if key != "job"}
        print_json({**dataclasses.asdict(job), **rest})
        return
    for label, text in _rows(found):
        if text:
            out.print(f"{label:8}  {text}", markup=False)


def print_remedies(api: Kube, job: SeenJob) -> None:
    """What to do about a job that failed, if that is known."""
    from grokstudy.study.k8s_look import look

    for told in look(api, job).remedies:
        err.print(told, markup=False)


def _rows(found: JobLook) -> list[tuple[str, str]]:
    job = found.job
    rows = [("job", job.id), ("state", _state(job)), ("verb", job.verb), ("study", job.study)]
    rows += [("storage", job.storage), ("started", when(job)), ("attempts", _attempts(job))]
    rows += [("pod", _pod(pod)) for pod in found.pods]
    rows += [("warning", f"{one.about}: {one.reason}: {one.message}") for one in found.warnings]
    if found.progress is not None:
        rows.append(("progress", afar(found.progress)))
        rows += [("notice", notice) for notice in found.progress.notices]
    if job.state == "failed":
        rows.append(("message", _message(job)))
        rows += [("log" if number == 0 else " ", line) for number, line in enumerate(found.last_lines)]
    else:
        rows += [("last", line) for line in found.last_lines[-1:]]
    rows += [("remedy", told) for told in found.remedies]
    return rows


def _state(job: SeenJob) -> str:
    """In our word, and in KubeRay's."""
    if job.leaving:
        return f"{job.state} (being deleted)"
    waits = f", in queue {job.queue}" if job.queue and job.suspended else ""
    return f"{job.state} (RayJob: {job.deployment or 'not seen by the operator yet'}{waits})"


def _message(job: SeenJob) -> str:
    said = job.message.partition(", last available logs")[0].strip()
    return ": ".join(part for part in (job.reason, said) if part)


def _attempts(job: SeenJob) -> str:
    if not job.failed_attempts:
        return ""
    return f"{job.failed_attempts} failed of at most {job.retries + 1}"


def _pod(pod: PodState) -> str:
    state = "ready" if pod.ready else pod.phase.lower()
    restarts = f", {pod.restarts} restarts" if pod.restarts else ""
    why = f"  {pod.reason}{': ' if pod.message else ''}{pod.message}" if pod.reason else ""
    return f"{pod.role:9}  {pod.name}  {state}{restarts}{why}"
