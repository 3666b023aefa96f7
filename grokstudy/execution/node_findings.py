"""What is wrong with nodes that have looked: judged once, for the run that refuses them and the doctor who lists it."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from grokstudy.execution.node_look import NodeLook, installed, source_hash

Kind = Literal["storage", "versions", "plug-in files", "clocks"]
CLOCK_SECONDS = 30.0
"""By how much nodes' clocks may differ: the order of rows is read from them."""
VERSIONED = ("python", "ray", "torch", "grokstudy")
"""Fields of a look that must be equal everywhere: a trial's bits depend on them."""
LISTED = 5
"""Nodes that a sentence names before it only counts."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Why one node could not step a pack and keep its results."""

    node: str
    kind: Kind
    found: str
    remedy: str

    @property
    def text(self) -> str:
        return f"{self.found}. {self.remedy}"


def versions_here() -> dict[str, str]:
    """Of this process, by field of `NodeLook`; grokstudy's `sources` among them."""
    libraries = {name: installed(name) for name in VERSIONED if name != "python"}
    return {"python": platform.python_version(), **libraries, "sources": source_hash()}


def findings(looks: Sequence[NodeLook], here: Mapping[str, str], began: float, ended: float) -> Iterator[Finding]:
    """Everything that is wrong, node by node.

    Args:
        looks: of all nodes.
        here: the driver's `versions_here`.
        began, ended: unix seconds of the driver before the first look and after the last one.
    """
    for look in looks:
        yield from _storage(look)
        yield from _versions(look, here)
        yield from _files(look)
        yield from _clock(look, began, ended)


def skew(there: float, before: float, after: float, resolution: float = 0.0) -> float:
    """Seconds by which another clock is ahead (+) or behind (-), at the least, if it was read between the two times.

    It cuts off what is below its `resolution` (seconds).
    """
    return min(0.0, there + resolution - before) + max(0.0, there - after)


def grouped(texts: Mapping[str, str]) -> Iterator[str]:
    """`node a, b: text`, one line for each text; `texts` is by node."""
    for text in dict.fromkeys(texts.values()):
        nodes = [node for node, said in texts.items() if said == text]
        names = ", ".join(nodes[:LISTED]) + (f" and {len(nodes) - LISTED} more" if len(nodes) > LISTED else "")
        yield f"{'nodes' if len(nodes) > 1 else 'node'} {names}: {text}"


def _storage(look: NodeLook) -> Iterator[Finding]:
    if look.storage_error is not None:
        found, _, remedy = " ".join(look.storage_error.split()).partition(". ")
        yield Finding(node=look.address, kind="storage", found=found.rstrip("."), remedy=remedy)


def _versions(look: NodeLook, here: Mapping[str, str]) -> Iterator[Finding]:
    for name in VERSIONED:
        there = getattr(look, name)
        if there != here[name]:
            found = f"{name} {there or 'is missing'}, here {here[name]}"
            yield Finding(node=look.address, kind="versions", found=found, remedy="Install the same on every node.")
    if look.grokstudy == here["grokstudy"] and look.sources != here["sources"]:
        yield Finding(
            node=look.address,
            kind="versions",
            found="grokstudy has this version but other code",
            remedy="Install the same code on every node, or send yours with `grokstudy submit --ship-code`.",
        )


def _files(look: NodeLook) -> Iterator[Finding]:
    if look.missing_files:
        yield Finding(
            node=look.address,
            kind="plug-in files",
            found=f"no plug-in file {', '.join(look.missing_files)}",
            remedy="Put it there under the same path, or send it with `grokstudy submit run --plugin`.",
        )


def _clock(look: NodeLook, began: float, ended: float) -> Iterator[Finding]:
    seconds = skew(look.clock, began, ended)
    if abs(seconds) > CLOCK_SECONDS:
        found = f"the clock is {abs(seconds):.0f} s {'ahead' if seconds > 0 else 'behind'}, may be {CLOCK_SECONDS:g} s"
        yield Finding(node=look.address, kind="clocks", found=found, remedy="Let all machines keep their time by NTP.")
