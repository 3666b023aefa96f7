"""Where packs and measure jobs run: one port, two real implementations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol, TypeVar

from grokstudy.execution.job import PackSource
from grokstudy.spec.settings import ClusterSettings

Item = TypeVar("Item")
Result = TypeVar("Result")


class Executor(Protocol):
    """Runs packs, and functions over picklable items."""

    def slots(self) -> int:
        """Packs at a time."""

    def run_packs(self, source: PackSource, name: str) -> None:
        """Runs packs until the source is exhausted or stopping."""

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """Results as they come, in any order."""

    def close(self) -> None:
        """Stops what it started."""


@contextmanager
def executor(settings: ClusterSettings) -> Iterator[Executor]:
    """The executor that `cluster.kind` names. Nothing is started before it is needed."""
    chosen: Executor
    if settings.kind == "none":
        from grokstudy.execution.inline import Inline

        chosen = Inline()
    else:
        from grokstudy.execution.tune import OnRay

        chosen = OnRay(settings)
    try:
        yield chosen
    finally:
        chosen.close()
