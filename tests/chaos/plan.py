"""Which worlds a campaign goes through on this machine, and why not others."""

from __future__ import annotations

import dataclasses

from grokstudy.spec.errors import BadInput
from tests.chaos import cluster_world, disk_world, one_machine_world

NAMESPACES, MACHINE = "namespaces", "machine"
"""Hosts that share nothing; nodes that share one machine and need no root."""
CLUSTER, DISK = "cluster", "disk"
"""The two halves of a campaign."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Obstacles:
    """Why a world cannot be made here; None if it can."""

    namespaces: str | None = None
    machine: str | None = None
    disk: str | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The worlds of one campaign."""

    world: str | None
    """NAMESPACES or MACHINE; None = no cluster is wanted."""
    disk: bool
    remarks: tuple[str, ...] = ()
    """What it lacks, and why."""


def obstacles() -> Obstacles:
    """What this machine does not allow."""
    return Obstacles(namespaces=cluster_world.why_not(), machine=one_machine_world.why_not(), disk=disk_world.why_not())


def planned(world: str | None, only: str | None, found: Obstacles) -> Plan:
    """The worlds that are asked for; what nobody asked for by name is left out, with a remark, where it cannot be.

    Args:
        world: NAMESPACES or MACHINE; None = namespaces where they are allowed, else one machine.
        only: CLUSTER or DISK; None = both.
        found: what this machine does not allow.

    Raises:
        BadInput: what is asked for cannot be made here.
    """
    if only == DISK:
        if world is not None:
            raise BadInput(f"--world: got '{world}' with --only disk, which has no nodes. Leave one of them out.")
        if found.disk is not None:
            raise BadInput(f"--only: got 'disk', but {found.disk}. Use --only cluster.")
        return Plan(world=None, disk=True)
    chosen, remarks = _cluster(world, found)
    if only == CLUSTER:
        return Plan(world=chosen, disk=False, remarks=remarks)
    if found.disk is not None:
        remarks = (*remarks, f"SKIPPED, the disk that fills up: {found.disk}.")
    return Plan(world=chosen, disk=found.disk is None, remarks=remarks)


def _cluster(world: str | None, found: Obstacles) -> tuple[str, tuple[str, ...]]:
    """The world with a cluster, and what there is to say of it."""
    if world == NAMESPACES and found.namespaces is not None:
        raise BadInput(f"--world: got 'namespaces', but {found.namespaces}. Use --world machine.")
    if world == NAMESPACES or (world is None and found.namespaces is None):
        return NAMESPACES, ()
    if found.machine is not None:
        raise BadInput(f"--world: no cluster can be made here: {found.machine}. Use --only disk.")
    lacks = "no node is cut off, and S3 is silenced, not killed"
    if world is None:
        return MACHINE, (f"One machine instead of hosts in namespaces ({found.namespaces}): {lacks}.",)
    return MACHINE, (f"One machine, as asked for: {lacks}.",)
