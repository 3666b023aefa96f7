"""A running Ray cluster that this process joins as a driver: the executor of `cluster=ray`.

Nodes may come and go while a study runs. What every one of them must be able to do is asked before the first pack.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import ray

from grokstudy.execution.connect import connect
from grokstudy.execution.job import Death, PackJob, PackSource, Progress
from grokstudy.execution.nodes import alive_nodes, check_nodes, is_free
from grokstudy.execution.placement import Node, Placed, in_words, placed_on, reserved, slots_of
from grokstudy.execution.tasks import mapped
from grokstudy.execution.tune import run_on_tune
from grokstudy.spec.settings import ClusterSettings

Item = TypeVar("Item")
Result = TypeVar("Result")


class OnCluster:
    """Connected at first use; `close()` disconnects and stops nothing."""

    def __init__(self, settings: ClusterSettings) -> None:
        self._settings = settings
        self._connected = False

    def slots(self) -> int:
        """Packs at a time, from the nodes that are alive; `cluster.max_packs` if it is given.

        Raises:
            BadInput: the cluster cannot be joined, or no pack fits and nobody said that nodes will come.
        """
        return slots_of(self._nodes(), self._settings)

    def placement(self) -> tuple[Placed, ...]:
        """How many packs every node takes now.

        Raises:
            BadInput: the cluster cannot be joined.
        """
        return placed_on(self._nodes(), reserved(self._settings))

    def prepare(self) -> None:
        """The cluster runs already."""

    def run_packs(self, source: PackSource, name: str) -> None:
        """Runs packs until the source is exhausted or stopping.

        Raises:
            BadInput: a node could not do its part; nothing was run.
        """
        self._connect()
        first = source.next()
        if first is None:
            return
        check_nodes(first.storage, first.plugin_files)
        wanted = reserved(self._settings)
        if not any(placed.packs for placed in self.placement()):
            source.notice(f"No node of the cluster has {in_words(wanted)} for a pack yet: the study waits for nodes.")
        elif not is_free(wanted):
            source.notice(
                f"Other work holds the cluster: the study waits until {in_words(wanted)} for a pack is free "
                "(`ray status` shows who has what)."
            )
        run_on_tune(_Begun(first, source), self._settings, self.slots(), name)

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        self._connect()
        return mapped(function, items, self._settings)

    def release(self) -> None:
        """The cluster stays as it is."""

    def close(self) -> None:
        if self._connected:
            ray.shutdown()
            self._connected = False

    def _nodes(self) -> list[Node]:
        self._connect()
        return alive_nodes()

    def _connect(self) -> None:
        if not self._connected and not ray.is_initialized():
            connect(self._settings.address)
            self._connected = True


class _Begun:
    """A source whose first pack has been taken already; it is handed out first."""

    def __init__(self, first: PackJob, source: PackSource) -> None:
        self._first: PackJob | None = first
        self._source = source

    def next(self) -> PackJob | None:
        job, self._first = self._first, None
        return job or self._source.next()

    def progress(self, progress: Progress) -> None:
        self._source.progress(progress)

    def finished(self, job: PackJob, death: Death | None) -> None:
        self._source.finished(job, death)

    def notice(self, text: str) -> None:
        self._source.notice(text)

    @property
    def exhausted(self) -> bool:
        return self._first is None and self._source.exhausted

    @property
    def stopping(self) -> bool:
        return self._source.stopping
