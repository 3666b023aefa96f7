"""What is said of nodes that could not run a study."""

from __future__ import annotations

import dataclasses

from grokstudy.execution.node_findings import CLOCK_SECONDS
from grokstudy.execution.node_look import NodeLook
from grokstudy.execution.nodes import problems

HERE = {"python": "3.11.7", "grokstudy": "1.0", "torch": "2.13.0", "ray": "2.60.0", "sources": "abc"}
GOOD = NodeLook(
    host="h",
    address="10.0.0.1",
    python="3.11.7",
    torch="2.13.0",
    ray="2.60.0",
    grokstudy="1.0",
    sources="abc",
    cpus=2,
    gpus=0,
    free_bytes=1,
    storage_free_bytes=None,
    clock=1000.0,
    storage_seconds=0.1,
    storage_error=None,
    missing_files=(),
)


def said(*looks: NodeLook, began: float = 1000.0, ended: float = 1001.0) -> list[str]:
    return list(problems(looks, HERE, began, ended))


def other(address: str, **seen: object) -> NodeLook:
    return dataclasses.replace(GOOD, address=address, **seen)  # type: ignore[arg-type]


def test_equal_nodes_are_no_problem() -> None:
    assert said(GOOD, other("10.0.0.2", cpus=64, gpus=8, host="other")) == []


def test_every_difference_names_its_node_and_a_remedy() -> None:
    cases = {
        "storage_error": ("storage.root: not there. Mount it.", "Mount it"),
        "python": ("3.12.1", "python 3.12.1, here 3.11.7"),
        "torch": ("2.12.0", "torch 2.12.0, here 2.13.0"),
        "grokstudy": ("", "grokstudy is missing"),
        "ray": ("2.59.0", "Install the same"),
        "sources": ("def", "other code"),
        "missing_files": (("/a/mine.py",), "/a/mine.py"),
    }
    for field, (value, part) in cases.items():
        (line,) = said(GOOD, other("10.0.0.2", **{field: value}))
        assert "node 10.0.0.2: " in line
        assert part in line


def test_nodes_with_the_same_fault_share_a_sentence_and_many_are_counted() -> None:
    looks = [other(f"10.0.0.{i}", torch="2.12.0") for i in range(8)]
    (line,) = said(*looks)
    assert "nodes 10.0.0.0, 10.0.0.1, " in line
    assert "and 3 more" in line


def test_a_clock_is_off_only_if_no_moment_of_the_look_explains_it() -> None:
    """A look that took long says little: its clock was read at some moment of it."""
    assert said(other("n", clock=1000.0 - CLOCK_SECONDS + 1)) == []
    assert said(other("n", clock=1100.0), began=1000.0, ended=1100.0) == []
    for clock in (1000.0 - CLOCK_SECONDS - 1, 1001.0 + CLOCK_SECONDS + 1):
        (line,) = said(other("n", clock=clock))
        assert "the clock is 31 s" in line
        assert "NTP" in line
