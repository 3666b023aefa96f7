"""A campaign goes through what this machine allows, says what it leaves out, and refuses what cannot be."""

from __future__ import annotations

import pytest

from grokstudy.spec.errors import BadInput
from tests.chaos.plan import CLUSTER, DISK, MACHINE, NAMESPACES, Obstacles, obstacles, planned

NO_ROOT = Obstacles(namespaces="network namespaces need root", disk="mounting a small disk needs root")


def test_hosts_in_namespaces_are_taken_where_they_are_allowed() -> None:
    plan = planned(None, None, Obstacles())
    assert (plan.world, plan.disk, plan.remarks) == (NAMESPACES, True, ())


def test_without_root_one_machine_is_taken_and_what_is_left_out_is_said() -> None:
    plan = planned(None, None, NO_ROOT)
    assert (plan.world, plan.disk) == (MACHINE, False)
    machine, disk = plan.remarks
    assert "network namespaces need root" in machine
    assert disk == "SKIPPED, the disk that fills up: mounting a small disk needs root."


def test_half_of_a_campaign_may_be_asked_for() -> None:
    assert (planned(None, CLUSTER, Obstacles()).world, planned(None, CLUSTER, Obstacles()).disk) == (NAMESPACES, False)
    assert (planned(None, DISK, Obstacles()).world, planned(None, DISK, Obstacles()).disk) == (None, True)
    (remark,) = planned(MACHINE, CLUSTER, NO_ROOT).remarks
    assert remark.startswith("One machine, as asked for")


@pytest.mark.parametrize(
    ("world", "only", "found", "told"),
    [
        (NAMESPACES, None, NO_ROOT, "network namespaces need root. Use --world machine."),
        (None, DISK, NO_ROOT, "mounting a small disk needs root. Use --only cluster."),
        (MACHINE, DISK, Obstacles(), "which has no nodes"),
        (MACHINE, None, Obstacles(machine="no /proc"), "no cluster can be made here: no /proc. Use --only disk."),
    ],
)
def test_what_cannot_be_made_here_is_refused(world: str | None, only: str | None, found: Obstacles, told: str) -> None:
    with pytest.raises(BadInput, match=r"^--(world|only): ") as refused:
        planned(world, only, found)
    assert told in str(refused.value)


def test_a_whole_campaign_can_be_planned_on_this_machine() -> None:
    assert planned(None, None, obstacles()).world in (NAMESPACES, MACHINE)
