"""Command lines and variables of containers, read by the programs that will read them."""

from __future__ import annotations

import functools
import re
import shlex
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import typer.main
from typer.exceptions import TyperException

from grokstudy.spec.errors import BadInput
from grokstudy.tracking import group_server
from tests.k8s.documents import Document, Finding, of_kind, title
from tests.k8s.images import is_ours
from tests.k8s.pods import MadePod, made_pods

SOURCE = Path(group_server.__file__).parents[1]
REFUSED = (click.UsageError, TyperException)
"""What a parser raises of words that it does not take; Typer brings its own copy of click."""
EXPANDED = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_]*)\)")
CALLED = re.compile(r"https?://(mlflow[\w.-]*(?::\d+)?)(?![\w.-])")
SECRET = "from-a-secret"
"""Stands for a value that only the cluster knows."""
FOREIGN = {
    "AWS_": frozenset(
        {
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "AWS_ENDPOINT_URL",
            "AWS_REGION",
            "AWS_DEFAULT_REGION",
            "AWS_ALLOW_HTTP",
            "AWS_REQUEST_CHECKSUM_CALCULATION",
            "AWS_RESPONSE_CHECKSUM_VALIDATION",
            "AWS_EC2_METADATA_DISABLED",
            "AWS_CA_BUNDLE",
            "AWS_VIRTUAL_HOSTED_STYLE_REQUEST",
            "AWS_MAX_ATTEMPTS",
            "AWS_RETRY_MODE",
        }
    ),
    "PG": frozenset(
        {"PGHOST", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD", "PGSSLMODE", "PGSSLROOTCERT", "PGCONNECT_TIMEOUT"}
        | {"PGAPPNAME", "PGPASSFILE", "PGTARGETSESSIONATTRS", "PGDATA", "PGOPTIONS"}
    ),
}
"""Variables that libraries of others read, by prefix: a name with the prefix that is not here is a slip of the pen."""


def findings(documents: list[Document]) -> list[Finding]:
    """Words that our programs refuse, settings that leave MLflow open, variables that nobody reads."""
    maps = {one["metadata"]["name"]: dict(one.get("data") or {}) for one in of_kind(documents, "ConfigMap")}
    found = []
    for pod in made_pods(documents):
        for container in pod.every_container:
            place = f"{pod.title} [{container['name']}]"
            found += [
                Finding("commands", rule, place, what) for rule, what in _container(container, pod, maps, documents)
            ]
    for job in of_kind(documents, "RayJob"):
        what = _grokstudy_refuses(shlex.split(job["spec"]["entrypoint"]))
        found += [Finding("commands", "entrypoint", title(job), what)] if what else []
    return sorted(set(found))


Maps = Mapping[str, Mapping[str, str]]
Broken = tuple[str, str]
"""Rule and sentence."""


def _container(container: Document, pod: MadePod, maps: Maps, documents: list[Document]) -> Iterator[Broken]:
    given = environment(container, maps)
    if is_ours(str(container.get("image"))):
        yield from (("variable", f"nobody reads {name}") for name in given if not _is_read(name))
    words = [EXPANDED.sub(lambda name: given.get(name[1], name[0]), word) for word in _words(container)]
    for word in words:
        if EXPANDED.search(word):
            yield "variable", f"{EXPANDED.search(word)[0]} is not set"  # type: ignore[index]
    runs_mlflow = (
        "mlflow" in words[:1]
        or any(word.startswith("grokstudy") for word in words[:3])
        or "ray-head" in container["name"]
    )
    if runs_mlflow and given.get("MLFLOW_DISABLE_TELEMETRY") != "true":
        yield "variable", "MLFLOW_DISABLE_TELEMETRY must be true: nothing phones home"
    if what := _grokstudy_refuses(words):
        yield "words", what
    if words[:2] == ["mlflow", "server"]:
        yield from _server(words[2:], given, documents)
    elif "mlflow" in words and "db" in words and pod.owner["kind"] != "Job":
        yield "migration", "only one Job migrates: two at once break each other"


def environment(container: Document, maps: Maps) -> dict[str, str]:
    """The variables that a container starts with; values of Secrets are a placeholder."""
    made: dict[str, str] = {}
    for source in container.get("envFrom") or []:
        if reference := source.get("configMapRef"):
            made |= maps.get(reference["name"], {})
    for one in container.get("env") or []:
        reference = (one.get("valueFrom") or {}).get("configMapKeyRef")
        known = maps.get(reference["name"], {}).get(reference["key"], "") if reference else None
        made[one["name"]] = SECRET if "value" not in one and known is None else str(one.get("value", known))
    return made


def _words(container: Document) -> list[str]:
    return [str(word) for word in (*(container.get("command") or []), *(container.get("args") or []))]


def _grokstudy_refuses(words: list[str]) -> str:
    """Why our command line would not take these words; empty if it would, or if they are none of ours."""
    ours = (["grokstudy"], ["python", "-m", "grokstudy.cli.app"])
    start = next((first for first in ours if words[: len(first)] == first), None)
    if start is None:
        return ""
    return refusal(_command_line(), words[len(start) :])


def refusal(command: Any, words: list[str]) -> str:
    """Why a command, or the verb of a group that the words name, does not take these options; empty if it does.

    Args:
        command: of click or of Typer, which share no class.
        words: without the program. Nothing of what they say is done.
    """
    try:
        context = command.make_context(command.name or "", list(words))
        if hasattr(command, "resolve_command"):
            # The group has read its own options; these two hold what it leaves to its verb.
            _, verb, left = command.resolve_command(context, [*context._protected_args, *context.args])
            return refusal(verb, left)
    except REFUSED as error:
        return str(error)
    return ""


@functools.cache
def _command_line() -> Any:
    from grokstudy.cli.app import app

    return typer.main.get_command(app)


@functools.cache
def _server_command() -> click.Command:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow's own modules about each other
        from mlflow.cli import cli

    return cli.commands["server"]


def _server(words: list[str], given: Mapping[str, str], documents: list[Document]) -> Iterator[Broken]:
    """MLflow's server: its own parser takes the words, and nothing is left open."""
    if what := refusal(_server_command(), words):
        yield "words", what
        return
    options = _options(_server_command(), words, given)
    hosts = options["allowed_hosts"]
    try:
        group_server.check_settings({**given, "MLFLOW_SERVER_ALLOWED_HOSTS": hosts})
    except BadInput as error:
        yield "mlflow", str(error)
    if options["app_name"] != "grokstudy-group":
        yield "mlflow", "--app-name must be grokstudy-group: without it nobody has to log in"
    if not options["backend_store_uri"].startswith("postgresql+psycopg2://"):
        yield "mlflow", "the backend store must name PostgreSQL and its driver: postgresql+psycopg2://"
    if not options["artifacts_destination"].startswith("s3://"):
        yield "mlflow", "artifacts must go to the bucket: replicas share no disk"
    for name in sorted(_called(documents) - {host.strip() for host in hosts.split(",")}):
        yield "mlflow", f"{name} is not an allowed host, but others call it by that name"


def _options(command: click.Command, words: list[str], given: Mapping[str, str]) -> dict[str, str]:
    """A command's options: from its words, else from the container's variables, else empty."""
    context = command.make_context(command.name, list(words))
    options = [one for one in command.params if one.name is not None]
    said = {one.name: context.params[one.name] for one in options if _is_said(context, one.name)}
    from_variables = {one.name: given.get(str(one.envvar), "") for one in options}
    return {str(name): str(value) for name, value in (from_variables | said).items()}


def _is_said(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE


def _called(documents: list[Document]) -> set[str]:
    """Names by which other manifests call MLflow, with the port as it is sent in the Host header.

    Names of an Ingress are not among them: what stands behind it asks by the Service's name.
    """
    outside = {rule.get("host") for one in of_kind(documents, "Ingress") for rule in one["spec"].get("rules") or []}
    texts = (str(one.get("data") or one.get("spec") or "") for one in documents)
    return {name for text in texts for name in CALLED.findall(text)} - outside


def _is_read(name: str) -> bool:
    """Whether somebody reads this variable; of names without a known prefix nothing is known."""
    if name.startswith(("GROKSTUDY_", "MLFLOW_")):
        return name in _read_by_us() or name in _read_by_mlflow()
    return all(name in known for prefix, known in FOREIGN.items() if name.startswith(prefix))


@functools.cache
def _read_by_us() -> frozenset[str]:
    texts = [path.read_text() for path in SOURCE.rglob("*.py")]
    return frozenset(name for text in texts for name in re.findall(r"\"((?:GROKSTUDY|MLFLOW)_[A-Z_]+)\"", text))


@functools.cache
def _read_by_mlflow() -> frozenset[str]:
    import mlflow

    folder = Path(mlflow.__file__).parent
    files = [
        folder / "environment_variables.py",
        folder / "server" / "auth" / "__init__.py",
        folder / "cli" / "__init__.py",
    ]
    names = {name for path in files for name in re.findall(r"\b(MLFLOW_[A-Z_]+)\b", path.read_text())}
    return frozenset(names)
