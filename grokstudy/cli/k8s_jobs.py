"""Verbs about studies on a Kubernetes cluster: submit, list, status, logs, stop."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grokstudy.cli.k8s import DEFAULT, Planned, study_verb
from grokstudy.cli.run import INTERRUPTED, Output
from grokstudy.cli.show import Format, check_document, err, out, print_json

if TYPE_CHECKING:
    from grokstudy.execution.k8s.client import Kube
    from grokstudy.execution.k8s.state import SeenJob
    from grokstudy.study.k8s_submission import Rehearsal

Kubeconfig = Annotated[
    Path | None, typer.Option("--kubeconfig", help="file; default KUBECONFIG, else ~/.kube/config, else this pod's own")
]
Context = Annotated[str | None, typer.Option("--context", help="name in the kubeconfig; default its current one")]
Namespace = Annotated[str, typer.Option("--namespace", help="of the jobs")]
Job = Annotated[str, typer.Argument(help="a job's name, its beginning, or a study's name", metavar="JOB")]
Follow = Annotated[bool, typer.Option("--follow", "-f", help="go on until the job ends, exit as it did")]
PROGRAM = "grokstudy k8s"


def add_to(verbs: typer.Typer) -> None:
    """Registers the verbs."""
    verbs.command()(study_verb(submit))
    verbs.command("list")(list_jobs)
    for verb in (status, logs, stop):
        verbs.command()(verb)


def submit(
    planned: Planned,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    follow: Follow = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="the cluster checks the objects and keeps none; nothing runs")
    ] = False,
    format: Output = Format.table,
) -> None:
    """Runs a study on a Kubernetes cluster, where it goes on when this machine is off; then status, logs, stop.

    Words and options are those of `render`. The same submission twice is one job; once that has ended, the next one
    goes on from what is stored.

    Example: grokstudy k8s submit study=demo --image registry.example/grokstudy:0.1.0
    """
    check_document(format)
    from grokstudy.study.k8s_submission import rehearse, send

    api = _cluster(planned.settings.namespace, kubeconfig, context)
    if dry_run:
        _rehearsed(rehearse(api, planned.work, planned.settings), format)
        return
    sent = send(api, planned.work, planned.settings)
    if format is Format.json:
        print_json({**dataclasses.asdict(sent.job), "submitted": sent.is_new})
    else:
        said = "submitted" if sent.is_new else f"already {sent.job.state}; nothing was sent"
        out.print(f"{sent.job.id}: {said}.", markup=False)
        for verb in ("status", "logs -f", "stop"):
            out.print(f"  {verb:8} {PROGRAM} {verb} {sent.job.id}{_there(api, kubeconfig, context)}", markup=False)
    if follow:
        _followed(api, sent.job.id)


def list_jobs(
    namespace: Namespace = DEFAULT.namespace,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    format: Output = Format.table,
) -> None:
    """Jobs of a namespace, newest first.

    Example: grokstudy k8s list
    """
    from grokstudy.cli.k8s_status import print_jobs

    check_document(format)
    print_jobs(_cluster(namespace, kubeconfig, context), format)


def status(
    job: Annotated[
        str | None, typer.Argument(help="a job's name, its beginning, or a study's name; none = all", metavar="JOB")
    ] = None,
    namespace: Namespace = DEFAULT.namespace,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    format: Output = Format.table,
) -> None:
    """A job's state, its pods and what they wait for, the study's progress, and what to do if it does not come on.

    Example: grokstudy k8s status demo
    """
    from grokstudy.cli.k8s_status import print_job, print_jobs

    check_document(format)
    api = _cluster(namespace, kubeconfig, context)
    if job is None:
        print_jobs(api, format)
    else:
        print_job(api, _found(api, job), format)


def logs(
    job: Job,
    follow: Follow = False,
    namespace: Namespace = DEFAULT.namespace,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """What the driver printed; with -f until the job ends: exit code 0 if it finished, else 1.

    Example: grokstudy k8s logs -f demo
    """
    from grokstudy.execution.k8s.following import earlier, waiting_for
    from grokstudy.study.k8s_look import driver_log

    api = _cluster(namespace, kubeconfig, context)
    found = _found(api, job)
    if follow:
        _followed(api, found.id)
        return
    pods = api.pods(found.id)
    for text in earlier(found):
        err.print(text, markup=False)
    text = driver_log(api, found, pods)
    sys.stdout.write(text)
    if not text:
        gone = f"{found.id}: {found.state}; its log went with its pods."
        err.print(gone if found.is_over else waiting_for(found, pods), markup=False)


def stop(
    job: Job,
    delete: Annotated[
        bool, typer.Option("--delete", help="delete its record and logs, too; also of an ended job")
    ] = False,
    namespace: Namespace = DEFAULT.namespace,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
    format: Output = Format.table,
) -> None:
    """Takes a job's pods down and waits until they are gone, up to a minute; everything finished is kept.

    Its record stays (with --queue it goes, too: there the queue alone may suspend). The same submission goes on.

    Example: grokstudy k8s stop demo
    """
    from grokstudy.study import k8s_submission

    check_document(format)
    api = _cluster(namespace, kubeconfig, context)
    found = _found(api, job)
    asked = delete or not found.is_over
    now: SeenJob | None = found
    left = 0
    if delete:
        now, left = None, k8s_submission.remove(api, found)
    elif asked:
        now, left = k8s_submission.stop(api, found)
    state = "deleted" if now is None else now.state
    if format is Format.json:
        print_json({**dataclasses.asdict(now or found), "state": state, "asked": asked, "pods_left": left})
    elif not asked:
        out.print(f"{found.id}: {state} already.", markup=False)
    elif left == 0 and (now is None or now.is_over):
        out.print(
            f"{found.id}: {state}. Everything finished is kept in {found.storage}; the same submission goes on.",
            markup=False,
        )
    if left or (now is not None and not now.is_over):
        pods = f"{left} pod{'' if left == 1 else 's'} left"
        err.print(
            f"{found.id}: asked, still {state}, {pods}. Is the KubeRay operator running? `{PROGRAM} status {found.id}` "
            "tells when it ended.",
            markup=False,
        )
        raise typer.Exit(1)


def _cluster(namespace: str, kubeconfig: Path | None, context: str | None) -> Kube:
    from grokstudy.execution.k8s.client import Kube

    return Kube(namespace, kubeconfig, context)


def _found(api: Kube, asked: str) -> SeenJob:
    from grokstudy.study.submitted import found_job

    return found_job(asked, api.jobs(), PROGRAM)


def _followed(api: Kube, name: str) -> None:
    """Shows a job's log until it ends, and exits as the job did. An interrupt leaves the job running."""
    from grokstudy.cli.k8s_status import print_remedies
    from grokstudy.execution.k8s.following import followed

    try:
        for heard in followed(api, name):
            if heard.is_log:
                sys.stdout.write(heard.text)
                sys.stdout.flush()
            else:
                err.print(heard.text, markup=False)
    except KeyboardInterrupt:
        err.print(
            f"No longer following; the job goes on. `{PROGRAM} logs -f {name}` follows, `{PROGRAM} stop {name}` ends "
            "it.",
            markup=False,
        )
        raise typer.Exit(INTERRUPTED) from None
    found = api.job(name)
    err.print(f"{name}: {found.state}.", markup=False)
    if found.state != "finished":
        print_remedies(api, found)
        raise typer.Exit(1)


def _there(api: Kube, kubeconfig: Path | None, context: str | None) -> str:
    """Options by which the next verb finds the same place."""
    words = [] if api.place.namespace == DEFAULT.namespace else ["--namespace", api.place.namespace]
    words += [] if kubeconfig is None else ["--kubeconfig", str(kubeconfig)]
    words += [] if context is None else ["--context", context]
    return "".join(f" {word}" for word in words)


def _rehearsed(found: Rehearsal, form: Format) -> None:
    objects = [f"{kind} {found.name}" for kind in ("RayJob", "ConfigMap", "NetworkPolicy") if found.is_new]
    if form is Format.json:
        print_json({"id": found.name, "new": found.is_new, "objects": objects, "checked": found.away is None})
    for each in objects if form is Format.table else ():
        out.print(each, markup=False)
    if not found.is_new:
        said = f"{found.name} is at this work already; nothing would be sent."
    elif found.away is None:
        said = "The cluster accepts them; nothing was sent."
    else:
        said = f"Nothing was sent, and the cluster has checked nothing: {found.away}"
    err.print(said, markup=False)
