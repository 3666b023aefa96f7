"""What `grokstudy doctor` asks of the services around a study: MLflow, and the way into a Ray cluster."""

from __future__ import annotations

import ipaddress
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from grokstudy.execution.node_look import installed
from grokstudy.spec.errors import GrokstudyError
from grokstudy.spec.settings import ClusterSettings, TrackingSettings
from grokstudy.study.doctor_check import Check, bad, doubtful, good, refused, unseen

MODE, TOKEN, TOKEN_PATH = "RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"
TOKEN_FILE = Path(".ray", "auth_token")
"""Below HOME: where Ray looks last, and writes a token of its own."""
ONE_TOKEN = f"Set {MODE}=token on every node and here, with one token: {TOKEN_PATH}=FILE, which only you can read."


def mlflow(settings: TrackingSettings, root: str) -> Check:
    """Whether MLflow answers, and accepts the name under which it is asked."""
    if not settings.enabled:
        return unseen("mlflow", "tracking.enabled=false")
    from grokstudy.tracking.connection import diagnose
    from grokstudy.tracking.settings import redacted, resolved_uri, sqlite_file

    try:
        uri = resolved_uri(settings, root)
    except GrokstudyError as error:
        return refused("mlflow", str(error))
    wrong = diagnose(settings, uri)
    if wrong is not None:
        return refused("mlflow", wrong)
    file = sqlite_file(uri)
    if file is not None:
        return good("mlflow", str(file) if file.exists() else f"{file}, made by the first run")
    return good("mlflow", f"{redacted(uri)} answers")


def authentication(cluster: ClusterSettings, address: str | None, environment: Mapping[str, str]) -> Check:
    """Whether Ray asks for a token, and where ours comes from; the token itself is never shown.

    Args:
        cluster: settings of the study.
        address: of the cluster, if it is not this machine's own.
        environment: of this process.
    """
    name, mode = "ray token", environment.get(MODE, "").lower()
    if cluster.kind == "none" and address is None:
        return unseen(name, "cluster=none starts no Ray")
    remote = address is not None and not is_loopback(address)
    if mode == "disabled" and remote:
        return doubtful(name, f"{MODE}=disabled: whoever reaches {address} runs code there", ONE_TOKEN)
    if mode == "disabled":
        return doubtful(name, f"{MODE}=disabled: other users of this machine can run code as you", f"Unset {MODE}.")
    source = token_source(environment)
    if source is None and (remote or cluster.kind != "local"):
        return bad(name, "no token here; a cluster that asks for one refuses", ONE_TOKEN)
    if source is None:
        return good(name, "embedded Ray makes a token of its own")
    return token(name, source)


def token(name: str, source: str | Path) -> Check:
    """Whether the token can be read by us and by nobody else."""
    if isinstance(source, str):
        return good(name, f"from {source}")
    try:
        text, mode = source.read_text(), source.stat().st_mode
    except (OSError, UnicodeDecodeError):
        return bad(name, f"{source} cannot be read", f"Let {TOKEN_PATH} name a file that holds the token.")
    if not text.strip():
        return bad(name, f"{source} is empty", f"Write the cluster's token there, or let {TOKEN_PATH} name its file.")
    if mode & (stat.S_IRGRP | stat.S_IROTH):
        return doubtful(name, f"from {source}, which other users of this machine can read", f"chmod 600 {source}")
    return good(name, f"from {source}")


def token_source(environment: Mapping[str, str]) -> str | Path | None:
    """Where Ray takes its token from: a variable's name, a file, or nowhere."""
    if environment.get(TOKEN):
        return TOKEN
    if environment.get(TOKEN_PATH):
        return Path(environment[TOKEN_PATH])
    file = Path(environment.get("HOME") or Path.home()) / TOKEN_FILE
    return file if file.exists() else None


def dashboard(address: str) -> Iterator[Check]:
    """Whether a cluster takes jobs from here. Raises nothing."""
    from grokstudy.execution.jobs import Jobs

    try:
        jobs = Jobs(address)
        count = len(jobs.all())
    except GrokstudyError as error:
        yield refused("job server", str(error))
        yield unseen("ray version", "the cluster does not answer")
        return
    yield good("job server", f"{address} takes jobs; {count} of grokstudy there")
    try:
        jobs.check_version()
    except GrokstudyError as error:
        yield refused("ray version", str(error))
    else:
        yield good("ray version", f"{jobs.ray_version} there, {installed('ray')} here")


def cluster_address(settings: ClusterSettings) -> str | None:
    """The address of the cluster that the settings mean; None = embedded Ray or none at all."""
    if settings.kind in ("local", "none"):
        return None
    return settings.address or os.environ.get("RAY_ADDRESS") or "auto"


def is_loopback(address: str) -> bool:
    """Whether the address is this machine's own and no other machine reaches it."""
    if address in ("auto", "local"):
        return True
    host = urlsplit(address if "://" in address else f"//{address}").hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
