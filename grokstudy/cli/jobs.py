"""Verbs about jobs on a remote cluster: status, logs, stop."""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

import typer

from grokstudy.cli.run import INTERRUPTED, Output
from grokstudy.cli.show import Format, check_document, err, out, print_json
from grokstudy.spec.errors import BadInput
from grokstudy.study.progress_words import afar, duration

if TYPE_CHECKING:
    from grokstudy.execution.jobs import Jobs
    from grokstudy.execution.remote_job import RemoteJob
    from grokstudy.study.activity import Activity

Address = Annotated[
    str | None,
    typer.Option(
        "--address", help="http(s)://HEAD:8265, the cluster's dashboard; default RAY_API_SERVER_ADDRESS or RAY_ADDRESS"
    ),
]
Job = Annotated[str, typer.Argument(help="submission id, its beginning, or a study's name", metavar="JOB")]
VARIABLES = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")


def add_to(app: typer.Typer) -> None:
    """Registers the verbs."""
    app.command()(status)
    app.command()(logs)
    app.command()(stop)


def cluster_address(given: str | None) -> str:
    """The dashboard's address: as given, else the variables of Ray where they name one.

    Raises:
        BadInput: there is none.
    """
    if given is not None:
        return given.rstrip("/")
    named = [os.environ.get(name, "") for name in VARIABLES]
    found = next((value for value in named if urlsplit(value).scheme in ("http", "https")), None)
    if found is None:
        raise BadInput(
            "--address: not given. Give http://HEAD:8265 of the cluster's dashboard, or set RAY_API_SERVER_ADDRESS."
        )
    return found.rstrip("/")


def status(
    job: Annotated[
        str | None, typer.Argument(help="submission id, its beginning, or a study's name; none = all", metavar="JOB")
    ] = None,
    address: Address = None,
    format: Output = Format.table,
) -> None:
    """Jobs on a remote cluster, newest first; one job with its progress, or why it failed.

    Example: grokstudy status demo --address http://head:8265
    """
    from grokstudy.execution.jobs import Jobs
    from grokstudy.study.submitted import found_job

    check_document(format)
    jobs = Jobs(cluster_address(address))
    found = jobs.all()
    if job is None:
        if format is Format.json:
            print_json([dataclasses.asdict(each) for each in found])
        else:
            _list(found, jobs.address)
        return
    _detail(jobs, found_job(job, found), format)


def logs(
    job: Job,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="go on until the job ends, exit as it did")] = False,
    address: Address = None,
) -> None:
    """What a job printed; with -f until it ends: exit code 0 if it finished, else 1.

    Example: grokstudy logs -f demo --address http://head:8265
    """
    from grokstudy.execution.jobs import Jobs
    from grokstudy.study.submitted import found_job

    there = cluster_address(address)
    jobs = Jobs(there)
    found = found_job(job, jobs.all())
    if follow:
        followed(found.id, there)
    else:
        sys.stdout.write(jobs.log(found.id))
        _why(found, jobs)


def stop(job: Job, address: Address = None, format: Output = Format.table) -> None:
    """Asks a job to end and waits for it, some 10 seconds; everything finished is kept.

    Example: grokstudy stop demo --address http://head:8265
    """
    from grokstudy.execution.jobs import Jobs
    from grokstudy.study.submitted import found_job

    check_document(format)
    jobs = Jobs(cluster_address(address))
    found = found_job(job, jobs.all())
    asked = not found.is_over
    if asked:
        found = jobs.stop(found.id)
    if format is Format.json:
        print_json({**dataclasses.asdict(found), "asked": asked})
    elif not asked:
        out.print(f"{found.id}: {found.state} already.", markup=False)
    elif found.is_over:
        out.print(
            f"{found.id}: {found.state}. Everything finished is kept in {found.storage}; the same submission goes on.",
            markup=False,
        )
    else:
        err.print(f"{found.id}: asked, still {found.state}; `grokstudy status {found.id}` tells when it ended.")
        raise typer.Exit(1)


def followed(job_id: str, address: str) -> None:
    """Shows a job's log until it ends, and exits as the job did. An interrupt leaves the job running.

    Raises:
        typer.Exit: the job failed or was stopped (1), or the following was interrupted (130).
    """
    from grokstudy.execution.jobs import Jobs

    jobs = Jobs(address)
    try:
        for text in jobs.follow(job_id):
            sys.stdout.write(text)
            sys.stdout.flush()
    except KeyboardInterrupt:
        err.print(
            f"No longer following; the job goes on. `grokstudy logs -f {job_id}` follows, `grokstudy stop {job_id}` "
            "ends it.",
            markup=False,
        )
        raise typer.Exit(INTERRUPTED) from None
    found = jobs.one(job_id)
    err.print(f"{job_id}: {found.state}.", markup=False)
    _why(found, jobs)
    if found.state != "finished":
        raise typer.Exit(1)


def _why(job: RemoteJob, jobs: Jobs) -> None:
    """What to do about a job that failed, if that is known."""
    from grokstudy.study.submitted import remedy

    told = remedy(f"{job.message}\n{_log(jobs, job)}") if job.state == "failed" else None
    if told is not None:
        err.print(told, markup=False)


def _log(jobs: Jobs, job: RemoteJob) -> str:
    """The job's log; empty where the node that has it is gone."""
    try:
        return jobs.log(job.id)
    except BadInput:
        return ""


def _list(found: list[RemoteJob], address: str) -> None:
    if not found:
        err.print(f"No jobs of grokstudy on {address}.", markup=False)
    print_lines(found)


def print_lines(jobs: Sequence[RemoteJob]) -> None:
    """A line for each job."""
    width = max((len(job.id) for job in jobs), default=0)
    for job in jobs:
        out.print(f"{job.id:{width}}  {job.state:8}  {job.verb:8}  {when(job)}", markup=False)


def when(job: RemoteJob) -> str:
    """When a job started, and how long it took; nothing of a job that is over since nobody knows when."""
    if job.started is None:
        return ""
    start = datetime.fromisoformat(job.started)
    end = datetime.now(UTC) if job.ended is None else datetime.fromisoformat(job.ended)
    took = "" if job.ended is None and job.is_over else duration((end - start).total_seconds())
    told = f", {'for' if job.ended is None else 'took'} {took}" if took else ""
    return f"{start:%Y-%m-%d %H:%M} UTC{told}"


def _detail(jobs: Jobs, job: RemoteJob, form: Format) -> None:
    from grokstudy.study.submitted import last_lines, remedy

    look = _activity(job)
    log = _log(jobs, job) if job.is_over or look is None else ""
    lines = last_lines(log)
    told = remedy(f"{job.message}\n{log}") if job.state == "failed" else None
    if form is Format.json:
        progress = None if look is None else dataclasses.asdict(look)
        print_json({**dataclasses.asdict(job), "progress": progress, "last_lines": lines, "remedy": told})
        return
    rows = [("job", job.id), ("state", job.state), ("verb", job.verb), ("study", job.study), ("storage", job.storage)]
    rows.append(("started", when(job)))
    if look is not None:
        rows.append(("progress", afar(look)))
        rows += [("notice", notice) for notice in look.notices]
    elif job.state == "failed":
        rows.append(("message", job.message.partition(", last available logs")[0].strip()))
        rows += [("log" if number == 0 else "", line) for number, line in enumerate(lines)]
    elif lines:
        rows.append(("last", lines[-1]))
    if told is not None:
        rows.append(("remedy", told))
    for label, text in rows:
        if text:
            out.print(f"{label:8}  {text}", markup=False)


def _activity(job: RemoteJob) -> Activity | None:
    """What the study's own progress file says while the job runs, if its storage can be read from here in time."""
    if job.state != "running" or not job.study:
        return None
    from grokstudy.study.submitted import glimpse

    return glimpse(job.storage, job.study)
