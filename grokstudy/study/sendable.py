"""What must hold before work is sent to a cluster: its nodes can reach what it reads and writes, and no secret goes."""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from grokstudy.circuits._measure import measures
from grokstudy.execution.live_measures import check_while_training
from grokstudy.spec.errors import BadInput
from grokstudy.spec.proposal import AdaptiveSampler
from grokstudy.spec.study import StudySpec
from grokstudy.tracking.settings import check_uri


def check_study(spec: StudySpec, *, shared_path: bool) -> int | None:
    """Accepts a study that nodes of a cluster can run; its number of trials, None if a sampler decides as it goes.

    Raises:
        BadInput: a measure or a trial that cannot be, or a storage or tracking server that the nodes cannot reach.
    """
    measures(spec.measures.names, spec.measures.key_freq_rule)
    check_while_training(spec.measures.while_training)
    check_storage(spec.storage.root, shared_path=shared_path)
    _check_tracking(spec)
    if isinstance(spec.sampler, AdaptiveSampler):
        return None
    points = spec.sampler.propose(spec.axes, 0, ()) or []
    return sum(1 for _ in spec.trials(points))


def check_storage(root: str, *, shared_path: bool) -> None:
    """Accepts a storage root that every node sees as this machine does. Raises BadInput."""
    check_no_secret("storage.root", root, "Nodes take AWS credentials from their own environment.")
    if root.startswith("s3://"):
        return
    if not shared_path:
        raise BadInput(
            f"storage.root: got '{root}', which is on this machine's disk (GROKSTUDY_STORAGE sets the default). Nodes "
            "of a cluster share an object store: give storage.root=s3://BUCKET/PREFIX, or --shared-path if every node "
            "and this machine mount this very folder."
        )
    if not root.startswith("/"):
        raise BadInput(f"storage.root: got '{root}'; with --shared-path it must be an absolute path.")


def check_no_secret(key: str, address: str, remedy: str) -> None:
    """Refuses an address that holds a password: it would lie in the package, in logs and in the dashboard.

    Raises:
        BadInput: without showing the address.
    """
    parts = urlsplit(address)
    if "@" in parts.netloc or parts.query:
        raise BadInput(
            f"{key}: an address with a user name, password or query is not sent to a cluster, where others would read "
            f"it. {remedy}"
        )


def check_words(words: Sequence[str]) -> None:
    """Refuses words that would put a password on a command line of the cluster. Raises BadInput."""
    for word in words:
        key, _, value = word.partition("=")
        for address in (word, value):
            if "://" in address:
                check_no_secret(key.partition("://")[0], address, "Leave it out and set it on the nodes.")


def _check_tracking(spec: StudySpec) -> None:
    settings = spec.tracking
    if not settings.enabled:
        return
    if settings.uri is None:
        raise BadInput(
            "tracking.uri: null, so MLflow's database would be a file, which nodes of a cluster cannot share. Give "
            "tracking.uri=http://HOST:PORT of an MLflow server, or tracking=none."
        )
    check_no_secret("tracking.uri", settings.uri, "Set MLFLOW_TRACKING_USERNAME and _PASSWORD on the nodes.")
    check_uri(settings.uri)
    if settings.uri.startswith("sqlite:"):
        raise BadInput(
            f"tracking.uri: got '{settings.uri}', a file on the disk of whichever node runs the driver. Give "
            "tracking.uri=http://HOST:PORT of an MLflow server, or tracking=none."
        )
