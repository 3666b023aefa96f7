"""Every name that a manifest mentions is an object of the stream, or a Secret that k8s/README.md asks for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from tests.k8s.documents import Document, Finding, labels_of, name_of, namespace_of, of_kind, title, walk
from tests.k8s.network import matches
from tests.k8s.pods import MadePod, database_labels, made_pods

Secrets = Mapping[str, frozenset[str]]
"""Names of Secrets with their keys."""
MADE_BY_CNPG = {
    "app": frozenset({"username", "password", "uri", "host", "port", "dbname", "user", "pgpass", "jdbc-uri"}),
    "ca": frozenset({"ca.crt", "ca.key"}),
}
"""Endings and keys of Secrets that CloudNativePG makes for a cluster."""
SERVICES_OF_CNPG = ("rw", "ro", "r")
EVERYWHERE = {"kube-root-ca.crt": frozenset({"ca.crt"})}
"""ConfigMaps that every namespace has."""
ADDRESS = re.compile(r"https?://([a-z][a-z0-9-]*)(?::(\d+))?(?=[/\s\"']|$)")
"""An address whose host has no dot: a Service of the namespace."""
LOCAL = frozenset({"localhost"})


def findings(documents: list[Document], documented: Secrets) -> list[Finding]:
    """Names that lead nowhere: Secrets and ConfigMaps with their keys, accounts, claims, Services, roles, selectors."""
    pods = made_pods(documents)
    found = [
        Finding("references", rule, where, what)
        for rule, where, what in (
            *_configuration(documents, documented),
            *_accounts(documents, pods),
            *_services(documents, pods),
            *_backends(documents),
            *_addresses(documents),
            *_selectors(documents, pods),
            *_bindings(documents),
            *_volumes(documents, pods),
        )
    ]
    return sorted(set(found))


Broken = tuple[str, str, str]
"""Rule, object, sentence."""


def _configuration(documents: list[Document], documented: Secrets) -> Iterator[Broken]:
    known = {"secret": _secrets(documents, documented), "config map": _config_maps(documents)}
    for document in documents:
        for kind, name, keys, where in _mentions(document):
            if name not in known[kind]:
                yield kind, title(document), f"{where}: {kind} {name} is neither here nor in the README's table"
            elif missing := sorted(keys - known[kind][name]):
                yield kind, title(document), f"{where}: {kind} {name} has no key {missing[0]}"


def _mentions(document: Document) -> Iterator[tuple[str, str, frozenset[str], str]]:
    """Kind, name, keys and place of every Secret and ConfigMap that is not optional."""
    for path, node in walk(document):
        if not isinstance(node, dict):
            continue
        for key, kind in (("secretKeyRef", "secret"), ("configMapKeyRef", "config map")):
            reference = node.get(key)
            if isinstance(reference, dict) and not reference.get("optional"):
                yield kind, reference["name"], frozenset({reference["key"]}), path
        for key, kind in (("secretRef", "secret"), ("configMapRef", "config map")):
            reference = node.get(key)
            if isinstance(reference, dict) and not reference.get("optional"):
                yield kind, reference["name"], frozenset(), path
        yield from _volume_mentions(node, path)
    for path, node in walk(document.get("spec")):
        if isinstance(node, dict) and path.endswith(("authOptions", "tls[0]")) and node.get("secretName"):
            keys = frozenset({"auth_token"} if path.endswith("authOptions") else ())
            yield "secret", node["secretName"], keys, path


def _volume_mentions(node: Document, path: str) -> Iterator[tuple[str, str, frozenset[str], str]]:
    """Volumes, and sources of projected ones."""
    for key, kind, naming in (("secret", "secret", "secretName"), ("configMap", "config map", "name")):
        source = node.get(key)
        if not isinstance(source, dict) or source.get("optional") or not ("volumes[" in path or "sources[" in path):
            continue
        keys = frozenset(item["key"] for item in source.get("items") or [])
        yield kind, source.get(naming) or source.get("name", ""), keys, path


def _secrets(documents: list[Document], documented: Secrets) -> dict[str, frozenset[str]]:
    known = dict(documented)
    for cluster in of_kind(documents, "Cluster"):
        known |= {f"{name_of(cluster)}-{ending}": keys for ending, keys in MADE_BY_CNPG.items()}
    for secret in of_kind(documents, "Secret"):
        known[name_of(secret)] = frozenset({*(secret.get("data") or {}), *(secret.get("stringData") or {})})
    return known


def _config_maps(documents: list[Document]) -> dict[str, frozenset[str]]:
    maps = of_kind(documents, "ConfigMap")
    ours = {name_of(one): frozenset({*(one.get("data") or {}), *(one.get("binaryData") or {})}) for one in maps}
    return EVERYWHERE | ours


def _accounts(documents: list[Document], pods: list[MadePod]) -> Iterator[Broken]:
    known = {name_of(account) for account in of_kind(documents, "ServiceAccount")}
    for pod in pods:
        if (account := pod.spec.get("serviceAccountName", "default")) not in known:
            yield "account", pod.title, f"service account {account} does not exist"


def _services(documents: list[Document], pods: list[MadePod]) -> Iterator[Broken]:
    for service in of_kind(documents, "Service"):
        chosen = [pod for pod in pods if _chooses(service, pod)]
        if service["spec"].get("selector") and not chosen:
            yield "service", title(service), "its selector chooses no pod"
        for port in service["spec"].get("ports") or []:
            wanted = port.get("targetPort", port["port"])
            if any(wanted not in _ports(pod) for pod in chosen):
                yield "service", title(service), f"port {wanted} is no port of its pods"


def _chooses(service: Document, pod: MadePod) -> bool:
    selector = service["spec"].get("selector")
    same = namespace_of(service) == namespace_of(pod.pod)
    return bool(selector) and same and matches({"matchLabels": selector}, pod.labels)


def _ports(pod: MadePod) -> set[object]:
    ports = [port for container in pod.containers for port in container.get("ports") or []]
    return {value for port in ports for value in (port.get("name"), port["containerPort"])}


def _backends(documents: list[Document]) -> Iterator[Broken]:
    """Services that an Ingress, a StatefulSet or a monitor leads to."""
    services = {name_of(service): service for service in of_kind(documents, "Service")}
    for ingress in of_kind(documents, "Ingress"):
        for _, node in walk(ingress["spec"]):
            backend = node.get("service") if isinstance(node, dict) else None
            if isinstance(backend, dict) and not _serves(services.get(backend["name"]), backend["port"]):
                yield "service", title(ingress), f"Service {backend['name']} has no port {backend['port']}"
    for owner in of_kind(documents, "StatefulSet"):
        if owner["spec"].get("serviceName") not in services:
            yield "service", title(owner), f"Service {owner['spec'].get('serviceName')} does not exist"


def _addresses(documents: list[Document]) -> Iterator[Broken]:
    """Hosts that configuration names are Services of the stream, asked at a port that they have."""
    services = {name_of(one): {port["port"] for port in one["spec"]["ports"]} for one in of_kind(documents, "Service")}
    for cluster in of_kind(documents, "Cluster"):
        services |= {f"{name_of(cluster)}-{ending}": {5432} for ending in SERVICES_OF_CNPG}
    for document in documents:
        for path, node in walk(document.get("data") or document.get("spec")):
            for host, port in _hosts(path, node):
                if host not in services:
                    yield "service", title(document), f"{path}: {host} is no Service"
                elif int(port) not in services[host]:
                    yield "service", title(document), f"{path}: Service {host} has no port {port}"


def _hosts(path: str, node: object) -> Iterator[tuple[str, str]]:
    if not isinstance(node, str):
        return
    if path == "PGHOST" and "." not in node:
        yield node, "5432"
    if path.endswith("redisAddress"):
        host, _, port = node.partition(":")
        yield host, port
    yield from ((host, port or "80") for host, port in ADDRESS.findall(node) if host not in LOCAL)


def _serves(service: Document | None, port: Document) -> bool:
    ports = service["spec"]["ports"] if service else []
    return any(port.get("number") == one["port"] or port.get("name") == one.get("name", one) for one in ports)


def _selectors(documents: list[Document], pods: list[MadePod]) -> Iterator[Broken]:
    for owner in of_kind(documents, "Deployment", "StatefulSet"):
        if not matches(owner["spec"].get("selector") or {}, labels_of(owner["spec"]["template"])):
            yield "selector", title(owner), "its selector does not choose its own pods"
    for document in of_kind(documents, "PodDisruptionBudget", "PodMonitor"):
        chosen = [pod.labels for pod in pods] + database_labels(documents)
        if not any(matches(document["spec"].get("selector") or {}, labels) for labels in chosen):
            yield "selector", title(document), "its selector chooses no pod"
    services = of_kind(documents, "Service")
    for monitor in of_kind(documents, "ServiceMonitor"):
        if not any(matches(monitor["spec"].get("selector") or {}, labels_of(one)) for one in services):
            yield "selector", title(monitor), "its selector chooses no Service"


def _bindings(documents: list[Document]) -> Iterator[Broken]:
    roles = {(one["kind"], name_of(one)) for one in of_kind(documents, "Role", "ClusterRole")}
    accounts = {name_of(one) for one in of_kind(documents, "ServiceAccount")}
    for binding in of_kind(documents, "RoleBinding", "ClusterRoleBinding"):
        role = binding["roleRef"]
        if (role["kind"], role["name"]) not in roles:
            yield "role", title(binding), f"{role['kind']} {role['name']} does not exist"
        for subject in binding.get("subjects") or []:
            if subject["kind"] == "ServiceAccount" and subject["name"] not in accounts:
                yield "account", title(binding), f"service account {subject['name']} does not exist"


def _volumes(documents: list[Document], pods: list[MadePod]) -> Iterator[Broken]:
    disks = {name_of(claim) for claim in of_kind(documents, "PersistentVolumeClaim")}
    for pod in pods:
        for volume in pod.spec.get("volumes") or []:
            claim = (volume.get("persistentVolumeClaim") or {}).get("claimName")
            if claim is not None and claim not in disks:
                yield "volume", pod.title, f"claim {claim} does not exist"
        volumes = {volume["name"] for volume in pod.spec.get("volumes") or []}
        claims = {one["metadata"]["name"] for one in pod.owner.get("spec", {}).get("volumeClaimTemplates") or []}
        for container in pod.every_container:
            for mount in container.get("volumeMounts") or []:
                if mount["name"] not in volumes | claims:
                    yield "volume", pod.title, f"[{container['name']}] mounts {mount['name']}, which is no volume"
