"""How many packs fit on which node, by arithmetic alone."""

from __future__ import annotations

import random

import pytest

from grokstudy.execution.placement import Node, packs_on, placed_on, reserved, slots_of
from grokstudy.spec.errors import BadInput
from grokstudy.spec.settings import ClusterSettings

GPU_NODE = Node(name="a", amounts={"CPU": 8, "GPU": 2, "memory": 1e9})
PLAIN = Node(name="b", amounts={"CPU": 4, "slot": 1})
HEAD = Node(name="c", amounts={})


def cluster(**settings: object) -> ClusterSettings:
    return ClusterSettings(**{"kind": "ray", **settings})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "packs"),
    [
        (cluster(), [8, 4, 0]),
        (cluster(cpus_per_pack=0.1), [80, 40, 0]),
        (cluster(cpus_per_pack=3), [2, 1, 0]),
        (cluster(gpus_per_pack=0.25), [8, 0, 0]),
        (cluster(gpus_per_pack=0.25, cpus_per_pack=2), [4, 0, 0]),
        (cluster(gpus_per_pack=0.6), [2, 0, 0]),  # a pack's part lies on one GPU: never three on two
        (cluster(gpus_per_pack=2), [1, 0, 0]),
        (cluster(resources={"slot": 0.25}), [0, 4, 0]),
        (cluster(resources={"slot": 0.1}, cpus_per_pack=0.1), [0, 10, 0]),
    ],
)
def test_a_node_takes_as_many_packs_as_all_it_has_allows(settings: ClusterSettings, packs: list[int]) -> None:
    assert [placed.packs for placed in placed_on([GPU_NODE, PLAIN, HEAD], reserved(settings))] == packs


def test_what_fits_never_reserves_more_than_is_there_and_one_more_would() -> None:
    draw = random.Random(0)
    for _ in range(300):
        node = Node(name="n", amounts={"CPU": draw.randint(0, 9), "slot": draw.randint(0, 30) / 10})
        pack = {"CPU": draw.randint(1, 40) / 10, "slot": draw.randint(1, 10) / 10}
        fit = packs_on(node, pack)
        tolerance = 1e-6  # of sums of tenths in floating point
        assert all(fit * amount <= node.amounts[name] + tolerance for name, amount in pack.items())
        assert any((fit + 1) * amount > node.amounts[name] + tolerance for name, amount in pack.items())


def test_slots_are_those_of_all_nodes_together_up_to_max_packs() -> None:
    nodes = [GPU_NODE, PLAIN, HEAD]
    assert slots_of(nodes, cluster()) == 12
    assert slots_of(nodes, cluster(max_packs=5)) == 5
    assert slots_of(nodes, ClusterSettings(max_packs=50)) == 12, "no node ever joins this machine"
    assert slots_of(nodes, cluster(max_packs=50)) == 50, "an autoscaler may bring nodes"
    assert slots_of([HEAD], cluster(max_packs=3)) == 3


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (cluster(resources={"tpu": 1}), ("a: 8 CPU, 0 tpu", "cluster.resources", "cluster.max_packs")),
        (cluster(cpus_per_pack=9), ("9 CPU", "cluster.cpus_per_pack")),
        (ClusterSettings(gpus_per_pack=3), ("3 GPU", "cluster.gpus_per_pack")),
    ],
)
def test_a_pack_that_fits_nowhere_is_refused_with_what_there_is(
    settings: ClusterSettings, said: tuple[str, ...]
) -> None:
    with pytest.raises(BadInput) as refused:
        slots_of([GPU_NODE, PLAIN], settings)
    assert all(part in str(refused.value) for part in said)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"kind": "local", "address": "h:1"}, "cluster=ray"),
        ({"kind": "none", "resources": {"slot": 1.0}}, "cluster=ray"),
        ({"address": "http://head:8265"}, "6379"),
        ({"address": "ray://head:10001"}, "6379"),
        ({"address": "head"}, "HOST:PORT"),
        ({"resources": {"GPU": 1.0}}, "cluster.gpus_per_pack"),
        ({"resources": {"slot": 0.0}}, "must be >="),
        ({"gpus_per_pack": 1.5}, "whole number"),
    ],
)
def test_settings_that_no_cluster_could_use_are_refused(settings: dict[str, object], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        cluster(**settings)
