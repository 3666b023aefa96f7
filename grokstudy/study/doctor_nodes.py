"""What `grokstudy doctor` makes of the looks that every node of a cluster took."""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterator, Sequence

from grokstudy.execution.node_look import CLOCK_SECONDS, NodeLook, installed, source_hash
from grokstudy.study.doctor_check import Check, bad, doubtful, gigabytes, good, refused
from grokstudy.study.doctor_machine import ROOM
from grokstudy.study.doctor_storage import clock, skew

VERSIONS: tuple[tuple[str, Callable[[NodeLook], str], Callable[[], str]], ...] = (
    ("python", lambda look: look.python, platform.python_version),
    ("ray", lambda look: look.ray, lambda: installed("ray")),
    ("torch", lambda look: look.torch, lambda: installed("torch")),
    ("grokstudy", lambda look: look.grokstudy, lambda: installed("grokstudy")),
    ("grokstudy's sources", lambda look: look.sources, source_hash),
)
"""What must be equal everywhere: a trial's bits depend on it, and Ray's nodes do not talk to another version."""


def nodes(looks: Sequence[NodeLook], asked: float, answered: float) -> Iterator[Check]:
    """The checks of a cluster.

    Args:
        looks: one of every live node.
        asked, answered: unix seconds here, before and after all looks.
    """
    cpus, gpus = sum(look.cpus for look in looks), sum(look.gpus for look in looks)
    shown = ", ".join(f"{look.address} ({look.cpus} CPUs, {look.gpus} GPUs)" for look in looks)
    yield good("nodes", f"{len(looks)} nodes, {cpus} CPUs, {gpus} GPUs: {shown}")
    yield versions(looks)
    yield storage(looks)
    yield clocks(looks, asked, answered)
    yield disks(looks)
    yield plugins(looks)


def versions(looks: Sequence[NodeLook]) -> Check:
    """Whether every node runs what runs here."""
    differing = [
        f"{look.address} has {name} {there(look) or 'missing'}, here is {here()}"
        for look in looks
        for name, there, here in VERSIONS
        if there(look) != here()
    ]
    if differing:
        remedy = "Use one image (or one environment) for all nodes and the driver, and restart the nodes that differ."
        return bad("versions on nodes", "; ".join(differing), remedy)
    return good("versions on nodes", "all as here")


def storage(looks: Sequence[NodeLook]) -> Check:
    """Whether a trial on any node could keep its results."""
    failing = [look for look in looks if look.storage_error is not None]
    if failing:
        check = refused("storage from nodes", failing[0].storage_error or "")
        names = ", ".join(look.address for look in failing)
        return bad(check.name, f"{len(failing)} of {len(looks)} nodes ({names}): {check.found}", check.remedy)
    slowest = max((look.storage_seconds for look in looks), default=0.0)
    return good("storage from nodes", f"written, read and listed by all {len(looks)}; slowest {1000 * slowest:,.0f} ms")


def clocks(looks: Sequence[NodeLook], asked: float, answered: float) -> Check:
    """Whether the clocks of all nodes agree with this machine's, as far as the time of asking tells."""
    apart = {look.address: skew(look.clock, asked, answered) for look in looks}
    worst = max(apart, key=lambda address: abs(apart[address]), default=None)
    if worst is None or not apart[worst]:
        return good("clocks of nodes", "agree")
    check = clock("clocks of nodes", apart[worst], CLOCK_SECONDS)
    return Check(name=check.name, state=check.state, found=f"{worst} is {check.found}", remedy=check.remedy)


def disks(looks: Sequence[NodeLook]) -> Check:
    """Room for Ray's session and what it spills."""
    least = min(looks, key=lambda look: look.free_bytes)
    found = f"at least {gigabytes(least.free_bytes)} free for temporary files ({least.address})"
    if least.free_bytes >= ROOM:
        return good("disks of nodes", found)
    return doubtful("disks of nodes", found, "Delete files there, or start its Ray with --temp-dir on another disk.")


def plugins(looks: Sequence[NodeLook]) -> Check:
    """Whether the user's own plug-in files are on every node."""
    missing = [f"{file} on {look.address}" for look in looks for file in look.missing_files]
    if missing:
        remedy = "Put them into the image or a folder that every node mounts, or let `grokstudy submit` send them."
        return bad("plug-in files", f"missing: {', '.join(missing)}", remedy)
    return good("plug-in files", "none missing")
