"""Structural schemas of custom resource definitions: pruning, defaults, JSON Schema that refuses unknown fields."""

from __future__ import annotations

import copy
from typing import Any

Schema = dict[str, Any]
IGNORED = frozenset({"description", "example", "externalDocs", "default"})


def strict(schema: Schema) -> Schema:
    """The schema as JSON Schema: Kubernetes' extensions put into its words, unknown fields refused."""
    made = {key: value for key, value in schema.items() if key not in IGNORED and not key.startswith("x-kubernetes-")}
    if schema.get("x-kubernetes-int-or-string"):
        made.pop("anyOf", None)
        made["type"] = ["integer", "string"]
    if made.pop("nullable", False) and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    if "properties" in made:
        made["properties"] = {name: strict(one) for name, one in made["properties"].items()}
    if "items" in made:
        made["items"] = strict(made["items"])
    extra = made.get("additionalProperties")
    if isinstance(extra, dict):
        made["additionalProperties"] = strict(extra)
    elif "properties" in made and not schema.get("x-kubernetes-preserve-unknown-fields"):
        made.setdefault("additionalProperties", False)
    if schema.get("x-kubernetes-embedded-resource"):
        embedded = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
        made["properties"] = {**embedded, **made.get("properties", {})}
    return made


def pruned(schema: Schema, value: Any) -> Any:
    """The value without nulls that its schema does not allow: the API server drops them before it fills in defaults."""
    if isinstance(value, dict):
        kept = {}
        for key, one in value.items():
            below = _below(schema, key)
            if one is not None or below is None or below.get("nullable"):
                kept[key] = pruned(below, one) if below else one
        return kept
    if isinstance(value, list):
        return [pruned(schema.get("items", {}), one) for one in value]
    return value


def defaulted(schema: Schema, value: Any) -> Any:
    """The value with the defaults of fields that it leaves out."""
    if isinstance(value, dict):
        given = {name: one["default"] for name, one in schema.get("properties", {}).items() if "default" in one}
        filled = {**copy.deepcopy({name: one for name, one in given.items() if name not in value}), **value}
        return {key: defaulted(_below(schema, key) or {}, one) for key, one in filled.items()}
    if isinstance(value, list):
        return [defaulted(schema.get("items", {}), one) for one in value]
    return value


def _below(schema: Schema, key: str) -> Schema | None:
    extra = schema.get("additionalProperties")
    found: Schema | None = schema.get("properties", {}).get(key)
    return found if found is not None else (extra if isinstance(extra, dict) else None)
