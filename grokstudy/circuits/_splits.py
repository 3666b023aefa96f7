"""Numbers of the train, the test and all rows as stored values."""

from __future__ import annotations

from collections.abc import Mapping

from grokstudy.circuits._network import Network
from grokstudy.circuits._values import NO_ROWS, known, undefined
from grokstudy.spec.rows import MeasureValue

SPLITS = ("train", "test", "all")


def by_split(
    family: str, numbers: Mapping[str, float], net: Network, *, protocol: str, version: int
) -> list[MeasureValue]:
    """`family.train`, `family.test` and `family.all`; NULL for a split without rows."""
    return [
        known(f"{family}.{name}", numbers[name], protocol=protocol, version=version)
        if len(split.rows)
        else undefined(f"{family}.{name}", NO_ROWS, protocol=protocol, version=version)
        for name, split in net.splits()
    ]
