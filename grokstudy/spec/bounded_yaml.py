"""YAML that a stranger may have written: plain values only, read in time and memory that its length bounds.

`yaml.safe_load` makes no objects, but a thousand letters of aliases stand for more than a machine holds, and deep
nesting ends the whole process inside the C library.
"""

from __future__ import annotations

from typing import Any

import yaml

LONGEST = 20_000_000
"""Letters. A study of 100,000 values on its axes has about a million."""
DEEPEST = 100
"""Levels of lists and mappings within each other."""


class Unbounded(yaml.YAMLError):  # type: ignore[misc]
    """The text is too long, too deep, stands for more than is written there, or has a value that cannot be."""


def load(text: str) -> Any:
    """The document as plain values.

    Raises:
        yaml.YAMLError: it is not YAML, asks for objects, has aliases, or is too long or too deep.
    """
    if len(text) > LONGEST:
        raise Unbounded(f"{len(text):,} letters, at most {LONGEST:,} are read")
    if not _is_shallow(text) or "&" in text:
        _check_events(text)
    try:
        return yaml.load(text, Loader=yaml.CSafeLoader)  # as safe_load, ten times as fast
    except ValueError as error:  # a date that is none, a number of a million digits
        raise Unbounded(str(error)) from error


def dump(document: Any) -> str:
    """Text that `load` reads: in the order given, values that stand twice are written twice."""
    return str(yaml.dump(document, Dumper=_NoAliases, sort_keys=False, allow_unicode=True))


class _NoAliases(yaml.SafeDumper):  # type: ignore[misc]
    def ignore_aliases(self, data: Any) -> bool:
        return True


def _is_shallow(text: str) -> bool:
    """Whether it cannot nest deeply: a level takes a bracket, or a column to begin further to the right."""
    brackets = text.count("[") + text.count("{")
    return brackets + max(map(len, text.splitlines()), default=0) <= 1000


def _check_events(text: str) -> None:
    """The parser's events come one by one, whatever they stand for."""
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.AliasEvent):
            raise Unbounded("it has aliases (*name), which are not read: write the values out")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST:
            raise Unbounded(f"lists or mappings within each other more than {DEEPEST} levels deep")
