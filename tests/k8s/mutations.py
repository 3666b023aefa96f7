"""Planting a defect: a copy of a scene in which one place is wrong."""

from __future__ import annotations

import copy
import dataclasses
import re
from typing import Any

from tests.k8s.documents import Document, title


class Removed:
    """Says that a field goes away."""


REMOVED = Removed()


@dataclasses.dataclass(frozen=True, slots=True)
class Defect:
    """One change: of an object's field, or the whole object."""

    name: str
    layer: str
    """The check that must find it."""
    target: str
    """`Kind/name`; a RayJob's name begins with its study."""
    path: str
    """`spec.containers[0].image`; `[+]` at the end adds to a list; `~` stands for a dot inside of a key;
    empty is the object itself."""
    value: Any
    scene: str = "whole"


def broken(documents: tuple[Document, ...], defect: Defect) -> list[Document]:
    """A copy of the documents with the defect in it.

    Raises:
        LookupError: there is no such object or field.
    """
    copied = copy.deepcopy(list(documents))
    document = next((one for one in copied if title(one).startswith(defect.target)), None)
    if document is None:
        raise LookupError(f"{defect.target} is not in this scene")
    if not defect.path:
        return [one for one in copied if one is not document]
    _change(document, _steps(defect.path), defect.value)
    return copied


def _steps(path: str) -> list[str | int]:
    found: list[str | int] = []
    for part in path.split("."):
        key, *indexes = re.split(r"[\[\]]+", part.rstrip("]"))
        found.append(key.replace("~", "."))
        found += [index if index == "+" else int(index) for index in indexes]
    return found


def _change(node: Any, steps: list[str | int], value: Any) -> None:
    *above, last = steps
    for step in above:
        node = node[step]
    if value is REMOVED:
        del node[last]
    elif last == "+":
        node.append(value)
    else:
        node[last] = value
