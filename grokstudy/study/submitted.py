"""Jobs that were submitted: which one a person means, whether one is at the same work, why one failed."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from typing import TypeVar

from grokstudy.execution.remedies import Remedies, first_remedy
from grokstudy.execution.remote_job import RemoteJob
from grokstudy.spec.errors import BadInput, GrokstudyError, unknown
from grokstudy.store.folder import StudyFolder
from grokstudy.study.activity import Activity, activity

Job = TypeVar("Job", bound=RemoteJob)
PROGRAM = "grokstudy"
"""What the verbs `status` and `stop` follow, where a message names them."""
LAST_LINES = 8
GLIMPSE_SECONDS = 5.0
"""A storage whose credentials are only on the nodes is asked for long before it refuses."""
_REMEDIES: Remedies = (
    (
        re.compile(r"No module named '?grokstudy"),
        "The cluster's nodes have no grokstudy. Bake it into their image, or submit with --ship-code.",
    ),
    (
        re.compile(r"No module named '?(?P<name>[A-Za-z0-9_]+)"),
        "The cluster's nodes have no {name}, which grokstudy needs. Install grokstudy on every node (pip brings its "
        "libraries); --ship-code sends the code alone.",
    ),
    (
        re.compile(r"python: (command )?not found|python: No such file"),
        "The head has no `python` on its PATH. Start Ray from the environment that has grokstudy.",
    ),
    (
        re.compile(r"aren't available on the cluster|could not be scheduled|supervisor actor failed to start"),
        "No node can take the driver. Lower --driver-cpus, or check --driver-resource against `ray status`.",
    ),
    (
        re.compile(r"runtime_env setup failed|Failed to set up runtime"),
        "The package could not be unpacked on the node. Is its disk full? Submit again.",
    ),
    (
        re.compile(r"supervisor actor died|node has died|failed to get job supervisor"),
        "The node of the driver was lost. Submit the same again: it goes on from what is stored.",
    ),
)
"""What the log or the message of a failed job says, and what to do."""


def attempts(stem: str, jobs: Sequence[Job]) -> dict[int, Job]:
    """Earlier submissions of the same work by attempt."""
    numbers = {job.id.removeprefix(f"{stem}-"): job for job in jobs if job.id.startswith(f"{stem}-")}
    return {int(number): job for number, job in numbers.items() if number.isdigit()}


def next_id(stem: str, jobs: Sequence[Job]) -> tuple[str, Job | None]:
    """The id of the next attempt, and the job that is still at this work, if any: then nothing is to be sent."""
    before = attempts(stem, jobs)
    at_work = next((job for job in before.values() if not job.is_over), None)
    return f"{stem}-{max(before, default=0) + 1}", at_work


def check_free(study: str, storage: str, jobs: Sequence[RemoteJob], program: str = PROGRAM) -> None:
    """Accepts another `run` of a study that no job is running: only one may write it.

    Raises:
        BadInput: naming the job. It has other settings, or it would have been found by `next_id`.
    """
    busy = next((job for job in jobs if _runs(job, study, storage) and not job.is_over), None)
    if busy is not None:
        raise BadInput(
            f"study '{study}' is being written by job {busy.id}, {busy.state}, which was sent with other "
            f"settings. Wait for it, end it by `{program} stop {busy.id}`, or give this run another --name."
        )


def _runs(job: RemoteJob, study: str, storage: str) -> bool:
    return job.verb == "run" and job.study == study and job.storage == storage


def found_job(asked: str, jobs: Sequence[Job], program: str = PROGRAM) -> Job:
    """The job that a submission id, a study's name or the beginning of one id means.

    Of a study's jobs that is the newest that is at work, else the newest: whoever stops a study means no job that has
    failed already.

    Args:
        asked: what a person wrote.
        jobs: newest first.
        program: whose `status` lists the jobs.

    Raises:
        BadInput: no job, or several.
    """
    exact = [job for job in jobs if job.id == asked] or [job for job in jobs if asked and job.study == asked]
    if exact:
        return next((job for job in exact if not job.is_over), exact[0])
    near = [job for job in jobs if asked and job.id.startswith(asked)]
    if len(near) == 1:
        return near[0]
    if near:
        ids = ", ".join(job.id for job in near[:5])
        raise BadInput(f"JOB: '{asked}' begins {len(near)} ids: {ids}. Give more of it.")
    raise unknown("JOB", asked, [job.id for job in jobs], f"`{program} status` lists this cluster's jobs.")


def last_lines(log: str, count: int = LAST_LINES) -> list[str]:
    """The end of a log without blank lines."""
    return [line.rstrip() for line in log.splitlines() if line.strip()][-count:]


def remedy(text: str) -> str | None:
    """What to do about a job that failed with this log or message; None if it is nothing that is known."""
    return first_remedy(text, _REMEDIES)


def glimpse(storage: str, study: str, seconds: float = GLIMPSE_SECONDS) -> Activity | None:
    """What the study's own `progress.json` says; None if there is none, or if this machine cannot read it in time."""
    found: list[Activity | None] = []

    def look() -> None:
        try:
            found.append(activity(StudyFolder.open(storage, study)))
        except (GrokstudyError, OSError):
            found.append(None)

    reader = threading.Thread(target=look, daemon=True)
    reader.start()
    reader.join(seconds)
    return found[0] if found else None
