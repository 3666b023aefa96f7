"""A study's job on a cluster: sent once however often it is asked for, complete or not at all, and stopped again."""

from __future__ import annotations

import dataclasses
import time
from datetime import UTC, datetime

from grokstudy.execution.k8s.client import Kube
from grokstudy.execution.k8s.names import job_stem
from grokstudy.execution.k8s.refusals import AlreadyThere, NoAnswer, NotThere
from grokstudy.execution.k8s.settings import KubeSettings
from grokstudy.execution.k8s.state import STOPPED, Document, SeenJob
from grokstudy.spec.errors import BadInput
from grokstudy.study.k8s_job import documents
from grokstudy.study.submission import Work
from grokstudy.study.submitted import check_free, next_id

PROGRAM = "grokstudy k8s"
STOP_SECONDS = 60.0
"""Pods have 30 s to end; the operator looks every 3 s."""
PAUSE_SECONDS = 1.0


@dataclasses.dataclass(frozen=True, slots=True)
class Sent:
    """The job that does the work, and whether it is new."""

    job: SeenJob
    is_new: bool


def send(api: Kube, work: Work, settings: KubeSettings) -> Sent:
    """Has the cluster do this work: nothing is sent while a job is at it, else its next attempt.

    The RayJob comes first and owns the rest, so that deleting it leaves nothing behind. A submission that was cut short
    before its files were there is completed by the next one.

    Raises:
        BadInput: another job writes this study, or the cluster refuses; then nothing is left of this attempt.
    """
    name, at_work = _next(api, work)
    if at_work is None:
        found = documents(work, settings, _attempt(name))
        try:
            owner = api.create(found.ray_job)
        except AlreadyThere:  # somebody sends the same at the same time
            name, at_work = _next(api, work)
            if at_work is None:
                raise
        else:
            _complete(api, (found.config_map, found.network_policy), owner)
            return Sent(api.job(name), is_new=True)
    found = documents(work, settings, _attempt(at_work.id))
    for part in (found.config_map, found.network_policy):
        _bring(api, part, at_work.uid)
    return Sent(at_work, is_new=False)


@dataclasses.dataclass(frozen=True, slots=True)
class Rehearsal:
    """What `send` would do."""

    name: str
    """Of the job that does the work."""
    is_new: bool
    away: NoAnswer | None
    """Why the cluster could not be asked; None if it accepts everything."""


def rehearse(api: Kube, work: Work, settings: KubeSettings) -> Rehearsal:
    """Has the cluster check what `send` would make, and keep nothing.

    Raises:
        BadInput: it would be refused.
    """
    try:
        name, at_work = _next(api, work)
        if at_work is not None:
            return Rehearsal(at_work.id, is_new=False, away=None)
        found = documents(work, settings, _attempt(name))
        for document in (found.ray_job, found.config_map, found.network_policy):
            api.create(document, dry_run=True)
    except NoAnswer as error:
        return Rehearsal(f"{job_stem(work.stem)}-N", is_new=True, away=error)
    return Rehearsal(name, is_new=True, away=None)


def stop(api: Kube, job: SeenJob, seconds: float = STOP_SECONDS) -> tuple[SeenJob | None, int]:
    """Has a job's cluster taken down and waits until its pods are gone.

    The job's record stays, suspended. A job of a queue is deleted instead: its queue alone may suspend and resume it.

    Returns:
        The job as it stands then, None if it is gone; and how many of its pods are left when the time is over.
    """
    if job.queue:
        api.delete_job(job.id)
    else:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        api.change("RayJob", job.id, {"metadata": {"annotations": {STOPPED: now}}, "spec": {"suspend": True}})
    return _gone(api, job.id, seconds)


def remove(api: Kube, job: SeenJob, seconds: float = STOP_SECONDS) -> int:
    """Deletes a job with its record, files, pods and logs; how many pods are left when the time is over."""
    api.delete_job(job.id)
    return _gone(api, job.id, seconds)[1]


def _gone(api: Kube, name: str, seconds: float) -> tuple[SeenJob | None, int]:
    end = time.monotonic() + seconds
    while True:
        job, pods = _there(api, name), [pod for pod in api.pods(name) if not pod.is_over]
        if (not pods and (job is None or job.is_over)) or time.monotonic() > end:
            return job, len(pods)
        time.sleep(PAUSE_SECONDS)


def _there(api: Kube, name: str) -> SeenJob | None:
    try:
        return api.job(name)
    except NotThere:
        return None


def _next(api: Kube, work: Work) -> tuple[str, SeenJob | None]:
    jobs = api.jobs()
    name, at_work = next_id(job_stem(work.stem), jobs)
    if at_work is None and work.verb == "run":
        check_free(work.study, work.storage, jobs, PROGRAM)
    return name, at_work


def _attempt(name: str) -> int:
    return int(name.rpartition("-")[2])


def _complete(api: Kube, parts: tuple[Document, ...], owner: Document) -> None:
    """Makes what the RayJob needs; if that fails, the RayJob goes too."""
    name = owner["metadata"]["name"]
    try:
        for part in parts:
            _bring(api, part, owner["metadata"]["uid"])
    except (BadInput, KeyboardInterrupt) as error:
        try:
            api.delete_job(name)
        except BadInput as left:
            raise BadInput(
                f"{error} What was begun could not be deleted either: {left} Do `kubectl -n {api.place.namespace} "
                f"delete rayjob {name}`, or submit again."
            ) from None
        raise


def _bring(api: Kube, part: Document, uid: str) -> None:
    """Makes an object that goes when its RayJob goes. One of this name holds the same, since the name holds its hash:
    it may have been another RayJob's that is being deleted, so it is given to this one."""
    name = part["metadata"]["name"]
    owned = {"ownerReferences": [{"apiVersion": "ray.io/v1", "kind": "RayJob", "name": name, "uid": uid}]}
    try:
        api.create({**part, "metadata": {**part["metadata"], **owned}})
    except AlreadyThere:
        api.change(part["kind"], name, {"metadata": owned})
