"""What `grokstudy doctor` makes of the looks that every node of a cluster took."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from grokstudy.execution.node_findings import CLOCK_SECONDS, Finding, Kind, findings, grouped, skew, versions_here
from grokstudy.execution.node_look import NodeLook
from grokstudy.study.doctor_check import Check, bad, doubtful, gigabytes, good
from grokstudy.study.doctor_machine import ROOM
from grokstudy.study.doctor_storage import clock


def nodes(looks: Sequence[NodeLook], asked: float, answered: float) -> Iterator[Check]:
    """The checks of a cluster.

    Args:
        looks: one of every live node.
        asked, answered: unix seconds here, before and after all looks.
    """
    cpus, gpus = sum(look.cpus for look in looks), sum(look.gpus for look in looks)
    shown = ", ".join(f"{look.address} ({look.cpus} CPUs, {look.gpus} GPUs)" for look in looks)
    found = list(findings(looks, versions_here(), asked, answered))
    slowest = max((look.storage_seconds for look in looks), default=0.0)
    yield good("nodes", f"{len(looks)} nodes, {cpus} CPUs, {gpus} GPUs: {shown}")
    yield _check("versions on nodes", "versions", found, "all as here")
    yield _check(
        "storage from nodes",
        "storage",
        found,
        f"written, read and listed by all {len(looks)}; slowest {1000 * slowest:,.0f} ms",
    )
    yield _clocks(looks, asked, answered)
    yield _disks(looks)
    yield _check("plug-in files", "plug-in files", found, "none missing")


def _check(name: str, kind: Kind, found: Sequence[Finding], fine: str) -> Check:
    """One line of a kind of finding: which nodes have which, and every remedy once."""
    there = [one for one in found if one.kind == kind]
    if not there:
        return good(name, fine)
    lines = [
        line
        for text in dict.fromkeys(one.found for one in there)
        for line in grouped({one.node: text for one in there if one.found == text})
    ]
    return bad(name, "; ".join(lines), " ".join(dict.fromkeys(one.remedy for one in there)))


def _clocks(looks: Sequence[NodeLook], asked: float, answered: float) -> Check:
    """Whether the clocks of all nodes agree with this machine's, as far as the time of asking tells."""
    apart = {look.address: skew(look.clock, asked, answered) for look in looks}
    worst = max(apart, key=lambda address: abs(apart[address]), default=None)
    if worst is None or not apart[worst]:
        return good("clocks of nodes", "agree")
    check = clock("clocks of nodes", apart[worst], CLOCK_SECONDS)
    return Check(name=check.name, state=check.state, found=f"{worst} is {check.found}", remedy=check.remedy)


def _disks(looks: Sequence[NodeLook]) -> Check:
    """Room for Ray's session and what it spills."""
    least = min(looks, key=lambda look: look.free_bytes)
    found = f"at least {gigabytes(least.free_bytes)} free for temporary files ({least.address})"
    if least.free_bytes >= ROOM:
        return good("disks of nodes", found)
    return doubtful("disks of nodes", found, "Delete files there, or start its Ray with --temp-dir on another disk.")
