"""Built-in kinds: the API server's own schemas, unknown fields refused, of the oldest, a middle and the newest."""

from __future__ import annotations

import functools
import json
import re
from typing import Any

from jsonschema import Draft202012Validator
from kubernetes_validate.utils import schema_contents
from referencing import Registry, Resource

from tests.k8s.documents import Document, Finding, title

VERSIONS = ("1.29", "1.32", "1.35")


def covered(document: Document) -> bool:
    """Whether Kubernetes itself has this kind, in every version that we promise."""
    return all(_validator(version, *_schema(document)) is not None for version in VERSIONS)


def findings(documents: list[Document]) -> list[Finding]:
    """What the schemas of the promised versions refuse; a kind that Kubernetes does not have is not looked at."""
    return [finding for document in documents for finding in _of(json.dumps(document, sort_keys=True))]


@functools.cache
def _of(text: str) -> tuple[Finding, ...]:
    document = json.loads(text)
    found = []
    for version in VERSIONS:
        validator = _validator(version, *_schema(document))
        for error in validator.iter_errors(document) if validator is not None else ():
            path = ".".join(map(str, error.absolute_path))
            found.append(Finding("builtin", f"schema {version}", title(document), f"{path}: {error.message[:200]}"))
    return tuple(found)


def _schema(document: Document) -> tuple[str, str]:
    """Kind and version as the package names its files: `networkpolicy`, `networking-v1`."""
    return document["kind"].lower(), re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", document["apiVersion"])


@functools.cache
def _validator(version: str, kind: str, api: str) -> Draft202012Validator | None:
    # The package's own validate() reads two megabytes of definitions for each document; here they are read once.
    folder = f"kubernetes-json-schema/v{version}.0-local-strict"
    try:
        schema = schema_contents(f"{folder}/{kind}-{api}.json", version)
    except FileNotFoundError:
        return None
    return Draft202012Validator(schema, registry=Resource.from_contents(schema) @ _definitions(folder, version))


@functools.cache
def _definitions(folder: str, version: str) -> Registry[Any]:
    return Resource.from_contents(schema_contents(f"{folder}/_definitions.json", version)) @ Registry()
