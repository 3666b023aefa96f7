"""The Kubernetes API as grokstudy uses it: documents in and out, errors that say what to do, no credentials shown."""

from __future__ import annotations

import contextlib
import functools
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from grokstudy.execution.k8s.kubeconfig import contexts, files
from grokstudy.execution.k8s.names import JOB
from grokstudy.execution.k8s.pod_state import PodState, Warned, pod_state, warnings_about
from grokstudy.execution.k8s.refusals import LOG, NoAnswer, NotAllowed, Place, refusal
from grokstudy.execution.k8s.state import OURS, Document, SeenJob, newest_first, seen
from grokstudy.spec.errors import BadInput, unknown

try:
    import urllib3
    from kubernetes import client, config
    from kubernetes.client.exceptions import ApiException
except ModuleNotFoundError as missing:
    raise BadInput(
        f"grokstudy k8s: {missing.name} is not installed, which this verb needs to speak to the cluster. Do "
        '`pip install "grokstudy[k8s]"`, or `grokstudy k8s render ... | kubectl apply -f -`.'
    ) from None

CONNECT_SECONDS, ANSWER_SECONDS = 5.0, 30.0
"""The client waits for ever by itself."""
SILENCE_SECONDS = 60.0
"""Without a line of a log for so long it is asked for anew: a link that was cut says nothing."""
GROUP, VERSION, RAY_JOBS = "ray.io", "v1", "rayjobs"
BARE: Mapping[str, Any] = {"_preload_content": False}
"""Answers as they came: documents, which is what the rest of the code reads."""
MERGE = "application/merge-patch+json"
"""The kind of patch that says only what changes and that custom resources know, too."""


class Kube:
    """One namespace of one cluster. Every method raises BadInput if the API does not answer or refuses."""

    def __init__(self, namespace: str, kubeconfig: Path | None = None, context: str | None = None) -> None:
        """Reads where the cluster is and who asks; the first request is the first connection.

        Args:
            namespace: of all requests.
            kubeconfig: file; None = `KUBECONFIG`, else ~/.kube/config, else the pod this runs in.
            context: name in that file; None = its current one.

        Raises:
            BadInput: there is no such file or context.
        """
        self._settings = client.Configuration()
        name = kubeconfig_into(self._settings, kubeconfig, context)
        self._settings.retries = False  # urllib3 would try three times more, each for as long
        self.place = Place(server=self._settings.host, context=name, namespace=namespace)
        api = client.ApiClient(self._settings)
        # Any: asked for the bare answer, the generated methods give another type than they declare.
        self._core: Any = client.CoreV1Api(api)
        self._custom: Any = client.CustomObjectsApi(api)
        self._network: Any = client.NetworkingV1Api(api)

    def jobs(self) -> list[SeenJob]:
        """RayJobs that `grokstudy k8s` made, newest first."""
        with self._explained(RAY_JOBS):
            answer = self._custom.list_namespaced_custom_object(
                *self._rayjobs, label_selector=OURS, **BARE, **_patient()
            )
            return newest_first(_document(answer)["items"])

    def job(self, name: str) -> SeenJob:
        """A job as it stands now. Raises NotThere if it was deleted."""
        with self._explained(RAY_JOBS, name):
            return seen(
                _document(self._custom.get_namespaced_custom_object(*self._rayjobs, name, **BARE, **_patient()))
            )

    def create(self, document: Document, *, dry_run: bool = False) -> Document:
        """Makes an object: a RayJob, ConfigMap or NetworkPolicy; unknown fields are refused.

        Args:
            document: the object.
            dry_run: the cluster checks everything and keeps nothing.

        Returns:
            The object as the cluster has it.

        Raises:
            AlreadyThere: its name is taken.
        """
        kind, name = document["kind"], document["metadata"]["name"]
        how: dict[str, Any] = {"field_validation": "Strict", **({"dry_run": "All"} if dry_run else {})}
        make = {
            "RayJob": functools.partial(self._custom.create_namespaced_custom_object, *self._rayjobs),
            "ConfigMap": functools.partial(self._core.create_namespaced_config_map, self.place.namespace),
            "NetworkPolicy": functools.partial(self._network.create_namespaced_network_policy, self.place.namespace),
        }[kind]
        with self._explained(_plural(kind), name):
            return _document(make(document, **how, **BARE, **_patient()))

    def change(self, kind: str, name: str, change: Document) -> None:
        """Merges a change into a RayJob, ConfigMap or NetworkPolicy."""
        space = self.place.namespace
        alter = {
            "RayJob": functools.partial(self._custom.patch_namespaced_custom_object, *self._rayjobs, name),
            "ConfigMap": functools.partial(self._core.patch_namespaced_config_map, name, space),
            "NetworkPolicy": functools.partial(self._network.patch_namespaced_network_policy, name, space),
        }[kind]
        with self._explained(_plural(kind), name):
            alter(change, _content_type=MERGE, **BARE, **_patient())

    def delete_job(self, name: str) -> None:
        """Deletes a RayJob, and with it everything that it owns."""
        with self._explained(RAY_JOBS, name):
            self._custom.delete_namespaced_custom_object(
                *self._rayjobs, name, propagation_policy="Background", **BARE, **_patient()
            )

    def pods(self, job: str) -> list[PodState]:
        """Pods of a job: head, workers, submitters."""
        with self._explained("pods"):
            answer = self._core.list_namespaced_pod(
                self.place.namespace, label_selector=f"{JOB}={job}", **BARE, **_patient()
            )
            found = _document(answer)["items"]
        return sorted((pod_state(each) for each in found), key=lambda pod: (pod.role, pod.created, pod.name))

    def warnings(self, job: str) -> list[Warned]:
        """What the cluster warns of about a job; empty where this user may not read events."""
        with contextlib.suppress(NotAllowed), self._explained("events"):
            answer = self._core.list_namespaced_event(
                self.place.namespace, field_selector="type=Warning", **BARE, **_patient()
            )
            return warnings_about(job, _document(answer)["items"])
        return []

    def log(self, pod: PodState) -> str:
        """All that a pod's first container has printed and its node still has."""
        with self._explained(LOG, pod.name):
            answer = self._core.read_namespaced_pod_log(
                pod.name, self.place.namespace, container=pod.container, **BARE, **_patient()
            )
            return bytes(answer.data).decode(errors="replace")

    def log_lines(self, pod: PodState, after: str = "") -> Iterator[tuple[str, str]]:
        """Lines of a log with their times as they come, until the container ends or says nothing for a minute.

        Args:
            pod: whose first container.
            after: only lines of a later time than this, which an earlier call gave.

        Raises:
            NoAnswer: the connection broke.
        """
        silence = urllib3.exceptions.ReadTimeoutError
        with self._explained(LOG, pod.name), contextlib.suppress(silence):
            answer = self._core.read_namespaced_pod_log(
                pod.name,
                self.place.namespace,
                container=pod.container,
                follow=True,
                timestamps=True,
                **BARE,
                _request_timeout=(CONNECT_SECONDS, SILENCE_SECONDS),
            )
            with contextlib.closing(answer):
                for line in _lines(answer):
                    time, _, text = line.partition(" ")
                    if not time[:4].isdecimal():  # the node's own words about a log that it lacks
                        yield after, line
                    elif time > after:  # RFC 3339 with nine digits: as text they are in order
                        yield time, text

    @property
    def _rayjobs(self) -> tuple[str, str, str, str]:
        return GROUP, VERSION, self.place.namespace, RAY_JOBS

    @contextlib.contextmanager
    def _explained(self, what: str, name: str = "") -> Iterator[None]:
        """What the client raises, in words that name the setting and the remedy."""
        server = self.place.server
        try:
            yield
        except ApiException as error:
            if not error.status:  # the client's own name for trouble with TLS
                raise BadInput(_tls(server, str(error.reason))) from None
            raise refusal(self.place, error.status, error.body or "", what, name) from None
        except urllib3.exceptions.SSLError as error:
            raise BadInput(_tls(server, str(error))) from None
        except urllib3.exceptions.NewConnectionError as error:  # which counts as a timeout, too
            raise NoAnswer(_nobody(self.place, error)) from None
        except (urllib3.exceptions.TimeoutError, TimeoutError):
            raise NoAnswer(
                f"The API at {server} ({self.place.who}) does not answer in time. Is a VPN or a firewall in between?"
            ) from None
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise NoAnswer(
                f"The connection to the API at {server} ({self.place.who}) broke: {type(error).__name__}."
            ) from None
        except ValueError:  # no JSON, or an address that is none
            raise BadInput(f"What answers at {server} ({self.place.who}) is no Kubernetes API.") from None


def kubeconfig_into(settings: client.Configuration, path: Path | None, context: str | None) -> str:
    """Fills in address and credentials of the cluster.

    Returns:
        The context's name; empty inside a cluster.

    Raises:
        BadInput: no kubeconfig, no such context, or a file that is none.
    """
    found = files(path)
    if not found:
        if path is None and context is None and _in_a_pod(settings):
            return ""
        raise BadInput(
            f"--kubeconfig: {'no kubeconfig here' if path is None else f'no file {path}'}. Give the file by which "
            "`kubectl` reaches the cluster, or set KUBECONFIG."
        )
    names, current = contexts(found)
    chosen = context or current
    if not chosen:
        raise BadInput(
            f"--context: the kubeconfig has no current one. Give one of: {', '.join(names) or 'none there'}."
        )
    if chosen not in names:
        raise unknown("--context", chosen, names)
    try:
        where = os.pathsep.join(str(each) for each in found)
        config.load_kube_config(where, chosen, settings, persist_config=False)  # type: ignore[no-untyped-call]
    except (config.ConfigException, OSError, ValueError, KeyError, TypeError) as error:
        raise BadInput(f"--kubeconfig: context '{chosen}' cannot be used: {str(error).rstrip('.')}.") from None
    return chosen


def _in_a_pod(settings: client.Configuration) -> bool:
    try:
        config.load_incluster_config(client_configuration=settings)  # type: ignore[no-untyped-call]
    except config.ConfigException:
        return False
    return True


def _plural(kind: str) -> str:
    return "networkpolicies" if kind == "NetworkPolicy" else f"{kind.lower()}s"


def _patient() -> dict[str, Any]:
    return {"_request_timeout": (CONNECT_SECONDS, ANSWER_SECONDS)}


def _document(answer: urllib3.BaseHTTPResponse) -> Document:
    found: Document = json.loads(answer.data)
    return found


def _lines(answer: urllib3.BaseHTTPResponse) -> Iterator[str]:
    """Lines of a stream, each as soon as it is whole."""
    rest = b""
    for chunk in answer.stream():
        *whole, rest = (rest + chunk).split(b"\n")
        yield from (line.decode(errors="replace") for line in whole)
    if rest:
        yield rest.decode(errors="replace")


def _nobody(place: Place, error: Exception) -> str:
    if isinstance(error, urllib3.exceptions.NameResolutionError):
        return f"The API at {place.server} ({place.who}): no such host. Is a VPN needed, or the context an old one?"
    return (
        f"Nothing answers at {place.server} ({place.who}). Is the cluster up and the context right? "
        "`kubectl cluster-info` asks the same."
    )


def _tls(server: str, said: str) -> str:
    return (
        f"The API at {server} does not prove who it is, or speaks no TLS: {' '.join(said.split())[:200]}. Check "
        "certificate-authority-data and server of this context in the kubeconfig."
    )
