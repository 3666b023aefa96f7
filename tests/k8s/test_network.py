"""Who may talk to whom: README, written tables and evaluated policies say the same."""

from __future__ import annotations

import pytest

from tests.k8s import expected, matrix, readme
from tests.k8s.documents import NAMESPACE, Document
from tests.k8s.network import Endpoint, Port, end, open_ports
from tests.k8s.rendered import rendered_job, scene, scenes


def with_two_studies(name: str) -> list[Document]:
    """An overlay with two studies at work in it."""
    return [*scene(name), *rendered_job("other")]


@pytest.mark.parametrize("name", ["overlay dev", "overlay production"])
def test_exactly_the_written_connections_are_open(name: str) -> None:
    documents = with_two_studies(name)
    assert "\n".join(map(str, matrix.findings(documents, expected.of(documents)))) == ""


@pytest.mark.parametrize("name", scenes())
def test_nobody_reaches_the_credentials_of_a_cloud(name: str) -> None:
    assert [edge for edge in matrix.edges(list(scene(name))) if edge[1] == matrix.METADATA.name] == []


def test_two_studies_never_reach_each_other() -> None:
    found = matrix.edges(with_two_studies("overlay dev"))
    roles = {"head", "worker", "submitter"}
    assert ("worker", "head", "all") in found
    assert [(one, two) for one, two, _ in found if one in roles and two.startswith("other ")] == []
    assert [(one, two) for one, two, _ in found if two in roles and one.startswith("other ")] == []


def test_a_stranger_with_a_label_of_ours_reaches_nothing() -> None:
    names = {"stranger", matrix.NEIGHBOUR.name}
    found = matrix.edges(with_two_studies("overlay production"))
    assert [edge for edge in found if edge[0] in names and edge[1] != matrix.DNS.name] == []


def test_the_readme_says_who_may_talk_to_whom() -> None:
    documents = list(scene("overlay dev"))
    said = matrix.expanded(readme.edges(), documents)
    assert said == {edge for edge in matrix.edges(documents) if edge[0] != matrix.NEIGHBOUR.name} | {
        edge for edge in said if edge[0] == matrix.NEIGHBOUR.name
    }


def test_the_readme_says_what_other_parts_add() -> None:
    documents = list(scene("overlay production"))
    found = {edge for edge in matrix.edges(documents) if edge[0] != matrix.NEIGHBOUR.name}
    always = matrix.expanded(readme.edges(), documents)
    assert readme.edges(more=True) - always == found - always


A = Endpoint("a", NAMESPACE, {"app": "a"}, "10.0.0.1")
B = Endpoint("b", NAMESPACE, {"app": "b"}, "10.0.0.2", {}, {"http": 80})
AWAY = Endpoint("away", "elsewhere", {"app": "a"}, "10.0.0.3")
TO_B = {"podSelector": {"matchLabels": {"app": "b"}}, "policyTypes": ["Ingress"]}
FROM_A = {"from": [{"podSelector": {"matchLabels": {"app": "a"}}}]}


def policy(spec: Document) -> Document:
    return {"kind": "NetworkPolicy", "metadata": {"name": "p", "namespace": NAMESPACE}, "spec": spec}


@pytest.mark.parametrize(
    ("specs", "source", "port", "expected_answer"),
    [
        ([], A, 80, True),
        ([TO_B], A, 80, False),
        ([{**TO_B, "ingress": [{}]}], A, 80, True),
        ([{**TO_B, "ingress": [FROM_A]}], A, 80, True),
        ([{**TO_B, "ingress": [FROM_A]}], AWAY, 80, False),
        ([{**TO_B, "ingress": [{"from": [{"namespaceSelector": {}}]}]}], AWAY, 80, True),
        ([{**TO_B, "ingress": [{**FROM_A, "ports": [{"port": 81}]}]}], A, 80, False),
        ([{**TO_B, "ingress": [{**FROM_A, "ports": [{"port": "http"}]}]}], A, 80, True),
        ([{**TO_B, "ingress": [{**FROM_A, "ports": [{"port": 79, "endPort": 81}]}]}], A, 80, True),
        ([{**TO_B, "ingress": [{**FROM_A, "ports": [{"port": 80, "protocol": "UDP"}]}]}], A, 80, False),
        ([{**TO_B, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/24"}}]}]}], AWAY, 80, True),
        (
            [{**TO_B, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/24", "except": ["10.0.0.3/32"]}}]}]}],
            AWAY,
            80,
            False,
        ),
        ([TO_B, {**TO_B, "ingress": [FROM_A]}], A, 80, True),
        ([{"podSelector": {}, "policyTypes": ["Egress"]}], A, 80, False),
        ([{"podSelector": {}, "policyTypes": ["Egress"], "egress": [{"to": [{"podSelector": {}}]}]}], A, 80, True),
    ],
)
def test_policies_mean_what_kubernetes_says_they_mean(
    specs: list[Document], source: Endpoint, port: int, expected_answer: bool
) -> None:
    policies = [policy(spec) for spec in specs]
    found = open_ports(end(policies, source), end(policies, B), [Port(port)])
    assert bool(found) is expected_answer
