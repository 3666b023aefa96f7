"""The verb `submit`: another verb, run as a job on a remote Ray cluster."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grokstudy.cli.jobs import Address, cluster_address, followed
from grokstudy.cli.run import Output, polite
from grokstudy.cli.show import Format, check_document, err, out, print_json, size
from grokstudy.spec.errors import BadInput, unknown

if TYPE_CHECKING:
    from grokstudy.execution.remote_job import JobRequest, RemoteJob
    from grokstudy.spec.study import StudySpec
    from grokstudy.study.submission import Work

VERBS = ("run", "measure", "critical", "store", "doctor")
"""What can be submitted."""


def add_to(app: typer.Typer) -> None:
    """Registers the verb."""
    app.command(context_settings={"ignore_unknown_options": True})(submit)


def submit(
    verb: Annotated[str, typer.Argument(help="run, measure, critical, store or doctor", metavar="VERB")],
    words: Annotated[
        list[str] | None, typer.Argument(help="words and options of that verb, as it is started here")
    ] = None,
    address: Address = None,
    ship_code: Annotated[
        bool, typer.Option("--ship-code", help="send this grokstudy along; default: the nodes have it")
    ] = False,
    shared_path: Annotated[
        bool, typer.Option("--shared-path", help="the storage root is a folder that every node mounts too")
    ] = False,
    follow: Annotated[bool, typer.Option("--follow", help="show the job's log until it ends")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="list what would be sent; nothing is")] = False,
    driver_cpus: Annotated[
        float,
        typer.Option(
            "--driver-cpus", min=0.0, help="CPUs reserved for the driver; 0 = on the head, beside its services"
        ),
    ] = 0.0,
    driver_resource: Annotated[
        list[str] | None,
        typer.Option("--driver-resource", help="NAME=AMOUNT of a custom resource: chooses the driver's node"),
    ] = None,
    format: Output = Format.table,
) -> None:
    """Sends a verb to a remote Ray cluster, where it goes on when this machine is off; then status, logs, stop.

    A study is resolved here and travels whole. The same submission twice is one job; once that has ended, the next
    one goes on from what is stored.

    Example: grokstudy submit run study=demo storage.root=s3://bucket/data tracking=none --address http://head:8265
    """
    check_document(format)
    with polite():
        from grokstudy.study.submission import code_files

        resources = dict(_amount(word) for word in driver_resource or [])
        work = planned(verb, words or [], shared_path=shared_path)
        files = {**work.files, **(code_files() if ship_code else {})}
        if dry_run:
            _describe(_request(work, files, f"{work.stem}-N", driver_cpus, resources), files, format)
            return
        job, is_new = _sent(cluster_address(address), work, files, driver_cpus, resources)
    _show(job, is_new=is_new, address=address, form=format)
    if follow:
        followed(job.id, cluster_address(address))


def planned(verb: str, words: Sequence[str], *, shared_path: bool) -> Work:
    """What the job does, after all that can be checked here.

    Raises:
        BadInput: the verb, its words or its study cannot be, or the cluster's nodes could not reach what they need.
    """
    from grokstudy.study.sendable import check_words

    parsed = _parsed(verb, words)
    check_words([word for word in words if not word.startswith("tracking.uri=")])
    if parsed.get("dry_run") or parsed.get("format", Format.table) is not Format.table:
        raise BadInput("--dry-run, --format: are submit's own; a job prints for its log.")
    plan = {"run": _run, "measure": _measure, "critical": _critical, "store": _store, "doctor": _doctor}[verb]
    return plan(parsed, words, shared_path)


def _parsed(verb: str, words: Sequence[str]) -> dict[str, Any]:
    """What the verb itself understands of the words: its own command line refuses what it would refuse."""
    from grokstudy.cli import critical, doctor, measure, run, store

    if verb not in VERBS:
        raise unknown("submit", verb, VERBS)
    verbs = typer.Typer()
    for each in (run, measure, critical, store, doctor):
        each.add_to(verbs)
    commands = typer.main.get_command(verbs).commands  # type: ignore[attr-defined]
    name, rest = verb, list(words)
    if verb == "store":
        commands = commands[verb].commands
        name, rest = (rest[0], rest[1:]) if rest else ("", [])
        if name not in commands:
            raise unknown("submit store", name, commands)
    return dict(commands[name].make_context(name, rest).params)


def _run(parsed: dict[str, Any], _: Sequence[str], shared_path: bool) -> Work:
    from grokstudy.cli.run import asked_study
    from grokstudy.study.sendable import check_study
    from grokstudy.study.submission import study_work

    keys = ("words", "name", "steps", "config_dir", "plugin", "from_file")
    spec = asked_study(*(parsed[key] for key in keys))
    check_study(spec, shared_path=shared_path)
    options = ["--progress", _progress(parsed)]
    options += ["--only-censored"] if parsed["only_censored"] else []
    options += [] if parsed["max_hours"] is None else ["--max-hours", f"{parsed['max_hours']:g}"]
    return study_work(spec, parsed["plugin"] or [], options)


def _measure(parsed: dict[str, Any], words: Sequence[str], shared_path: bool) -> Work:
    if parsed["weights"] is not None:
        raise BadInput("--weights: one weights file is measured here in a moment; submit measure takes a STUDY.")
    given = parsed["words"] or []
    there = [] if parsed["cluster"] else ["--cluster", "ray"]
    return _of_study("measure", given[0] if len(given) == 1 else "", parsed, [*words, *there], shared_path)


def _store(parsed: dict[str, Any], words: Sequence[str], shared_path: bool) -> Work:
    return _of_study("store", parsed["study"] or "", parsed, words, shared_path)


def _of_study(verb: str, study: str, parsed: dict[str, Any], words: Sequence[str], shared_path: bool) -> Work:
    """A verb about a stored study: its words travel, and the storage root that they mean here."""
    from grokstudy.study.api import storage_root
    from grokstudy.study.sendable import check_storage
    from grokstudy.study.submission import words_work

    if not study or "/" in study:
        raise BadInput(f"submit {verb}: give one STUDY by its name, and --storage s3://BUCKET/PREFIX.")
    root = storage_root(parsed["storage"])
    check_storage(root, shared_path=shared_path)
    return words_work(verb, study, root, words, parsed.get("plugin") or [], [("--storage", root)])


def _critical(parsed: dict[str, Any], words: Sequence[str], shared_path: bool) -> Work:
    from grokstudy.cli.run import composed
    from grokstudy.spec.settings import StorageSettings
    from grokstudy.study.critical import critical_study, search_words
    from grokstudy.study.sendable import check_study
    from grokstudy.study.submission import words_work

    _check_config_dir(parsed)
    given = parsed["words"]
    base = composed(given and search_words(given), None, parsed["steps"], None, parsed["plugin"])
    check_study(base, shared_path=shared_path)
    elsewhere = dataclasses.replace(base, storage=StorageSettings(root="memory://submit"))  # the job reads the real one
    spec = critical_study(
        elsewhere, parsed["param"][0], trials=parsed["trials"], band=parsed["band"], name=parsed["name"]
    )
    return words_work("critical", spec.name, base.storage.root, [*words, *_there(base)], parsed["plugin"] or [])


def _doctor(parsed: dict[str, Any], words: Sequence[str], shared_path: bool) -> Work:
    from grokstudy.spec import plugins
    from grokstudy.spec.compose import compose_study
    from grokstudy.study.sendable import check_storage
    from grokstudy.study.submission import words_work

    _check_config_dir(parsed)
    for path in parsed["plugin"] or []:
        plugins.add_file(path)
    spec = compose_study(parsed["words"] or [])
    check_storage(spec.storage.root, shared_path=shared_path)
    return words_work("doctor", "", spec.storage.root, [*words, *_there(spec)], parsed["plugin"] or [])


def _there(spec: StudySpec) -> list[str]:
    """Words that say what this machine's environment or an embedded Ray would say here."""
    return [f"storage.root={spec.storage.root}", *(["cluster.kind=ray"] if spec.cluster.kind == "local" else [])]


def _check_config_dir(parsed: dict[str, Any]) -> None:
    if parsed["config_dir"] is not None:
        raise BadInput("--config-dir: does not travel with this verb; write its settings as words.")


def _progress(parsed: dict[str, Any]) -> str:
    """Lines, which a person reads in a log, unless the words say otherwise."""
    mode = str(parsed["progress"].value)
    return "lines" if mode in ("auto", "bar") else mode


def _amount(word: str) -> tuple[str, float]:
    name, _, amount = word.partition("=")
    try:
        value = float(amount)
    except ValueError:
        value = 0.0
    if not name or not 0 < value < float("inf"):
        raise BadInput(f"--driver-resource: got '{word}', must be NAME=AMOUNT with an amount > 0, e.g. head=0.01.")
    return name, value


def _request(work: Work, files: dict[str, bytes], job_id: str, cpus: float, resources: dict[str, float]) -> JobRequest:
    from grokstudy.execution.remote_job import JobRequest
    from grokstudy.study.submission import ENVIRONMENT, archive

    return JobRequest(
        id=job_id,
        study=work.study,
        verb=work.verb,
        storage=work.storage,
        entrypoint=work.entrypoint,
        package=archive(files) if files else b"",
        environment={name: os.environ[name] for name in ENVIRONMENT if name in os.environ},
        cpus=cpus,
        resources=resources,
    )


def _sent(
    address: str, work: Work, files: dict[str, bytes], cpus: float, resources: dict[str, float]
) -> tuple[RemoteJob, bool]:
    """The job that does this work: one that is at it already, else a new one (then True)."""
    from grokstudy.execution.jobs import Jobs
    from grokstudy.study.submitted import check_free, next_id

    jobs = Jobs(address)
    jobs.check_version()
    there = jobs.all()
    job_id, at_work = next_id(work.stem, there)
    if at_work is not None:
        return at_work, False
    if work.verb == "run":
        check_free(work.study, work.storage, there)
    jobs.submit(_request(work, files, job_id, cpus, resources))
    return jobs.one(job_id), True


def _describe(request: JobRequest, files: dict[str, bytes], form: Format) -> None:
    if form is Format.json:
        print_json(
            {
                "id": request.id,
                "entrypoint": request.entrypoint,
                "files": {name: len(data) for name, data in sorted(files.items())},
                "bytes": len(request.package),
                "environment": sorted(request.environment),
                "driver_cpus": request.cpus,
                "driver_resources": request.resources,
                "storage": request.storage,
            }
        )
        return
    out.print(f"id          {request.id} (N = how often it was sent before, and one)", markup=False)
    out.print(f"entrypoint  {request.entrypoint}", markup=False)
    resources = ", ".join(f"{amount:g} {name}" for name, amount in {"CPU": request.cpus, **request.resources}.items())
    out.print(
        f"driver      {resources}{'' if request.resources or request.cpus else ': on the head node'}", markup=False
    )
    out.print(f"storage     {request.storage}", markup=False)
    out.print(f"variables   {', '.join(sorted(request.environment)) or 'none'}", markup=False)
    out.print(
        f"package     {len(files)} file{'' if len(files) == 1 else 's'}, {size(len(request.package))} packed",
        markup=False,
    )
    for name, data in sorted(files.items()):
        out.print(f"  {size(len(data)):>8}  {name}", markup=False)
    err.print("Nothing was sent.")


def _show(job: RemoteJob, *, is_new: bool, address: str | None, form: Format) -> None:
    if form is Format.json:
        print_json({**dataclasses.asdict(job), "submitted": is_new})
        return
    said = "submitted" if is_new else f"already {job.state}; nothing was sent"
    out.print(f"{job.id}: {said}.", markup=False)
    there = "" if address is None else f" --address {address}"
    for verb in ("status", "logs -f", "stop"):
        out.print(f"  {verb:8} grokstudy {verb} {job.id}{there}", markup=False)
