"""What every container must have: bounded resources, a read-only root, probes; and what no manifest may hold."""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Iterator

from tests.k8s.documents import Document, Finding, of_kind, title, walk
from tests.k8s.pods import RAY, MadePod, made_pods

QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|[kKMGTPE]i?)?")
UNITS = {"": 1.0, "m": 1e-3, "k": 1e3} | {unit: 1e3**n for n, unit in enumerate("MGTPE", 2)}
UNITS |= {f"{unit}i": 1024.0**n for n, unit in enumerate("KMGTPE", 1)}
SECRET_NAME = re.compile(r"PASSWORD|SECRET|TOKEN|ACCESS_KEY|CREDENTIAL", re.IGNORECASE)
SECRET_PATH = re.compile(r"_(FILE|PATH)$", re.IGNORECASE)
SECRET_IN_ADDRESS = re.compile(r"://[^/\s:@]*:[^/\s@$]+@")
SECRET_OPTION = re.compile(r"--?[\w-]*(password|secret|token)[\w-]*[= ](?!\$)\S", re.IGNORECASE)
OBVIOUSLY_FAKE = re.compile(r"fake|insecure|not-?a-?secret|dev-?only|for-?dev", re.IGNORECASE)
NO_SECRET = re.compile(r"(^|_|-)user(name)?$", re.IGNORECASE)


def quantity(text: object) -> float:
    """A Kubernetes quantity as a number: `500m` is 0.5, `2Gi` is 2147483648.

    Raises:
        ValueError: it is none.
    """
    found = QUANTITY.fullmatch(str(text))
    if found is None:
        raise ValueError(f"{text!r} is no quantity")
    return float(found[1]) * UNITS[found[2] or ""]


def findings(documents: list[Document], fake_secrets: bool = False) -> list[Finding]:
    """What containers lack, and secrets in the open; `fake_secrets` allows Secrets that are obviously fake."""
    pods = made_pods(documents)
    found = [
        Finding("containers", rule, f"{pod.title}{place}", what)
        for pod in pods
        for rule, place, what in (*_resources(pod), *_writable(pod), *_probes(pod), *_environment(pod))
    ]
    found += [Finding("containers", "secret", where, what) for where, what in _open_secrets(documents, fake_secrets)]
    return sorted(set(found))


Broken = tuple[str, str, str]
"""Rule, the container's part of the title, and what is wrong."""


def _resources(pod: MadePod) -> Iterator[Broken]:
    for container in pod.every_container:
        place = f" [{container['name']}]"
        resources = container.get("resources") or {}
        requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
        for key in ("cpu", "memory"):
            if key not in requests:
                yield "requests", place, f"no request of {key}"
        if "memory" not in limits or quantity(limits["memory"]) != quantity(requests.get("memory", 0)):
            yield "memory", place, "request and limit of memory must be equal: what is promised is what may be used"
        gpus = {key for key in (*requests, *limits) if key.endswith("/gpu")}
        if any(requests.get(key) != limits.get(key) for key in gpus):
            yield "gpu", place, "request and limit of a GPU must be equal"


def _writable(pod: MadePod) -> Iterator[Broken]:
    for container in pod.every_container:
        place = f" [{container['name']}]"
        mounts = {mount["mountPath"] for mount in container.get("volumeMounts") or [] if not mount.get("readOnly")}
        if (container.get("securityContext") or {}).get("readOnlyRootFilesystem") is not True:
            yield "read-only root", place, "readOnlyRootFilesystem must be true"
        elif "/tmp" not in mounts:
            yield "read-only root", place, "nothing writable is mounted at /tmp"
    for volume in pod.spec.get("volumes") or []:
        empty = volume.get("emptyDir")
        if empty is not None and empty.get("medium") != "Memory" and "sizeLimit" not in empty:
            yield "disk", "", f"volume {volume['name']} has no sizeLimit: it may fill the node"


def _probes(pod: MadePod) -> Iterator[Broken]:
    """Servers say when they are ready and when they hang; KubeRay gives Ray's pods theirs."""
    if pod.owner["kind"] not in {"Deployment", "StatefulSet"}:
        return
    for container in pod.containers:
        for probe in ("readinessProbe", "livenessProbe"):
            if not container.get(probe):
                yield "probes", f" [{container['name']}]", f"no {probe}"


def _environment(pod: MadePod) -> Iterator[Broken]:
    for container in pod.every_container:
        variables = container.get("env") or []
        twice = [name for name, n in Counter(one["name"] for one in variables).items() if n > 1]
        if twice and pod.owner["kind"] not in RAY:
            yield "environment", f" [{container['name']}]", f"{twice[0]} is set twice"
        for one in variables:
            if one.get("value") and SECRET_NAME.search(one["name"]) and not SECRET_PATH.search(one["name"]):
                yield "secret", f" [{container['name']}]", f"{one['name']} stands in the manifest"
        for word in (*(container.get("command") or []), *(container.get("args") or [])):
            if SECRET_OPTION.search(word):
                yield "secret", f" [{container['name']}]", "a secret stands on the command line"


def _open_secrets(documents: list[Document], fake_allowed: bool) -> Iterator[tuple[str, str]]:
    for document in documents:
        for path, node in walk(document):
            if isinstance(node, str) and SECRET_IN_ADDRESS.search(node):
                yield title(document), f"{path}: an address with a password"
    for one in of_kind(documents, "ConfigMap"):
        for key, value in (one.get("data") or {}).items():
            if SECRET_NAME.search(key) and not SECRET_PATH.search(key) and value:
                yield title(one), f"{key} belongs in a Secret"
    for secret in of_kind(documents, "Secret"):
        for key, value in _values(secret).items():
            if not fake_allowed:
                yield title(secret), f"{key}: Secrets are made by people, not kept in the repository"
            elif not (OBVIOUSLY_FAKE.search(value) or NO_SECRET.search(key)):
                yield title(secret), f"{key}: must be obviously fake (contain insecure or fake)"


def _values(secret: Document) -> dict[str, str]:
    coded = {key: base64.b64decode(value).decode() for key, value in (secret.get("data") or {}).items()}
    return coded | (secret.get("stringData") or {})
