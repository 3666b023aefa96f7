"""Where packs and measure jobs run: one port, two real implementations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeVar

from grokstudy.execution.job import PackSource
from grokstudy.execution.placement import Placed
from grokstudy.spec.settings import ClusterSettings

Item = TypeVar("Item")
Result = TypeVar("Result")


class Executor(Protocol):
    """Runs packs, and functions over picklable items."""

    def slots(self) -> int:
        """Packs at a time."""

    def placement(self) -> tuple[Placed, ...]:
        """How many packs fit on each node now."""

    def prepare(self) -> None:
        """Packs will follow soon: begins to start what runs them, without waiting for it."""

    def run_packs(self, source: PackSource, name: str) -> None:
        """Runs packs until the source is exhausted or stopping."""

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Results as they come, in any order."""

    def release(self) -> None:
        """Neither packs nor items will follow: begins to stop what it started, without waiting for it."""

    def close(self) -> None:
        """Stops what it started, and nothing else."""


@contextmanager
def executor(settings: ClusterSettings) -> Iterator[Executor]:
    """The executor that `cluster.kind` names. Nothing is started before it is needed."""
    chosen: Executor
    if settings.kind == "none":
        from grokstudy.execution.inline import Inline

        chosen = Inline()
    elif settings.kind == "local":
        from grokstudy.execution.embedded import OnRay

        chosen = OnRay(settings)
    else:
        from grokstudy.execution.cluster import OnCluster

        chosen = OnCluster(settings)
    try:
        yield chosen
    finally:
        chosen.close()
