"""Joining a running Ray cluster as a driver, with every way in which that fails explained.

Ray itself waits a minute or more for a head that is not there, and may end the process then; so it is only asked to
connect once something has answered that speaks its language and takes our token.
"""

from __future__ import annotations

import logging
import os
import socket

import ray
from ray._private import services
from ray._private.authentication.authentication_token_setup import maybe_enable_token_auth_if_token_available
from ray._raylet import GcsClient  # type: ignore[attr-defined]
from ray.exceptions import AuthenticationError, RayError

from grokstudy.execution import ray_environment
from grokstudy.spec.errors import BadInput
from grokstudy.spec.settings import ADDRESS

NAMESPACE = "grokstudy"
SECONDS = 5.0
"""For a head to accept a connection."""
SUBMIT = "from elsewhere, `grokstudy submit --address http://HOST:8265` sends the study there"


def connect(address: str | None) -> None:
    """Makes this process a driver of the cluster.

    Args:
        address: HOST:PORT of its head or "auto"; None = RAY_ADDRESS, else the cluster that this machine is a node of.

    Raises:
        BadInput: there is no cluster, it does not take our token, it runs other versions, or this machine is not one
            of its nodes.
    """
    ray_environment.for_cluster()
    head = _head(address)
    _check_answers(head)
    maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
    _check_is_ours(head)
    try:
        ray.init(address=head, namespace=NAMESPACE, log_to_driver=False, logging_level=logging.ERROR)
    except (RayError, ConnectionError, RuntimeError, ValueError) as error:
        raise _refused(head, error) from error
    ray_environment.keep_sigterm()


def _head(address: str | None) -> str:
    """HOST:PORT of the cluster's head."""
    variable = os.environ.get("RAY_ADDRESS", "")
    given = address or variable or "auto"
    if not ADDRESS.fullmatch(given):
        raise BadInput(
            f"RAY_ADDRESS: got '{variable}', must be HOST:PORT of the cluster's head (Ray's port 6379) for "
            "cluster=ray. Set it so, give cluster.address=HOST:PORT, or unset it on a node of the cluster."
        )
    try:
        return services.canonicalize_bootstrap_address(given) or given
    except (ConnectionError, ValueError) as error:
        raise BadInput(
            "cluster.address: no Ray cluster runs on this machine. Give cluster.address=HOST:PORT of its head, or "
            f"RAY_ADDRESS; {SUBMIT}; without a cluster, use cluster=local."
        ) from error


def _check_answers(head: str) -> None:
    host, _, port = head.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=SECONDS).close()
    except (OSError, OverflowError) as error:
        raise BadInput(
            f"cluster.address: nothing answers at {head} ({error}). Is the cluster up, and is this the port of its "
            "head (6379 unless `ray start --head --port` said otherwise)? cluster=local needs no cluster."
        ) from error


def _check_is_ours(head: str) -> None:
    """Whether a head of Ray answers there that takes our token, and this machine is one of its nodes."""
    try:
        nodes = GcsClient(address=head).get_all_node_info(timeout=SECONDS)
    except AuthenticationError as error:
        raise BadInput(
            f"cluster.address: the cluster at {head} does not take our token, or we have none. Set RAY_AUTH_MODE=token "
            "and RAY_AUTH_TOKEN (or RAY_AUTH_TOKEN_PATH) to what the cluster was started with."
        ) from error
    except RayError as error:
        reason = str(error).partition("\n")[0]
        raise BadInput(
            f"cluster.address: what answers at {head} is no head of a Ray cluster ({reason}). Give HOST:PORT of the "
            "head (Ray's port 6379), not of its dashboard or its client server."
        ) from error
    here: set[str] = services.find_node_ids()  # type: ignore[no-untyped-call]
    if not here & {node.hex() for node in nodes}:
        raise BadInput(
            f"cluster.address: this machine is not a node of the cluster at {head}, which a driver must be. Run the "
            f"command on a node; {SUBMIT}."
        )


def _refused(head: str, error: Exception) -> BadInput:
    text = " ".join(str(error.__cause__ or error).split())
    if "Version mismatch" in text:
        return BadInput(
            f"cluster.address: {head}: {text}. Both must be equal: install that Ray and Python here, or these there."
        )
    return BadInput(f"cluster.address: Ray could not connect to {head}: {text}")
