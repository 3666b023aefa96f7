"""Who may open which port of whom in a scene: every pair of pods and of places outside, asked of its policies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tests.k8s.documents import NAMESPACE, Document, Finding, name_of, of_kind
from tests.k8s.network import End, Endpoint, Port, end, open_ports, policies_of
from tests.k8s.pods import MadePod, database_labels, made_pods

Edge = tuple[str, str, str]
"""From, to, port (a number or `all`)."""
PORTS = tuple(
    Port(number)
    for number in (53, 80, 443, 4180, 5000, 5432, 6379, 6443, 8000, 8080, 8265, 8333, 8501, 9187, 10001, 22000, 52365)
)
"""Every port that something listens on, of Ray's pods also one at random (22000)."""
EVERYONE = "everyone"
METADATA = Endpoint("cloud metadata", "", {}, "169.254.169.254")
DNS = Endpoint("DNS", "kube-system", {"k8s-app": "kube-dns"}, "10.244.9.1")
PLACES = (
    Endpoint("Kubernetes API", "", {}, "10.96.0.17"),
    Endpoint("private network", "", {}, "192.168.7.7"),
    Endpoint("internet", "", {}, "203.0.113.7"),
    METADATA,
    DNS,
)
"""Where connections may lead outside our namespace; the API's address may be any, and is a private one here."""
OUTSIDERS = (
    Endpoint("KubeRay operator", "kuberay-system", {"app.kubernetes.io/name": "kuberay-operator"}, "10.244.9.2"),
    Endpoint("CloudNativePG operator", "cnpg-system", {"app.kubernetes.io/name": "cloudnative-pg"}, "10.244.9.3"),
    Endpoint("ingress controller", "ingress", {"app": "ingress"}, "10.244.9.4", {"grokstudy/ingress": "allowed"}),
    Endpoint("monitoring", "monitoring", {"app": "prometheus"}, "10.244.9.5", {"grokstudy/monitoring": "allowed"}),
    Endpoint("stranger", "default", {"app.kubernetes.io/name": "mlflow"}, "10.244.9.6"),
)
"""Who may come from outside our namespace; the stranger wears a label of ours."""
NEIGHBOUR = Endpoint("neighbour", NAMESPACE, {"app": "something"}, "10.244.9.7")
"""A pod in our namespace that is none of ours."""


def endpoints(documents: list[Document]) -> list[Endpoint]:
    """The pods of a scene, by the name people call them: `explorer`, `head`, and `other head` of a second study."""
    jobs = [name_of(job) for job in of_kind(documents, "RayJob")]
    found = {_name(pod, jobs): pod for pod in made_pods(documents)}
    ours = [Endpoint(name, NAMESPACE, pod.labels, f"10.244.0.{i}") for i, (name, pod) in enumerate(found.items(), 1)]
    named = [_with_ports(one, found[one.name]) for one in ours]
    return [*named, *(Endpoint("postgres", NAMESPACE, labels, "10.244.1.1") for labels in database_labels(documents))]


def _name(pod: MadePod, jobs: list[str]) -> str:
    if not pod.role:
        return pod.labels.get("app.kubernetes.io/name", name_of(pod.owner))
    first = name_of(pod.owner) in jobs[:1]
    return pod.role if first else f"{'other' if pod.owner['kind'] == 'RayJob' else 'shared'} {pod.role}"


def _with_ports(endpoint: Endpoint, pod: MadePod) -> Endpoint:
    ports = [port for container in pod.containers for port in container.get("ports") or []]
    named = {port["name"]: port["containerPort"] for port in ports if "name" in port}
    return Endpoint(endpoint.name, endpoint.namespace, endpoint.labels, endpoint.address, {}, named)


def edges(documents: list[Document]) -> set[Edge]:
    """Every connection that the policies let through, from or to a pod of ours."""
    ours, policies = endpoints(documents), policies_of(documents)
    inside = [end(policies, one) for one in (*ours, NEIGHBOUR)]
    places, outsiders = ([end(policies, one) for one in group] for group in (PLACES, OUTSIDERS))
    pairs = [(source, target) for source in inside for target in (*inside, *places)]
    pairs += [(source, target) for source in outsiders for target in inside]
    return {(one.endpoint.name, two.endpoint.name, port) for one, two in pairs for port in _open(one, two)}


def _open(source: End, target: End) -> list[str]:
    if target.endpoint is DNS:  # what else its pods may listen on is not for us to know
        return ["53"] if open_ports(source, target, [Port(53), Port(53, "UDP")]) else []
    found = open_ports(source, target, PORTS)
    return ["all"] if len(found) == len(PORTS) else [str(port.number) for port in found]


def read(table: str) -> Iterator[Edge]:
    """Edges of lines like `head, worker -> object-store 8333`; an empty line or one with # says nothing."""
    for line in table.splitlines():
        if not line.strip() or line.strip().startswith("#"):
            continue
        left, _, right = line.partition("->")
        places, _, ports = right.strip().rpartition("  ")
        for source in left.split(","):
            for target in places.split(","):
                yield from ((source.strip(), target.strip(), port.strip()) for port in ports.split(","))


def expanded(table: Iterable[Edge], documents: list[Document]) -> set[Edge]:
    """The edges with `everyone` replaced by each pod of ours, and by one that is not."""
    names = [one.name for one in endpoints(documents)] + [NEIGHBOUR.name]
    return {
        (name, target, port) for source, target, port in table for name in (names if source == EVERYONE else [source])
    }


def findings(documents: list[Document], expected: Iterable[Edge]) -> list[Finding]:
    """Connections that are open and should not be, and the other way round."""
    found, wanted = edges(documents), expanded(expected, documents)
    return [
        *(Finding("network", "open", f"{one} -> {two}", f"port {port}") for one, two, port in sorted(found - wanted)),
        *(Finding("network", "closed", f"{one} -> {two}", f"port {port}") for one, two, port in sorted(wanted - found)),
    ]
