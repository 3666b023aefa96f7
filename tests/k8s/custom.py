"""Custom resources: what the API server does with an object before an operator sees it.

Nulls are pruned, defaults filled in, unknown fields refused, CEL rules evaluated. The definitions are third parties'
and lie beside the repository, not in it.
"""

from __future__ import annotations

import copy
import functools
import json
from pathlib import Path
from typing import Any

import celpy
import yaml
from celpy.adapter import json_to_cel
from jsonschema import Draft202012Validator

from tests.k8s.documents import LOADER, Document, Finding, title
from tests.k8s.structural import defaulted, pruned, strict

CRDS = Path(__file__).resolve().parents[3] / "shared" / "crds"
RELEASES = {
    "ray.io": ("kuberay-v1.6.2", "kuberay-v1.7.0"),
    "kueue.x-k8s.io": ("kueue-v0.19.2",),
    "postgresql.cnpg.io": ("cloudnative-pg-v1.30.0",),
}
"""API groups, and the releases of their operators that an object must be valid for."""
UNSEEN = {
    ("monitoring.coreos.com", "PodMonitor"): "the Prometheus operator's definitions are not at hand",
    ("monitoring.coreos.com", "ServiceMonitor"): "the Prometheus operator's definitions are not at hand",
}
"""Kinds that nothing here can check, each with the reason."""
Schema = dict[str, Any]


def covered(document: Document) -> bool:
    """Whether a definition is at hand for this kind."""
    group = document["apiVersion"].split("/")[0]
    return any(_schema(release, *_key(document)) is not None for release in RELEASES.get(group, ()))


def unseen(document: Document) -> bool:
    """Whether the kind is one of those that nothing here can check."""
    return (document["apiVersion"].split("/")[0], document["kind"]) in UNSEEN


def findings(documents: list[Document]) -> list[Finding]:
    """What the definitions refuse, for every release that the object must be valid for."""
    return [finding for document in documents for finding in _of(json.dumps(document, sort_keys=True))]


@functools.cache
def _of(text: str) -> tuple[Finding, ...]:
    document = json.loads(text)
    found = []
    for release in RELEASES.get(document["apiVersion"].split("/")[0], ()):
        schema = _schema(release, *_key(document))
        if schema is None:
            found.append(Finding("custom", release, title(document), f"{document['apiVersion']} is not served"))
            continue
        whole = defaulted(schema, pruned(schema, copy.deepcopy(document)))
        for error in _validator(release, *_key(document)).iter_errors(whole):
            path = ".".join(map(str, error.absolute_path))
            found.append(Finding("custom", release, title(document), f"{path}: {error.message[:200]}"))
        found += [Finding("custom", f"{release} CEL", title(document), what) for what in broken_rules(schema, whole)]
    return tuple(found)


def _key(document: Document) -> tuple[str, str]:
    return document["apiVersion"], document["kind"]


def _schema(release: str, api: str, kind: str) -> Schema | None:
    return _schemas(release, kind).get(api)


@functools.cache
def _schemas(release: str, kind: str) -> dict[str, Schema]:
    """The structural schemas of a kind by API version; reads only this kind's file, which may have two megabytes."""
    for path in sorted((CRDS / release).glob("*.yaml")):
        if _plural(path) in {f"{kind.lower()}s", f"{kind.lower()}es"}:
            spec = yaml.load(path.read_text(), LOADER)["spec"]
            served = [version for version in spec["versions"] if version["served"]]
            return {f"{spec['group']}/{v['name']}": v["schema"]["openAPIV3Schema"] for v in served}
    return {}


def _plural(path: Path) -> str:
    """`rayjobs` of `ray.io_rayjobs.yaml`, `clusters` of `clusters.yaml`."""
    return path.stem.rpartition("_")[2]


@functools.cache
def _validator(release: str, api: str, kind: str) -> Draft202012Validator:
    schema = _schema(release, api, kind)
    assert schema is not None
    whole = strict(schema)
    whole["properties"]["metadata"] = {"type": "object"}
    return Draft202012Validator(whole)


def broken_rules(schema: Schema, value: Any, path: str = "") -> list[str]:
    """CEL rules that do not hold, each as path and message. Rules about a change (`oldSelf`) are left out."""
    found = [
        f"{path or '.'}: {rule.get('message', rule['rule'])}"
        for rule in schema.get("x-kubernetes-validations", ())
        if "oldSelf" not in rule["rule"] and not _holds(rule["rule"], value)
    ]
    if isinstance(value, dict):
        extra = schema.get("additionalProperties")
        for key, one in value.items():
            below = schema.get("properties", {}).get(key) or (extra if isinstance(extra, dict) else None)
            found += broken_rules(below, one, f"{path}.{key}") if below else []
    elif isinstance(value, list) and "items" in schema:
        for index, one in enumerate(value):
            found += broken_rules(schema["items"], one, f"{path}[{index}]")
    return found


def _holds(rule: str, value: Any) -> bool:
    return bool(_program(rule).evaluate({"self": json_to_cel(value)}))


@functools.cache
def _program(rule: str) -> celpy.Runner:
    environment = celpy.Environment()
    return environment.program(environment.compile(rule))
