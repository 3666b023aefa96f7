"""Kubernetes documents as they come out of a rendered stream, and what a check says about one."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import yaml

Document = dict[str, Any]
"""One Kubernetes object: the nested dict that its YAML is."""
NAMESPACE = "grokstudy"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
CLUSTER_WIDE = frozenset(
    {"Namespace", "ClusterRole", "ClusterRoleBinding", "PriorityClass", "StorageClass", "CustomResourceDefinition"}
    | {"ResourceFlavor", "ClusterQueue", "WorkloadPriorityClass", "Topology"}
)
"""Kinds that lie in no namespace."""


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Finding:
    """What is wrong: the layer and rule that say so, the object, and a sentence."""

    layer: str
    rule: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"[{self.layer}: {self.rule}] {self.where}: {self.what}"


def load(text: str) -> list[Document]:
    """The documents of a YAML stream, without empty ones."""
    return [document for document in yaml.load_all(text, LOADER) if document]


def name_of(document: Document) -> str:
    return str(document.get("metadata", {}).get("name", ""))


def title(document: Document) -> str:
    """`Kind/name`, as messages call an object."""
    return f"{document.get('kind', '?')}/{name_of(document)}"


def namespace_of(document: Document) -> str:
    """The namespace, which is ours where nothing is said; empty for what lies in none."""
    if document.get("kind") in CLUSTER_WIDE:
        return ""
    return str(document.get("metadata", {}).get("namespace") or NAMESPACE)


def labels_of(document: Document) -> dict[str, str]:
    return dict(document.get("metadata", {}).get("labels") or {})


def of_kind(documents: list[Document], *kinds: str) -> list[Document]:
    return [document for document in documents if document.get("kind") in kinds]


def walk(node: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Every node of a document with its path (`spec.containers[0].image`), the node itself first."""
    yield path, node
    if isinstance(node, dict):
        for key, value in node.items():
            yield from walk(value, f"{path}.{key}" if path else str(key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from walk(value, f"{path}[{index}]")
