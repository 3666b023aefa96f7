"""Packs one after the other in this process: for tests, debugging and single trials. The same work, without Ray."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from grokstudy.execution.job import PackSource
from grokstudy.execution.placement import Placed
from grokstudy.execution.work import work

Item = TypeVar("Item")
Result = TypeVar("Result")


class Inline:
    """The executor of `cluster=none`."""

    def slots(self) -> int:
        return 1

    def placement(self) -> tuple[Placed, ...]:
        return (Placed(node="this process", packs=1),)

    def prepare(self) -> None:
        """Nothing is to be started."""

    def run_packs(self, source: PackSource, name: str) -> None:
        while (job := source.next()) is not None:
            with contextlib.closing(work(job)) as progresses:
                for progress in progresses:
                    source.progress(progress)
                    if source.stopping:
                        return
            source.finished(job, None)

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        return map(function, items)

    def release(self) -> None:
        """Nothing was started."""

    def close(self) -> None:
        """Nothing was started."""
