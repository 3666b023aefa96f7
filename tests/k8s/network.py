"""NetworkPolicies as a network plug-in evaluates them: may this pod open that port of that one?

A pod that no policy selects is open; policies add up; a connection needs the egress of the one side and the ingress of
the other. Modelled, not run: that a cluster's plug-in enforces policies is for its administrator to know.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Iterable

from tests.k8s.documents import Document, of_kind
from tests.k8s.documents import namespace_of as _namespace_of


@dataclasses.dataclass(frozen=True, slots=True)
class Port:
    """A port of the far side."""

    number: int
    protocol: str = "TCP"


@dataclasses.dataclass(frozen=True, slots=True)
class Endpoint:
    """One end of a connection: a pod, or an address outside (whose namespace is empty, and which no policy selects)."""

    name: str
    namespace: str
    labels: dict[str, str]
    address: str
    namespace_labels: dict[str, str] = dataclasses.field(default_factory=dict)
    named_ports: dict[str, int] = dataclasses.field(default_factory=dict)

    @property
    def is_pod(self) -> bool:
        return bool(self.namespace)


@dataclasses.dataclass(frozen=True, slots=True)
class End:
    """An endpoint with the rules that hold for it; None where no policy speaks of a direction: all is open."""

    endpoint: Endpoint
    egress: list[Document] | None
    ingress: list[Document] | None


def end(policies: list[Document], endpoint: Endpoint) -> End:
    """The endpoint as the policies see it."""
    return End(endpoint, *(_rules(policies, endpoint, direction) for direction in ("Egress", "Ingress")))


def open_ports(source: End, target: End, ports: Iterable[Port]) -> list[Port]:
    """Those of the ports that both sides' policies let through."""
    out = _towards(source.egress, "to", target.endpoint, source.endpoint.namespace)
    into = _towards(target.ingress, "from", source.endpoint, target.endpoint.namespace)
    sides = [side for side in (out, into) if side is not None]
    return [port for port in ports if all(_any_port(side, target.endpoint, port) for side in sides)]


def policies_of(documents: list[Document]) -> list[Document]:
    return of_kind(documents, "NetworkPolicy")


def _rules(policies: list[Document], pod: Endpoint, direction: str) -> list[Document] | None:
    chosen = [one for one in policies if pod.is_pod and direction in _directions(one) and _selects(one, pod)]
    return [rule for policy in chosen for rule in policy["spec"].get(direction.lower()) or []] if chosen else None


def _towards(rules: list[Document] | None, key: str, other: Endpoint, namespace: str) -> list[Document] | None:
    """Those rules that name the other end."""
    return None if rules is None else [rule for rule in rules if _peer(rule.get(key), other, namespace)]


def _any_port(rules: list[Document], target: Endpoint, port: Port) -> bool:
    return any(_port(rule.get("ports"), target, port) for rule in rules)


def _directions(policy: Document) -> set[str]:
    spec = policy["spec"]
    return set(spec.get("policyTypes") or ["Ingress", *(["Egress"] if spec.get("egress") else [])])


def _selects(policy: Document, pod: Endpoint) -> bool:
    return _namespace_of(policy) == pod.namespace and matches(policy["spec"].get("podSelector") or {}, pod.labels)


def _peer(peers: list[Document] | None, other: Endpoint, namespace: str) -> bool:
    """No peers named means everybody."""
    return not peers or any(_is_peer(one, other, namespace) for one in peers)


def _is_peer(peer: Document, other: Endpoint, namespace: str) -> bool:
    if block := peer.get("ipBlock"):
        address = ipaddress.ip_address(other.address)
        inside = address in ipaddress.ip_network(block["cidr"])
        return inside and not any(address in ipaddress.ip_network(one) for one in block.get("except") or [])
    if not other.is_pod:
        return False
    if "namespaceSelector" in peer:
        where = matches(
            peer["namespaceSelector"] or {},
            {"kubernetes.io/metadata.name": other.namespace, **other.namespace_labels},
        )
    else:
        where = other.namespace == namespace
    return where and matches(peer.get("podSelector") or {}, other.labels)


def _port(ports: list[Document] | None, target: Endpoint, asked: Port) -> bool:
    """No ports named means all."""
    return not ports or any(_is_port(one, target, asked) for one in ports)


def _is_port(port: Document, target: Endpoint, asked: Port) -> bool:
    if port.get("protocol", "TCP") != asked.protocol:
        return False
    number = port.get("port")
    if number is None:
        return True
    if isinstance(number, str):
        return target.named_ports.get(number) == asked.number
    last: int = port.get("endPort") or number
    return bool(number <= asked.number <= last)


def matches(selector: Document, labels: dict[str, str]) -> bool:
    """Whether a label selector chooses these labels; an empty one chooses all."""
    wanted = selector.get("matchLabels") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(_expression(one, labels) for one in selector.get("matchExpressions") or [])


def _expression(one: Document, labels: dict[str, str]) -> bool:
    key, values = one["key"], one.get("values") or []
    match one["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
    raise ValueError(f"unknown operator {one['operator']}")
