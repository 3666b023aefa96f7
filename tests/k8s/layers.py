"""All checks by name, each from a whole scene to what is wrong with it."""

from __future__ import annotations

import functools
from collections.abc import Callable

from tests.k8s import (
    builtin,
    commands,
    containers,
    custom,
    expected,
    images,
    matrix,
    operator_rules,
    readme,
    references,
    restricted,
    workloads,
)
from tests.k8s.documents import Document, Finding, title
from tests.k8s.pods import made_pods

Layer = Callable[[list[Document], bool], list[Finding]]
"""Documents, and whether they are a development overlay's, which may hold Secrets that are obviously fake."""


@functools.cache
def _secrets() -> dict[str, frozenset[str]]:
    return readme.secrets()


def uncovered(documents: list[Document]) -> list[Finding]:
    """Documents that no schema was found for: nobody would notice a slip in them."""
    return [
        Finding("coverage", "schema", title(document), f"nothing here can check {document['apiVersion']}")
        for document in documents
        if not (builtin.covered(document) or custom.covered(document) or custom.unseen(document))
    ]


def network(documents: list[Document]) -> list[Finding]:
    """Connections that differ from the table of this kind of deployment."""
    return matrix.findings(documents, expected.of(documents))


LAYERS: dict[str, Layer] = {
    "coverage": lambda documents, dev: uncovered(documents),
    "builtin": lambda documents, dev: builtin.findings(
        [*documents, *(made.pod for made in made_pods(documents) if made.role)]
    ),
    "custom": lambda documents, dev: custom.findings(documents),
    "restricted": lambda documents, dev: restricted.findings(made_pods(documents)),
    "operator": lambda documents, dev: operator_rules.findings(documents),
    "references": lambda documents, dev: references.findings(documents, _secrets()),
    "images": lambda documents, dev: images.findings(documents),
    "containers": lambda documents, dev: containers.findings(documents, fake_secrets=dev),
    "workloads": lambda documents, dev: workloads.findings(documents),
    "commands": lambda documents, dev: commands.findings(documents),
    "network": lambda documents, dev: network(documents),
}
