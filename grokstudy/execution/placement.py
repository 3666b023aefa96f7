"""How many packs fit on which node: pure arithmetic over what a pack reserves and what nodes have."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from grokstudy.spec.errors import BadInput
from grokstudy.spec.settings import ClusterSettings

NEARLY = 1e-9
"""0.3 / 0.1 is a little less than 3."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One machine of a cluster with all that it has, used or not."""

    name: str
    amounts: Mapping[str, float]
    """By Ray's names of resources: CPU, GPU, and whatever the cluster was started with."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """How many packs a node takes at a time."""

    node: str
    packs: int


def reserved(settings: ClusterSettings) -> dict[str, float]:
    """What one pack reserves, by Ray's names of resources."""
    amounts = {"CPU": settings.cpus_per_pack, "GPU": settings.gpus_per_pack, **(settings.resources or {})}
    return {name: amount for name, amount in amounts.items() if amount}


def packs_on(node: Node, pack: Mapping[str, float]) -> int:
    """Packs that fit on a node at a time."""
    return min(_times(name, node.amounts.get(name, 0.0), amount) for name, amount in pack.items())


def placed_on(nodes: Sequence[Node], pack: Mapping[str, float]) -> tuple[Placed, ...]:
    """How many packs every node takes, in the order of the nodes."""
    return tuple(Placed(node=node.name, packs=packs_on(node, pack)) for node in nodes)


def slots_of(nodes: Sequence[Node], settings: ClusterSettings) -> int:
    """Packs at a time: as many as fit on all nodes together, and no more than `cluster.max_packs`.

    Where nodes may still come (a running cluster with `cluster.max_packs` given) that number is taken as it is.

    Raises:
        BadInput: not even one fits.
    """
    if settings.kind == "ray" and settings.max_packs is not None:
        return settings.max_packs
    fit = sum(packs_on(node, reserved(settings)) for node in nodes)
    if fit < 1:
        raise _nothing_fits(nodes, settings)
    return min(fit, settings.max_packs) if settings.max_packs else fit


def _times(name: str, there: float, each: float) -> int:
    """How often `each` goes into what is `there`. A part of a GPU lies on one GPU, never on two."""
    if name == "GPU" and each < 1:
        return int(there + NEARLY) * int(1 / each + NEARLY)
    return int(there / each + NEARLY)


def _nothing_fits(nodes: Sequence[Node], settings: ClusterSettings) -> BadInput:
    wanted = reserved(settings)
    there = "; ".join(
        f"{node.name}: {in_words({name: node.amounts.get(name, 0) for name in wanted})}" for node in nodes
    )
    wait = " To wait for nodes that come later, give cluster.max_packs." if settings.kind == "ray" else ""
    keys = "cluster.cpus_per_pack, cluster.gpus_per_pack" + (" or cluster.resources" if settings.resources else "")
    return BadInput(
        f"cluster: no node takes a pack, which reserves {in_words(wanted)}. There is {there or 'no node'}. "
        f"Lower {keys}.{wait}"
    )


def in_words(amounts: Mapping[str, float]) -> str:
    """`1 CPU, 0.25 GPU`."""
    return ", ".join(f"{amount:g} {name}" for name, amount in amounts.items())
