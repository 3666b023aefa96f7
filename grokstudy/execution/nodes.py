"""The nodes of the cluster that this process has joined: what they have, and whether each could keep a trial's results.

`look` runs on every node that is alive, pinned there, beside whatever else runs; that takes a second or two.
"""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from grokstudy.execution.connect import connect
from grokstudy.execution.node_findings import findings, grouped, versions_here
from grokstudy.execution.node_look import NodeLook, cleaned, look, prepared
from grokstudy.execution.placement import Node
from grokstudy.spec.errors import BadInput

LOOK_SECONDS = 60.0
"""Until every node has looked; a first worker on a slow disk takes its time to load."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What every node that is alive saw, or why it saw nothing."""

    looks: tuple[NodeLook, ...]
    silent: Mapping[str, str]
    """By node: why there is no look."""
    began: float
    ended: float
    """Unix seconds of this process before and after."""


def alive_nodes() -> list[Node]:
    """Nodes that are alive, by address; several on one machine also carry the start of their id."""
    found = _alive()
    shared = Counter(node["NodeManagerAddress"] for node in found)
    return sorted(
        (Node(name=_name(node, shared), amounts=dict(node["Resources"])) for node in found), key=lambda node: node.name
    )


def is_free(amounts: Mapping[str, float]) -> bool:
    """Whether nobody uses so much of the cluster, all nodes together."""
    free = ray.available_resources()  # type: ignore[no-untyped-call]
    return all(free.get(name, 0.0) >= amount for name, amount in amounts.items())


def looks(address: str | None, storage: str, plugin_files: Sequence[str] = ()) -> list[NodeLook]:
    """What every node of a cluster sees, each under the address that Ray knows it by; joins the cluster if need be.

    Raises:
        BadInput: the cluster cannot be joined, or a node does not answer.
        StorageUnavailable: the storage does not answer this process either.
    """
    joined = not ray.is_initialized()
    if joined:
        connect(address)
    try:
        looked = _looked(storage, plugin_files)
    finally:
        if joined:
            ray.shutdown()
    if looked.silent:
        raise BadInput("\n".join(grouped(looked.silent)))
    return list(looked.looks)


def check_nodes(storage: str, plugin_files: Sequence[str] = ()) -> None:
    """Every node that is alive could step a pack and keep its results.

    Raises:
        BadInput: some could not; one message names them and what to do.
        StorageUnavailable: the storage does not answer this process either.
    """
    looked = _looked(storage, plugin_files)
    lines = [*grouped(looked.silent), *problems(looked.looks, versions_here(), looked.began, looked.ended)]
    if lines:
        told = "\n".join(f"  {line}" for line in lines)
        raise BadInput(f"cluster: not every node could run this study; nothing was run.\n{told}")


def problems(looks: Sequence[NodeLook], here: Mapping[str, str], began: float, ended: float) -> Iterator[str]:
    """A sentence for everything that is wrong, with the nodes where it is; arguments as of `findings`."""
    found = list(findings(looks, here, began, ended))
    for text in dict.fromkeys(one.text for one in found):
        yield from grouped({one.node: one.text for one in found if one.text == text})


def _looked(storage: str, plugin_files: Sequence[str]) -> Looked:
    token = prepared(storage)
    began = time.time()
    try:
        looks, silent = _asked(storage, token, plugin_files)
        return Looked(looks=tuple(looks), silent=silent, began=began, ended=time.time())
    finally:
        cleaned(storage, token)


def _asked(storage: str, token: str, plugin_files: Sequence[str]) -> tuple[list[NodeLook], dict[str, str]]:
    nodes = {node["NodeID"]: node for node in _alive()}
    remote: Any = ray.remote(num_cpus=0, max_retries=3)(look)
    shared = Counter(node["NodeManagerAddress"] for node in nodes.values())
    asked = {}
    for node_id in nodes:
        pinned = NodeAffinitySchedulingStrategy(node_id, soft=False)
        asked[node_id] = remote.options(scheduling_strategy=pinned).remote(storage, token, tuple(plugin_files))
    ready, _ = ray.wait(list(asked.values()), num_returns=len(asked), timeout=LOOK_SECONDS)
    looks, why = [], {}
    for node_id, one in asked.items():
        if one not in ready:
            ray.cancel(one, force=True)
            why[node_id] = f"did not answer for {LOOK_SECONDS:g} s. Look at it with `ray status`, or remove it."
            continue
        try:
            seen: NodeLook = ray.get(one)
            looks.append(dataclasses.replace(seen, address=_name(nodes[node_id], shared)))
        except RayTaskError as error:
            why[node_id] = f"cannot run grokstudy: {_last_line(error)}. Install the same grokstudy as here."
        except RayError as error:
            why[node_id] = f"cannot run a task: {_last_line(error)}"
    still = {node["NodeID"] for node in _alive()} if why else set()
    return looks, {_name(nodes[node_id], shared): text for node_id, text in why.items() if node_id in still}


def _alive() -> list[Mapping[str, Any]]:
    """What Ray knows of every node that is alive."""
    return [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def _last_line(error: Exception) -> str:
    cause = getattr(error, "cause", None) or error
    return f"{type(cause).__name__}: {str(cause).strip().splitlines()[-1]}".rstrip(".")


def _name(node: Mapping[str, Any], shared: Mapping[str, int]) -> str:
    address = str(node["NodeManagerAddress"])
    return f"{address} ({node['NodeID'][:6]})" if shared[address] > 1 else address
