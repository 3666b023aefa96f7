"""What the Kubernetes API refuses, in words that say what is missing and who can change it."""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

from grokstudy.spec.errors import BadInput

GUIDE = "k8s/README.md"
LOG = "pods/log"
_NOT_ALLOWED = re.compile(
    r'User "(?P<user>[^"]*)" cannot (?P<verb>\w+) resource "(?P<what>[^"]+)" in API group "(?P<group>[^"]*)"'
)


class NoAnswer(BadInput):
    """The API does not answer, or fails for a reason that may pass."""


class NotThere(BadInput):
    """An object of this name does not exist, or exists no longer."""


class AlreadyThere(BadInput):
    """An object of this name exists."""


class NotAllowed(BadInput):
    """This user may not do this."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where requests go, as messages name it."""

    server: str
    """Address of the API."""
    context: str
    """Name in the kubeconfig; empty inside a cluster."""
    namespace: str

    @property
    def who(self) -> str:
        """Whose credentials are sent."""
        return f"context '{self.context}'" if self.context else "this pod's ServiceAccount"


def refusal(place: Place, status: int, body: str, what: str, name: str = "") -> BadInput:
    """The error for an answer that is none of 2xx.

    Args:
        place: where it was asked.
        status: HTTP status.
        body: the answer's body; a Kubernetes `Status` document, or text of a proxy.
        what: plural name of the resource, `rayjobs`.
        name: of the object; empty for a list.
    """
    document = _status(body)
    said = _one_line(str(document.get("message", ""))) or f"HTTP {status}"
    if status == 401:
        return BadInput(
            f"The API at {place.server} refuses the credentials of {place.who}: they are wrong or have run out. Log in "
            "to the cluster again, or choose another --context."
        )
    if status == 403:
        return NotAllowed(_forbidden(place, said))
    if status == 404:
        return _not_found(place, document, what, name)
    if status == 409:
        return AlreadyThere(f"{what} '{name}': exists in namespace '{place.namespace}' already ({said}).")
    if status == 400 and what == LOG:
        return NoAnswer(f"pod '{name}': has no log yet: {said}.")
    if status in (400, 422):
        return BadInput(_invalid(said, what, name))
    if status == 429 or status >= 500:
        return NoAnswer(f"The API at {place.server} fails for now ({status}): {said}. Do it again in a moment.")
    return BadInput(f"The API at {place.server} answers {status}: {said}. Is it a Kubernetes API?")


def _forbidden(place: Place, said: str) -> str:
    match = _NOT_ALLOWED.search(said)
    if match is None:  # admission: a quota, a policy, a namespace that is being deleted
        return f"namespace '{place.namespace}': the cluster refuses this: {said}."
    user, verb, what, group = match.group("user", "verb", "what", "group")
    return (
        f"namespace '{place.namespace}': {user} may not {verb} {what} (API group '{group}'). An administrator grants "
        f"it with the Role grokstudy-user: kubectl -n {place.namespace} create rolebinding NAME --role=grokstudy-user "
        f"--user={user} (see {GUIDE})."
    )


def _not_found(place: Place, document: dict[str, Any], what: str, name: str) -> BadInput:
    if (document.get("details") or {}).get("kind") == "namespaces":
        return BadInput(
            f"--namespace: no '{place.namespace}' on the cluster of {place.who}. It comes with the platform (see "
            f"{GUIDE}); is this the right --context?"
        )
    if name and document:
        return NotThere(f"{what} '{name}': not in namespace '{place.namespace}'; it was deleted, or never was there.")
    if what == "rayjobs":
        return BadInput(
            f"The cluster of {place.who} knows no RayJobs (ray.io/v1): the KubeRay operator is not installed. An "
            f"administrator installs it as {GUIDE} says; is this the right --context?"
        )
    return BadInput(f"The API at {place.server} knows no {what}: is it a Kubernetes API?")


def _invalid(said: str, what: str, name: str) -> str:
    if "unknown field" in said:
        return (
            f"{what} '{name}': the cluster knows fewer fields than are sent: {said}. KubeRay must be 1.6.0 or newer "
            f"(see {GUIDE})."
        )
    return f"{what} '{name}': the cluster refuses it as invalid: {said}."


def _status(body: str) -> dict[str, Any]:
    """A Kubernetes `Status` document; empty if the body is none."""
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) and document.get("kind") == "Status" else {}


def _one_line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")
