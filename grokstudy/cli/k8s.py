"""The verbs of `k8s`: a study as a job on Kubernetes. `render` prints it; those in `k8s_jobs` speak to a cluster."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from grokstudy.cli.run import ConfigDir, FromFile, Name, Plugins, Steps, Words, asked_study, polite
from grokstudy.cli.show import err, print_json
from grokstudy.execution.k8s.settings import KubeSettings
from grokstudy.spec.errors import BadInput

if TYPE_CHECKING:
    from grokstudy.study.submission import Work

DEFAULT = KubeSettings()
SIZES, TIMES = "The job's cluster", "How long and how often"
"""Panels of --help."""

verbs = typer.Typer(name="k8s", help="Studies as jobs on Kubernetes (k8s/README.md).", no_args_is_help=True)


class Notation(StrEnum):
    """How Kubernetes objects are written."""

    yaml = "yaml"
    json = "json"


@dataclasses.dataclass(frozen=True, slots=True)
class Planned:
    """What a job does and how it is sized, after all that can be checked here."""

    work: Work
    settings: KubeSettings


def add_to(app: typer.Typer) -> None:
    """Registers the verbs."""
    from grokstudy.cli import k8s_jobs

    k8s_jobs.add_to(verbs)
    app.add_typer(verbs)


def planned(
    words: Words = None,
    name: Name = None,
    steps: Steps = None,
    only_censored: Annotated[
        bool, typer.Option("--only-censored", help="extend only trials that have not generalised")
    ] = False,
    max_hours: Annotated[float | None, typer.Option("--max-hours", help="stop in time; run again to go on")] = None,
    config_dir: ConfigDir = None,
    plugin: Plugins = None,
    from_file: FromFile = None,
    image: Annotated[
        str | None,
        typer.Option(
            "--image",
            help="of all pods, REGISTRY/NAME:TAG; default grokstudy:VERSION, -cuda with --gpus",
            envvar="GROKSTUDY_IMAGE",
            rich_help_panel=SIZES,
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option("--workers", help="most worker pods; they come as packs wait", rich_help_panel=SIZES)
    ] = DEFAULT.workers,
    cpus: Annotated[int, typer.Option("--cpus", help="of each worker", rich_help_panel=SIZES)] = DEFAULT.cpus,
    memory: Annotated[str, typer.Option("--memory", help="of each worker", rich_help_panel=SIZES)] = DEFAULT.memory,
    gpus: Annotated[
        int,
        typer.Option("--gpus", help="of each worker; with engine=cuda cluster.gpus_per_pack=1", rich_help_panel=SIZES),
    ] = DEFAULT.gpus,
    head_memory: Annotated[
        str, typer.Option("--head-memory", help="of the head, where the driver runs", rich_help_panel=SIZES)
    ] = DEFAULT.head_memory,
    spot: Annotated[
        bool, typer.Option("--spot", help="workers on spot nodes where there are some", rich_help_panel=SIZES)
    ] = DEFAULT.spot,
    queue: Annotated[
        str | None,
        typer.Option("--queue", help="Kueue's LocalQueue; all --workers at once", rich_help_panel=SIZES),
    ] = None,
    priority_class: Annotated[
        str | None,
        typer.Option(
            "--priority-class",
            help="PriorityClass of the pods; with --queue a WorkloadPriorityClass",
            rich_help_panel=SIZES,
        ),
    ] = None,
    namespace: Annotated[str, typer.Option("--namespace", help="of all objects")] = DEFAULT.namespace,
    backoff: Annotated[
        int, typer.Option("--backoff", help="new clusters for a job that failed", rich_help_panel=TIMES)
    ] = DEFAULT.backoff,
    deadline: Annotated[
        float, typer.Option("--deadline", help="hours until the job is ended at the latest", rich_help_panel=TIMES)
    ] = DEFAULT.deadline,
    ttl: Annotated[
        float, typer.Option("--ttl", help="hours that an ended job's cluster is kept", rich_help_panel=TIMES)
    ] = DEFAULT.ttl,
) -> Planned:
    """The job that these words and options of the command line mean; what was chosen for them is said on stderr.

    Raises:
        BadInput: a word, an option, or the study that they describe cannot be.
    """
    settings = KubeSettings(
        image=image,
        namespace=namespace,
        workers=workers,
        cpus=cpus,
        memory=memory,
        gpus=gpus,
        head_memory=head_memory,
        spot=spot,
        queue=queue,
        priority_class=priority_class,
        backoff=backoff,
        deadline=deadline,
        ttl=ttl,
    )
    options = ["--progress", "lines", *_limits(only_censored, max_hours, deadline)]
    from grokstudy.study.k8s_job import deployed, job_work
    from grokstudy.study.sendable import check_words

    check_words([word for word in words or [] if not word.startswith("tracking.uri=")])
    spec = asked_study(words, name, steps, config_dir, plugin, from_file)
    given = any(word.startswith(("storage.root=", "storage=")) for word in words or [])
    found = deployed(spec, settings, storage_given=given)
    work = job_work(found.spec, settings, plugin or [], options)
    for note in found.notes:
        err.print(note, markup=False)
    return Planned(work, settings)


def study_verb(verb: Callable[..., None]) -> Callable[..., None]:
    """A verb about a study that is not there yet: takes the words and options of `planned` before its own.

    Args:
        verb: its first parameter, `planned`, is given what the words and options mean; the others are its own options.
    """
    asked = inspect.signature(planned, eval_str=True).parameters
    own = dict(inspect.signature(verb, eval_str=True).parameters)
    del own["planned"]

    @functools.wraps(verb)
    def command(**given: Any) -> None:
        mine = {key: given.pop(key) for key in own}
        with polite():
            verb(planned(**given), **mine)

    parameters = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (*asked.values(), *own.values())]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {one.name: one.annotation for one in parameters}
    return command


@verbs.command()
@study_verb
def render(
    planned: Planned,
    format: Annotated[Notation, typer.Option("--format", help="yaml, or json: one document")] = Notation.yaml,
) -> None:
    """Prints the Kubernetes objects that run a study: its files, a NetworkPolicy and a RayJob. Nothing else is printed.

    Nothing is sent: `grokstudy k8s submit` takes the same words and does.

    Example: grokstudy k8s render study=demo --image registry.example/grokstudy:0.1.0 | kubectl create -f -
    """
    from grokstudy.execution.k8s.objects import as_list, as_yaml
    from grokstudy.study.k8s_job import documents

    found = documents(planned.work, planned.settings, 1)
    if format is Notation.json:
        print_json(as_list(found))
    else:
        print(as_yaml(found), end="")


def _limits(only_censored: bool, max_hours: float | None, deadline: float) -> list[str]:
    """Options of `run` that travel."""
    if max_hours is not None and max_hours >= deadline:
        raise BadInput(
            f"--max-hours: got {max_hours:g}, but the job is ended after --deadline {deadline:g} hours, its start "
            "included. Give a later --deadline."
        )
    hours = [] if max_hours is None else ["--max-hours", f"{max_hours:g}"]
    return [*(["--only-censored"] if only_censored else []), *hours]
